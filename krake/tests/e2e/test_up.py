"""`krake up`: what it says when ready, that it mends what dies, and that it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from fixtures.up import RunningKrake, StartKrake, alive, launch, wait_for

PARTS = {"etcd", "api", "gc", "scheduler", "cluster", "application", "infrastructure", "simulator"}


def ask(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return None


def test_everything_is_ready_when_it_says_so(krake: RunningKrake) -> None:
    assert set(krake.ready["pids"]) == PARTS
    assert all(alive(pid) for pid in krake.ready["pids"].values())
    assert ask(krake.api) == {"version": "2.0.0"}
    assert [path.name for path in krake.kubeconfigs] == ["sim-1.yaml", "sim-2.yaml", "sim-3.yaml"]


def test_parts_that_die_are_started_again_and_nothing_is_lost(start_krake: StartKrake) -> None:
    krake = start_krake("--simulated-clusters", "1")
    krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[0])
    for part in sorted(PARTS - {"simulator"}):
        before = krake.ready["pids"][part]
        os.kill(before, signal.SIGKILL)
        wait_for(f"another {part}", lambda part=part, before=before: krake.ready["pids"][part] != before)
    krake.rok("kube", "app", "create", "-f", "examples/templates/applications/echo-demo.yaml", "echo-demo", "--wait", "running")
    assert krake.rok_json("kube", "cluster", "get", "sim-1")["status"]["state"] == "ONLINE"


def test_stops_cleanly(start_krake: StartKrake) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        krake = start_krake("--simulated-clusters", "1")
        pids = krake.ready["pids"].values()
        assert krake.stop(number) == 0
        assert not any(alive(pid) for pid in pids)
        assert not (krake.directory / "ready.json").exists()


def test_no_part_outlives_it(start_krake: StartKrake) -> None:
    krake = start_krake()
    pids = list(krake.ready["pids"].values())
    krake.stop(signal.SIGKILL)
    wait_for("the parts to end", lambda: not any(alive(pid) for pid in pids))


def test_data_survives(start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake()
    krake.rok("kube", "app", "create", "-f", "examples/templates/applications/echo-demo.yaml", "kept")
    krake.stop(signal.SIGKILL)
    again = launch(krake.directory)
    try:
        wait_for("Krake to be ready again", lambda: (krake.directory / "ready.json").exists() and ask(again.api))
        (krake.directory / "rok.yaml").write_text(f"api_url: {again.api}\n")
        assert [app["metadata"]["name"] for app in again.rok_json("kube", "app", "list", "-n", "system:admin")] == ["kept"]
    finally:
        again.stop()


def test_says_what_is_in_the_way(krake: RunningKrake, tmp_path: Path) -> None:
    def up(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "krake.up", "up", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    second = up("--api-port", "0", "--data-dir", str(krake.directory))
    assert second.returncode == 1
    assert f"Process {krake.process.pid} runs Krake in {krake.directory} already" in second.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        blocked = up("--api-port", str(taken.getsockname()[1]), "--data-dir", str(tmp_path))
    assert blocked.returncode == 1
    assert "choose another --api-port" in blocked.stderr
