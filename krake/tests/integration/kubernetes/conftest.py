"""An API on a real etcd, and clusters to register with it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from integration.kubernetes.world import Target, World

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.api.settings import ApiConfig
from krake.client import Client

Targets = Callable[[int], Awaitable[list[Target]]]


@pytest.fixture
async def world(etcd_store: EtcdStore) -> AsyncIterator[World]:
    async with serve(ApiConfig(host="127.0.0.1", port=0), etcd_store) as url, Client(url) as client:
        yield World(client, url)


@pytest.fixture
async def targets(simulated_clusters: Any) -> AsyncIterator[Targets]:
    """Yield a function that starts simulated clusters: ``first, second = await targets(2)``."""
    started: list[Target] = []

    async def start(count: int) -> list[Target]:
        clusters = await simulated_clusters(count)
        started.extend(Target(cluster.name, cluster.kubeconfig, cluster) for cluster in clusters)
        return started[-count:]

    yield start
    for target in started:
        await target.connection.close()


@pytest.fixture
async def target(targets: Targets) -> Target:
    (only,) = await targets(1)
    return only
