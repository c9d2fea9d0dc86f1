"""What somebody gets who may write the status of clusters in one namespace, and wants what belongs to others."""

from functools import partial
from typing import Any

import pytest
from component.controllers.clouds import (
    NAMESPACE,
    add_cloud_of,
    add_provider,
    happens,
    infrastructure_controller,
    order_cluster,
    see,
    see_gone,
    see_state,
    template,
)
from component.controllers.world import running
from fixtures.simulated_clouds import StartProvider

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.data import Key, Metadata
from krake.data.infrastructure import Cloud, InfrastructureProvider, InfrastructureStatus
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints, ClusterSpec, ClusterState
from krake.data.metadata import ReasonCode
from krake.simulator.failures import Failure
from krake.simulator.infrastructure import SimulatedProvider

THIEF = "green"
VICTIM_CLOUD = Cloud.definition.ref(Key(NAMESPACE, "cloud"))
VICTIM_PROVIDER = InfrastructureProvider.definition.ref(Key(NAMESPACE, "im"))
THIEFS_CLOUD = Cloud.definition.ref(Key(THIEF, "cloud"))
THIEFS_PROVIDER = InfrastructureProvider.definition.ref(Key(THIEF, "im"))


async def forge(client: Client, **status: Any) -> Cluster:
    """Declare a cluster in the namespace of the thief, and say of it what is not so."""
    key = Key(THIEF, "cluster")
    constraints = ClusterCloudConstraints(cloud=CloudConstraints())
    spec = ClusterSpec(tosca=template(), constraints=constraints)
    await client.create(Cluster(metadata=Metadata(name=key.name, namespace=key.namespace), spec=spec))
    return await client.patch(Cluster, key, {"status": status}, subresource="status")


@pytest.mark.parametrize("provider", [THIEFS_PROVIDER, VICTIM_PROVIDER], ids=["own provider", "provider of others"])
@pytest.mark.parametrize("known", [True, False], ids=["as if created", "as if bound"])
async def test_clouds_of_others_are_not_used(
    client: Client, api: str, start_simulated_provider: StartProvider, provider: Any, known: bool
) -> None:
    theirs, own = await start_simulated_provider(), await start_simulated_provider()
    await add_provider(client, theirs.url)
    await add_cloud_of(client)
    await add_provider(client, own.url, namespace=THIEF)
    infrastructure = InfrastructureStatus(provider=provider, unseen=1).serialize()
    created = {"cluster_id": "1", "running_on": VICTIM_CLOUD.serialize(), "infrastructure": infrastructure}
    await forge(client, **(created if known else {}), scheduled_to=VICTIM_CLOUD.serialize())
    async with infrastructure_controller(api):
        cluster = await see_state_of_thief(client, ClusterState.FAILED)
        assert cluster.status.reason is not None
        assert cluster.status.reason.code is ReasonCode.INVALID_RESOURCE
        assert "not for this namespace" in cluster.status.reason.message
        await client.delete(Cluster, cluster.key)
    for each in (theirs, own):
        assert each.infrastructures == {}
    cloud = await client.get(Cloud, VICTIM_CLOUD.key)
    assert cloud.metadata.finalizers == []


async def test_a_cloud_is_told_to_no_provider_of_others(
    client: Client, api: str, start_simulated_provider: StartProvider
) -> None:
    theirs, own = await start_simulated_provider(), await start_simulated_provider()
    await add_provider(client, theirs.url)
    await add_provider(client, own.url, namespace=THIEF)
    await add_cloud_of(client, namespace=THIEF)
    infrastructure = InfrastructureStatus(provider=VICTIM_PROVIDER, unseen=1).serialize()
    forged = {"cluster_id": "1", "running_on": THIEFS_CLOUD.serialize(), "infrastructure": infrastructure}
    await forge(client, **forged, scheduled_to=THIEFS_CLOUD.serialize())
    async with infrastructure_controller(api):
        cluster = await see_state_of_thief(client, ClusterState.FAILED)
    assert cluster.status.reason is not None
    assert "can not be created by" in cluster.status.reason.message
    assert theirs.infrastructures == own.infrastructures == {}


async def see_state_of_thief(client: Client, state: ClusterState) -> Cluster:
    return await see(client, lambda cluster: cluster.status.state is state, namespace=THIEF)


@pytest.mark.parametrize("state", ["CONNECTING", "CREATING", "RECONCILING"])
async def test_the_id_of_an_infrastructure_gives_nothing_to_others(
    client: Client, api: str, simulated_provider: SimulatedProvider, state: str
) -> None:
    """Those who share a provider share its user, to whom it shows all infrastructures."""
    for namespace in (NAMESPACE, THIEF):
        await add_provider(client, simulated_provider.url, namespace=namespace)
        await add_cloud_of(client, namespace=namespace)
    async with infrastructure_controller(api), running(partial(build_gc, ControllerConfig()), api):
        await order_cluster(client)
        victim = await see_state(client, ClusterState.CONNECTING)
        infrastructure = InfrastructureStatus(provider=THIEFS_PROVIDER, phase="configured").serialize()
        cloud = THIEFS_CLOUD.serialize()
        stolen = {"cluster_id": victim.status.cluster_id, "running_on": cloud, "scheduled_to": cloud}
        await forge(client, **stolen, infrastructure=infrastructure, state=state)
        secret = str(victim.spec.kubeconfig["users"])
        if state == "CONNECTING":
            cluster = await see(client, is_told_no, namespace=THIEF)
        else:
            cluster = await see(client, lambda cluster: bool(cluster.spec.kubeconfig), namespace=THIEF)
            assert cluster.status.cluster_id != victim.status.cluster_id
        assert secret not in str(cluster.serialize())
        await client.delete(Cluster, cluster.key)
        await see_gone(client, namespace=THIEF)
    assert list(simulated_provider.infrastructures) == [victim.status.cluster_id]


def is_told_no(cluster: Cluster) -> bool:
    known = cluster.status.infrastructure
    return known is not None and known.message is not None and "that was made for this cluster" in known.message


@pytest.mark.parametrize(("workers", "share"), [(20, 10), (8, 6), (4, 3)])
async def test_many_providers_that_hang_are_not_in_the_way_of_other_namespaces(
    client: Client, api: str, start_simulated_provider: StartProvider, workers: int, share: int
) -> None:
    works, hangs = await start_simulated_provider(), await start_simulated_provider()
    hangs.service.fail(Failure("hanging"))
    for number in range(6):
        await add_provider(client, hangs.url, f"im-{number}", namespace=THIEF)
        await add_cloud_of(client, f"im-{number}", f"cloud-{number}", namespace=THIEF)
        for each in range(5):
            await order_cluster(client, f"cluster-{number}-{each}", cloud=f"cloud-{number}", namespace=THIEF)
    async with infrastructure_controller(api, timeout=60.0, worker_count=workers):
        await happens(lambda: hangs.service.count("POST") >= share)
        await add_provider(client, works.url)
        await add_cloud_of(client)
        await order_cluster(client)
        await see_state(client, ClusterState.CONNECTING)
        assert hangs.service.count("POST") == share
