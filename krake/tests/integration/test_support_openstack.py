"""What `support/openstack` starts ends with it, whatever it does."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from realkube.process import StartError
from realopenstack.installing import install
from realopenstack.sandbox import Sandbox

pytestmark = pytest.mark.openstack


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(word: str) -> bool:
    """Whether a process has been started with a word that no other has."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(install(), tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("sleep",),
        ("setpriv", "--reuid", "mysql", "--clear-groups", "sleep"),
        ("sh", "-c", 'setsid --fork sleep "$1"; sleep infinity', "sh"),
    ],
    ids=["a program", "one that changes its user", "one that goes into the background"],
)
def test_servers_end(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    word = f"{1000 + os.getpid()}.{time.monotonic_ns()}"
    sandbox.start("server", *words, word)
    eventually(lambda: runs(word))
    assert sandbox.ended is None
    sandbox.stop()
    eventually(lambda: not runs(word))


def test_a_server_that_ends_is_told(sandbox: Sandbox) -> None:
    sandbox.start("short", "true")
    eventually(lambda: sandbox.ended == "short")
    sandbox.stop()


def test_the_root_folder_stays_as_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.call("writing", ("sh", "-c", "echo hello >/os/file"))
    assert (tmp_path / "file").read_text() == "hello\n"
    with pytest.raises(StartError, match=r"did not succeed.*log is"):
        sandbox.call("spoiling", ("touch", "/etc/spoiled"))
    assert not (install() / "etc" / "spoiled").exists()
