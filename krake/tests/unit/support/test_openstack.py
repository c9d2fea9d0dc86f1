"""What a machine needs for a real OpenStack, and what it is told if that is missing."""

import os
from pathlib import Path

import pytest
from realidentity.installing import Unavailable
from realopenstack import command
from realopenstack.installing import install, mirror_of

DEB822 = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
"""


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        (DEB822, "http://mirror.example/debian"),
        ("deb http://mirror.example/debian/ bookworm main\n", "http://mirror.example/debian/"),
        ("deb [arch=amd64 signed-by=/k] https://mirror.example/debian bookworm main\n", "https://mirror.example/debian"),
        ("deb http://other.example/apt stable main\ndeb http://m.example/debian sid main\n", "http://m.example/debian"),
        ("# deb http://mirror.example/debian bookworm main\n", None),
        ("deb http://mirror.example/ubuntu noble main\n", None),
        ("deb http://mirror.example/debian-security bookworm-security main\n", None),
        ("", None),
    ],
)
def test_mirror_of_a_machine(sources: str, mirror: str | None) -> None:
    assert mirror_of(sources) == mirror


def test_it_says_that_it_needs_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="needs root"):
        install()
    assert not list(tmp_path.iterdir())


def test_it_says_which_program_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"`chroot` is missing.*apt-get install"):
        install()


@pytest.mark.parametrize("words", ["status", "stop"])
def test_one_that_does_not_run(
    words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(command, "_stop_on_signals", lambda: None)
    assert command.main([words]) == (1 if words == "status" else 0)
    assert "does not run" in capsys.readouterr().err
