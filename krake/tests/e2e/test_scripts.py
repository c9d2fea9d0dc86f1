"""The scripts that newcomers run first."""

import json
import os
import shutil
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


@pytest.mark.slow
def test_quickstart_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as log:
        script = subprocess.Popen(["scripts/quickstart", "--api-port", "0"], cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_for("the quickstart", lambda: "Ctrl-C stops Krake." in output.read_text() or script.poll() is not None, 300)
        assert "Ctrl-C stops Krake." in output.read_text(), output.read_text()
        pids = json.loads((ROOT / "tmp" / "quickstart" / "ready.json").read_text())["pids"].values()
    finally:
        script.kill()
        script.wait()
    wait_for("the parts to end", lambda: not any(alive(pid) for pid in pids))


def test_quickstart_needs_what_it_is_given(tmp_path: Path) -> None:
    for options, words in (
        (["--kubeconfig", "missing"], f"The kubeconfig '{tmp_path}/missing' cannot be read."),
        (["--api-port"], "--api-port needs a value"),
    ):
        command = [str(ROOT / "scripts" / "quickstart"), *options]
        refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert refused.returncode == 1
        assert words in refused.stderr


def test_a_python_that_is_too_old_or_missing_is_told(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    refused = subprocess.run(
        [tmp_path / "scripts" / "quickstart"],
        env=os.environ | {"PYTHON": str(tmp_path / "missing")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "Python 3.11 or newer is needed." in refused.stderr
