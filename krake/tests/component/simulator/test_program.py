"""The simulator as a program of its own."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LIMIT = 30.0


@contextmanager
def simulator(directory: Path) -> Iterator[dict[str, str]]:
    """Run one with two clusters; yield the URL of each by the path of its kubeconfig."""
    ready_file = directory / "ready.json"
    ready_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "krake.simulator", "--clusters", "2"]
    process = subprocess.Popen([*command, "--dir", str(directory), "--ready-file", str(ready_file)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + LIMIT
        while not ready_file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield {each["kubeconfig"]: each["url"] for each in json.loads(ready_file.read_text())["clusters"]}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0


def kubeconfigs(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.glob("*.yaml")}


def test_kubeconfigs_of_an_earlier_run_stay_valid(tmp_path: Path) -> None:
    with simulator(tmp_path) as first:
        written = kubeconfigs(tmp_path)
    with simulator(tmp_path) as second:
        assert second == first
        assert kubeconfigs(tmp_path) == written


def test_a_port_that_is_taken_by_now_is_replaced(tmp_path: Path) -> None:
    with simulator(tmp_path) as first:
        pass
    one, two = first
    port = int(first[one].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), simulator(tmp_path) as second:
        assert second[one] != first[one]
        assert second[two] == first[two]


@pytest.mark.parametrize("content", ["", "nonsense", "{", "clusters: []", "clusters: [{cluster: {server: 'http://h:99999'}}]"])
def test_a_kubeconfig_that_is_none_is_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "sim-1.yaml").write_text(content)
    with simulator(tmp_path) as clusters:
        server = clusters[str(tmp_path / "sim-1.yaml")]
        assert f"server: {server}" in (tmp_path / "sim-1.yaml").read_text()
