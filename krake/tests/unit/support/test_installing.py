"""How programs for tests get into the user's cache."""

import sys
import threading
from pathlib import Path

import pytest
from realidentity import provider
from realidentity.installing import Unavailable, provide

COUNT = (sys.executable, "-c", "open('count', 'a').write('x')")
FAIL = (sys.executable, "-c", "print('no such package'); raise SystemExit(3)")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "krake"


def test_it_is_installed_once_however_many_ask(cache: Path) -> None:
    threads = [threading.Thread(target=provide, args=("tool", "1.0", [COUNT])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provide("tool", "1.0", [COUNT]) == cache / "tool-1.0"
    assert (cache / "tool-1.0" / "count").read_text() == "x"
    provide("tool", "1.1", [COUNT])
    assert (cache / "tool-1.1" / "count").read_text() == "x"


def test_what_failed_is_begun_anew(cache: Path) -> None:
    with pytest.raises(Unavailable, match=r"tool 1\.0 cannot be installed.*tool-1\.0\.log"):
        provide("tool", "1.0", [COUNT, FAIL, COUNT])
    assert "no such package" in (cache / "tool-1.0.log").read_text()
    assert (provide("tool", "1.0", [COUNT]) / "count").read_text() == "x"


def test_a_program_that_is_missing() -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        provide("tool", "1.0", [("/nowhere/npm",)])


def test_without_node_the_provider_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match=r"Node\.js"):
        provider.install()
