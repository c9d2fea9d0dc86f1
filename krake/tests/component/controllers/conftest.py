"""An API on a real etcd, and controllers that run against it."""

from collections.abc import AsyncIterator

import pytest

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.api.settings import ApiConfig
from krake.client import Client


@pytest.fixture
async def api_url(etcd_store: EtcdStore) -> AsyncIterator[str]:
    async with serve(ApiConfig(host="127.0.0.1", port=0), etcd_store) as url:
        yield url


@pytest.fixture
async def client(api_url: str) -> AsyncIterator[Client]:
    async with Client(api_url) as client:
        yield client
