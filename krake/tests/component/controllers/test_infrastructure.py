"""Clusters on clouds: against a real API and a simulated Infrastructure Manager."""

from collections.abc import AsyncIterator

import pytest
from component.controllers.clouds import (
    NAMESPACE,
    add_cloud_of,
    add_provider,
    infrastructure_controller,
    order_cluster,
    see,
    see_gone,
    see_state,
    set_status,
    template,
    told_of,
)
from component.controllers.world import eventually, running

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.data import Key
from krake.data.infrastructure import Cloud, InfrastructureProvider
from krake.data.kubernetes import Cluster, ClusterState
from krake.data.metadata import INFRASTRUCTURE_RESOURCES_DELETION
from krake.simulator.infrastructure import SimulatedProvider


@pytest.fixture
async def client(api: str) -> AsyncIterator[Client]:
    async with Client(api) as client, running(lambda its: build_gc(ControllerConfig(), its), api):
        yield client


@pytest.fixture
async def home(client: Client, simulated_provider: SimulatedProvider) -> SimulatedProvider:
    """A cloud with its provider."""
    await add_provider(client, simulated_provider.url)
    await add_cloud_of(client)
    return simulated_provider


async def test_a_cluster_is_created_and_deleted(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_state(client, ClusterState.CONNECTING)
        assert len(home.infrastructures) == 1
        assert cluster.status.cluster_id in home.infrastructures
        assert cluster.status.running_on == cluster.status.scheduled_to
        assert cluster.spec.kubeconfig["clusters"][0]["cluster"]["server"].startswith("http")
        assert cluster.status.infrastructure is not None
        assert cluster.status.infrastructure.unseen == 0
        assert len(cluster.status.infrastructure.machines) == 2
        assert INFRASTRUCTURE_RESOURCES_DELETION in cluster.metadata.finalizers
        await client.delete(Cluster, cluster.key)
        await client.delete(Cloud, Key(NAMESPACE, "cloud"))
        await client.delete(InfrastructureProvider, Key(NAMESPACE, "im"))
        for kind, name in ((Cluster, "cluster"), (Cloud, "cloud"), (InfrastructureProvider, "im")):
            await see_gone(client, kind, name)
        assert home.infrastructures == {}
        told = await eventually(lambda: told_of(client), lambda told: "Deleting" in told)
        assert {"Creating", "InfrastructureProgress", "InfrastructureReady"} <= told


async def test_a_cluster_is_scaled(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_state(client, ClusterState.CONNECTING)
        await set_status(client, state="ONLINE")
        for workers in (3, 1):
            await client.patch(Cluster, cluster.key, {"spec": {"tosca": template(workers)}})
            await see_state(client, ClusterState.RECONCILING)
            cluster = await see_state(client, ClusterState.CONNECTING)
            (made,) = home.infrastructures.values()
            assert len(made.machines) == workers + 1
            await see(client, lambda cluster, n=workers + 1: len(cluster.status.infrastructure.machines) == n)
