"""What starts all parts of Krake: the units for systemd, and `support/tmux`."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.generated import generate
from fixtures.secured import CONTROLLERS
from fixtures.up import ROOT, wait_for

from krake.up.process import free_port

UNITS = ROOT / "support" / "systemd"
MODULES = {"krake.api", *CONTROLLERS}
EXPOSURE = "20"
"""What `systemd-analyze security` may find at most, of 100."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with the Python of the tests instead of the one that the administrator installs."""
    for unit in UNITS.iterdir():
        text = unit.read_text()
        (tmp_path / unit.name).write_text(text.replace("/opt/krake/bin/python3", sys.executable))
    return tmp_path


def test_the_target_starts_every_part() -> None:
    wanted = re.findall(r"^Wants=krake@(.+)\.service$", (UNITS / "krake.target").read_text(), re.M)
    assert {f"krake.{instance}" for instance in wanted} == MODULES
    for module in MODULES:
        assert importlib.util.find_spec(f"{module}.__main__"), module


def test_the_unit_runs_the_module_of_its_name_and_comes_back() -> None:
    text = (UNITS / "krake@.service").read_text()
    fields = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert fields["ExecStart"] == "/opt/krake/bin/python3 -m krake.%i"
    assert (fields["Restart"], fields["User"], fields["WorkingDirectory"]) == ("always", "krake", "/etc/krake")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_understands_the_units(units: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", units / "krake.target"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    (units / "krake@.service").rename(unit := units / "krake@api.service")
    rating = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit]
    done = subprocess.run(rating, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def session(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a tmux of our own, which ends with the test."""
    environment = os.environ | {"TMUX_TMPDIR": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    yield environment
    subprocess.run(["tmux", "-L", "krake", "kill-server"], env=environment, stderr=subprocess.DEVNULL, timeout=30, check=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux: support/tmux is not tested")
def test_tmux_shows_every_part(session: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    lax = ("--allow-anonymous", "--static-authentication-enabled")
    generate(tmp_path, *lax, "--api-port", str(port), "--etcd-port", str(free_port()))
    session |= {"ETCD_LISTEN_PEER_URLS": "http://127.0.0.1:0"}
    command = [sys.executable, ROOT / "support" / "tmux", "--detached"]
    for status in (0, 1):  # The second one finds that it runs already.
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=session,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
    wait_for("the API", lambda: is_ready(port), 60)

    windows = ["tmux", "-L", "krake", "list-windows", "-F", "#{window_name} #{pane_dead}"]
    shown = subprocess.run(windows, env=session, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    assert {line.split()[0] for line in shown} == {"etcd", *(module.rpartition(".")[2] for module in MODULES)}
    assert {line.split()[1] for line in shown} == {"0"}


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
