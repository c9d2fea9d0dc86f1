"""A cluster that is cut off loses nothing, and all is well once it is joined again."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from fixtures.kubernetes import Connect
from fixtures.real_pods import RealPods
from integration.kubernetes.world import Target, World, applications, clusters, deployment, eventually
from kubernetes_asyncio.client import CoreV1Api

from krake.data.kubernetes import ApplicationState, ClusterState

State = ApplicationState
ECHO = "registry.k8s.io/echoserver:1.10"


@pytest.fixture
def healed(real_pods: RealPods) -> Iterator[None]:
    """Whatever the test cuts is joined again."""
    yield
    for cluster in real_pods.clusters:
        real_pods.heal(cluster)


async def starts(core: CoreV1Api, target: Target) -> dict[str, datetime]:
    """When the containers of the application were started, by Pod."""
    pods = (await core.list_namespaced_pod(target.namespace)).items
    return {pod.metadata.name: pod.status.container_statuses[0].state.running.started_at for pod in pods}


@pytest.mark.slow
@pytest.mark.usefixtures("healed")
async def test_a_node_that_is_cut_off_is_told_and_its_containers_go_on(
    real_pods: RealPods, world: World, target: Target, real_client: Connect
) -> None:
    first = real_pods.clusters[0]
    core = CoreV1Api(await real_client(first))
    await world.register(target)
    async with world.running(clusters, applications()):
        await world.cluster_until(target.name, ClusterState.ONLINE)
        await world.create(deployment(image=ECHO), on=target)
        await world.until_state(State.RUNNING)
        before = await starts(core, target)
        real_pods.cut(first, node_only=True)
        cluster = await world.cluster_until(target.name, ClusterState.NOTREADY)
        assert [node.metadata.name for node in cluster.status.nodes] == ["cluster-1-node"]
        real_pods.heal(first)
        await world.cluster_until(target.name, ClusterState.ONLINE)
        app = await world.until_state(State.RUNNING)
    assert app.status.running_on == target.ref
    assert await starts(core, target) == before


@pytest.mark.slow
@pytest.mark.usefixtures("healed")
async def test_what_is_declared_while_a_cluster_is_away_is_done_when_it_is_back(
    real_pods: RealPods, world: World, target: Target
) -> None:
    first = real_pods.clusters[0]
    await world.register(target)
    async with world.running(clusters, applications()):
        await world.cluster_until(target.name, ClusterState.ONLINE)
        await world.create(deployment(image=ECHO), on=target)
        await world.until_state(State.RUNNING)
        real_pods.cut(first)
        await eventually(lambda: world.cluster(target.name), lambda seen: seen.status.state is not ClusterState.ONLINE)
        await world.update(deployment(image=ECHO, replicas=2), on=target)
        real_pods.heal(first)
        await world.cluster_until(target.name, ClusterState.ONLINE)
        app = await world.until(lambda app: app.status.container_health.running_pods == 2, deadline=60)
        await world.until_state(State.RUNNING)
    assert app.status.running_on == target.ref
