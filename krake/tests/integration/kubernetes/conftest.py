"""An API on a real etcd, and clusters to register with it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fixtures.api import api_config
from integration.kubernetes.world import Target, World

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.client import Client

Targets = Callable[[int], Awaitable[list[Target]]]


@pytest.fixture
async def world(etcd_store: EtcdStore) -> AsyncIterator[World]:
    async with serve(api_config(), etcd_store) as url, Client(url) as client:
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


@pytest.fixture
async def simulated_target(target: Target) -> Target:
    return target


@pytest.fixture
async def real_target(real_clusters: Any, real_namespace: Any) -> AsyncIterator[Target]:
    """A real cluster, with a fresh namespace as its default one."""
    (cluster,) = real_clusters(1)
    found = Target("real", in_namespace(cluster.kubeconfig, await real_namespace(cluster)), cluster)
    yield found
    await found.connection.close()


@pytest.fixture
async def real_targets(real_clusters: Any, real_namespace: Any) -> AsyncIterator[list[Target]]:
    """Two real clusters, with a fresh namespace each."""
    clusters = real_clusters(2)
    found = [
        Target(f"real-{number}", in_namespace(each.kubeconfig, await real_namespace(each)), each)
        for number, each in enumerate(clusters)
    ]
    yield found
    for target in found:
        await target.connection.close()


@pytest.fixture(params=["simulated", "real"])
def any_target(request: pytest.FixtureRequest) -> Target:
    """A simulated and a real cluster, one after the other."""
    target: Target = request.getfixturevalue(f"{request.param}_target")
    return target


def in_namespace(kubeconfig: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Reduce a kubeconfig to its current context, with a namespace of its own."""
    current = kubeconfig["current-context"]
    context = next(each["context"] for each in kubeconfig["contexts"] if each["name"] == current)
    users = [each for each in kubeconfig["users"] if each["name"] == context["user"]]
    clusters = [each for each in kubeconfig["clusters"] if each["name"] == context["cluster"]]
    contexts = [{"name": current, "context": {**context, "namespace": namespace}}]
    return {**kubeconfig, "users": users, "clusters": clusters, "contexts": contexts}
