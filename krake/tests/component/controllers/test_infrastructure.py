"""Clusters on clouds: against a real API and a simulated Infrastructure Manager."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from component.controllers.clouds import (
    NAMESPACE,
    Accept,
    add_cloud_of,
    add_provider,
    happens,
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
from fixtures.api import Serve
from fixtures.simulated_clouds import StartProvider

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.kubernetes.cluster.controller import build as build_clusters
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.runtime import ControllerConfig
from krake.data import Key, Metadata
from krake.data.infrastructure import (
    Cloud,
    GlobalInfrastructureProvider,
    ImSpec,
    InfrastructureProvider,
    InfrastructureProviderSpec,
)
from krake.data.kubernetes import Cluster, ClusterState
from krake.data.metadata import INFRASTRUCTURE_RESOURCES_DELETION, ReasonCode
from krake.simulator.infrastructure import SimulatedProvider

ROLES = Path(__file__).parents[4] / "templates" / "bootstrapping" / "base_roles.yaml"
INFRASTRUCTURE = {"strategy": {"static": {"enabled": True, "name": "system:infrastructure"}}}


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
        await client.delete(InfrastructureProvider, Key(NAMESPACE, "im"))
        await eventually(partial(told_of, client, "im"), lambda told: "WaitingForClusters" in told)
        await client.delete(Cloud, Key(NAMESPACE, "cloud"))
        await client.delete(Cluster, cluster.key)
        for kind, name in ((Cluster, "cluster"), (Cloud, "cloud"), (InfrastructureProvider, "im")):
            await see_gone(client, kind, name)
        assert home.infrastructures == {}
        told = {"Creating", "InfrastructureProgress", "InfrastructureReady", "Deleting"}
        await eventually(partial(told_of, client), lambda found: told <= found)


async def test_a_cluster_is_scaled(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.configure_delay = 0.3  # so that nobody overlooks it
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


async def test_a_provider_of_the_namespace_does_not_hide_the_global_one(
    client: Client, api: str, home: SimulatedProvider, start_simulated_provider: StartProvider
) -> None:
    everybodys = await start_simulated_provider()
    spec = InfrastructureProviderSpec(value=ImSpec(url=everybodys.url, token="t"))
    await client.create(GlobalInfrastructureProvider(metadata=Metadata(name="im"), spec=spec))
    reference = {"infrastructure_provider": {"name": "im", "namespaced": False}}
    await client.patch(Cloud, Key(NAMESPACE, "cloud"), {"spec": {"openstack": reference}})
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_state(client, ClusterState.CONNECTING)
        assert (len(home.infrastructures), len(everybodys.infrastructures)) == (0, 1)
        # What was created by one is in its hands, whichever the cloud names now.
        reference = {"infrastructure_provider": {"name": "im", "namespaced": True}}
        await client.patch(Cloud, Key(NAMESPACE, "cloud"), {"spec": {"openstack": reference}})
        await client.delete(Cluster, cluster.key)
        await see_gone(client)
    assert everybodys.infrastructures == {}


async def test_nothing_is_created_by_a_provider_that_is_being_deleted(
    client: Client, api: str, home: SimulatedProvider
) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client, "first")
        await see_state(client, ClusterState.CONNECTING, "first")
        await client.delete(InfrastructureProvider, Key(NAMESPACE, "im"))
        await order_cluster(client, "second")
        second = await see_state(client, ClusterState.FAILED, "second")
        assert second.status.reason is not None
        assert second.status.reason.code is ReasonCode.INVALID_RESOURCE
        for name in ("second", "first"):
            await client.delete(Cluster, Key(NAMESPACE, name))
            await see_gone(client, Cluster, name)
        await see_gone(client, InfrastructureProvider, "im")
    assert home.infrastructures == {}


async def test_clusters_in_creation_keep_no_worker(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.boot_delay = 1.0
    names = [f"cluster-{number}" for number in range(30)]
    async with infrastructure_controller(api, worker_count=2):
        for name in names:
            await order_cluster(client, name)
        await happens(lambda: len(home.infrastructures) == len(names))
        for name in names:
            await see_state(client, ClusterState.CONNECTING, name)


async def test_the_cluster_controller_goes_on_where_this_one_ends(client: Client, api: str, home: SimulatedProvider) -> None:
    quick = ClusterControllerConfig(patience=0.3, report_interval=0.1)

    def is_online(machines: int) -> Accept:
        return lambda its: its.status.state is ClusterState.ONLINE and len(its.status.nodes) == machines

    async with infrastructure_controller(api), running(partial(build_clusters, quick), api):
        await order_cluster(client)
        cluster = await see(client, is_online(2))
        await client.patch(Cluster, cluster.key, {"spec": {"tosca": template(3)}})
        cluster = await see(client, is_online(4))
        # Gone with its machines: it does not answer, and so another one is made.
        await home.lose(str(cluster.status.cluster_id))
        again = await see(client, lambda its: its.status.cluster_id != cluster.status.cluster_id and is_online(4)(its))
        assert list(home.infrastructures) == [again.status.cluster_id]


async def test_the_shipped_role_is_enough(serve_api: Serve, simulated_provider: SimulatedProvider) -> None:
    strict = serve_api(authentication=INFRASTRUCTURE, authorization="RBAC")
    async with serve_api() as admin, strict as strict_api, Client(admin.url) as client:
        for document in yaml.safe_load_all(ROLES.read_text()):
            plural = "roles" if document.pop("kind") == "Role" else "rolebindings"
            assert (await admin.post(f"/core/{plural}", document)).status == 201
        await add_provider(client, simulated_provider.url)
        await add_cloud_of(client)
        collector = running(lambda its: build_gc(ControllerConfig(), its), admin.url)
        async with infrastructure_controller(strict_api.url), collector:
            await order_cluster(client)
            cluster = await see_state(client, ClusterState.CONNECTING)
            names = ((Cluster, "cluster"), (Cloud, "cloud"), (InfrastructureProvider, "im"))
            for kind, name in names:
                await client.delete(kind, cluster.key._replace(name=name))
            for kind, name in names:
                await see_gone(client, kind, name)
            await eventually(partial(told_of, client), lambda told: "InfrastructureReady" in told)
