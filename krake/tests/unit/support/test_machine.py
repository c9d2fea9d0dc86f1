"""Where real Pods cannot run, the reason says what is missing."""

import os
from pathlib import Path

import pytest
from realkube.pods import machine
from realkube.pods.machine import control_groups, why_no_pods

CONTROLLERS = ("cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "pids")


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which real Pods run; all that is looked at is in this folder."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in machine.TOOLS:
        (programs / tool).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(programs))
    lines = [f"{number}:{controller}:/session" for number, controller in enumerate(CONTROLLERS, 1)]
    (tmp_path / "membership").write_text("\n".join(["0::/session", "9:name=systemd:/", *lines]) + "\n")
    for controller in (*CONTROLLERS, "systemd"):
        (tmp_path / "groups" / controller / "session").mkdir(parents=True)
    return tmp_path


def test_nothing_is_missing(good: Path) -> None:
    assert why_no_pods() is None
    assert control_groups()["cpu,cpuacct"] == good / "groups" / "cpu,cpuacct" / "session"
    assert control_groups()["systemd"] == good / "groups" / "systemd"


def test_root_is_needed(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in (why_no_pods() or "")


def test_control_groups_of_version_1_are_needed(good: Path) -> None:
    (good / "membership").write_text("0::/session\n")
    assert "version 1" in (why_no_pods() or "")


def test_tools_are_needed(good: Path) -> None:
    (good / "programs" / "nsenter").unlink()
    assert "nsenter" in (why_no_pods() or "")
