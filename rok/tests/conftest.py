"""What the tests of the command line share: the fixtures of Krake's own tests, and a way to run commands."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# The tests also run together with those of Krake, whose settings do not name this directory.
sys.path.insert(0, str(Path(__file__).parent))

from command import Rok
from krake.client import Client

pytest_plugins = ["fixtures.properties", "fixtures.etcd", "fixtures.api"]


@pytest.fixture
def rok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rok:
    """Runs commands in a directory of their own, with no configuration but what the test writes there."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    return Rok(directory)


@pytest.fixture
async def client(api: str, rok: Rok) -> AsyncIterator[Client]:
    """Plays the controllers; commands use the same API."""
    rok.use(api)
    async with Client(api) as client:
        yield client
