"""What the tests of the tools share."""

from pathlib import Path

import pytest
from fixtures.tools import Tools

from krake.adapters.etcd import EtcdStore
from krake.up.etcd import EtcdProcess


@pytest.fixture
def tools(tmp_path: Path, etcd: EtcdProcess, etcd_store: EtcdStore) -> Tools:
    """Runs tools in an empty folder, on the emptied store of the session."""
    return Tools(tmp_path, etcd)
