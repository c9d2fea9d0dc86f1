"""An API whose hooks containers can call back, and two clusters with real Pods, each with a fresh namespace."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from fixtures.api import api_config
from fixtures.kubernetes import MakeNamespace
from fixtures.real_pods import RealPods
from integration.kubernetes.conftest import in_namespace
from integration.kubernetes.world import Target, World

from krake.adapters.etcd import EtcdStore
from krake.api.app import serve
from krake.client import Client


@pytest.fixture
async def world(real_pods: RealPods, etcd_store: EtcdStore) -> AsyncIterator[World]:
    async with serve(api_config(), etcd_store) as url, Client(url) as client:
        yield World(client, url)


@pytest.fixture
def callback(real_pods: RealPods, world: World) -> str:
    """The URL of the API for containers."""
    port = urlsplit(world.url).port
    assert port
    return f"http://{real_pods.admit(port)}"


@pytest.fixture
async def targets(real_pods: RealPods, real_namespace: MakeNamespace) -> AsyncIterator[list[Target]]:
    """Both clusters."""
    found = [
        Target(cluster.name, in_namespace(cluster.kubeconfig, await real_namespace(cluster)), cluster)
        for cluster in real_pods.clusters
    ]
    yield found
    for target in found:
        await target.connection.close()


@pytest.fixture
def target(targets: list[Target]) -> Target:
    return targets[0]
