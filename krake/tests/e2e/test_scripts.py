"""The scripts that newcomers run first."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from fixtures.up import ROOT, alive, wait_for


@pytest.mark.slow
def test_quickstart_shows_a_running_application_and_ends() -> None:
    command = ["scripts/quickstart", "--exit", "--api-port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| RUNNING" in done.stdout
    assert "Hostname: echo-demo-" in done.stdout
    assert "simulated" in done.stdout


@pytest.mark.slow
def test_quickstart_ends_on_control_c_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as log:
        script = subprocess.Popen(
            ["scripts/quickstart", "--api-port", "0"], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for("the quickstart", lambda: "Ctrl-C stops Krake." in output.read_text() or script.poll() is not None, 300)
        assert "Ctrl-C stops Krake." in output.read_text(), output.read_text()
        pids = json.loads((ROOT / "tmp" / "quickstart" / "ready.json").read_text())["pids"].values()
        # A terminal sends Ctrl-C to every process of its foreground group.
        os.killpg(script.pid, signal.SIGINT)
        assert script.wait(60) == 130
    finally:
        if script.poll() is None:
            script.kill()
    assert not any(alive(pid) for pid in pids)
