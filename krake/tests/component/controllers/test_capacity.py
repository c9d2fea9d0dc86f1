"""A burst of applications on simulated clusters, with all controllers at work: room is short; nothing is given away twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from component.controllers.world import eventually, running
from fixtures.simulator import StartClusters

from krake.adapters.kubernetes import connect
from krake.client import Client
from krake.controller.gc.controller import build as build_collector
from krake.controller.kubernetes.application.controller import build as build_applications
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.cluster.controller import build as build_clusters
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.runtime import ControllerConfig
from krake.controller.scheduler.controller import build as build_scheduler
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key, Metadata
from krake.data.kubernetes import (
    Application,
    ApplicationState,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterSpec,
    ClusterState,
)
from krake.data.quotas import Quota, QuotaSpec
from krake.data.requests import requests_of_pod
from krake.ports.cluster import OWNER_LABEL
from krake.simulator import Settings, SimulatedCluster

CORES = 2
SMALL = Settings(start_delay=0.02, finish_delay=0.02, stop_delay=0.01, node_cpu=str(CORES))


def pod_spec(cpu: str) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "registry.example/x:1", "resources": {"requests": {"cpu": cpu}}}]}


def deployment(name: str, cpu: str = "500m") -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(cpu)}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def clusters(api: str, client: Client, simulated_clusters: StartClusters) -> AsyncIterator[Sequence[SimulatedCluster]]:
    """Three clusters of two cores each; on the first one others have taken one of them."""
    started = await simulated_clusters(3, SMALL)
    connection = connect(started[0].kubeconfig)
    foreign = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "foreign", "namespace": "default", "labels": {OWNER_LABEL: "others"}},
        "spec": pod_spec("1"),
    }
    await connection.apply(foreign)
    await connection.close()
    async with AsyncExitStack() as stack:
        for build in (
            partial(build_clusters, ClusterControllerConfig(report_interval=0.3, patience=0.1)),
            partial(build_applications, ApplicationControllerConfig()),
            partial(build_collector, ControllerConfig()),
            partial(build_scheduler, SchedulerConfig(reschedule_after=30.0)),
        ):
            await stack.enter_async_context(running(build, api))
        for each in started:
            constraints = ClusterCloudConstraints(cloud=CloudConstraints())
            spec = ClusterSpec(kubeconfig=each.kubeconfig, constraints=constraints)
            await client.create(Cluster(metadata=Metadata(name=each.name, namespace="red"), spec=spec))
        for each in started:
            await eventually(partial(client.get, Cluster, Key("red", each.name)), is_known)
        yield started


def is_known(cluster: Cluster) -> bool:
    """Whether its controller has told how large it is, and of the foreign Pod."""
    crowded = not cluster.metadata.name.endswith("-1") or cluster.status.taken.get("cpu", 0) > 0
    return crowded and cluster.status.state is ClusterState.ONLINE and "cpu" in cluster.status.room


async def create(client: Client, name: str, **spec: Any) -> None:
    """Declare an application of half a core."""
    constraints = {"migration": True, "cluster": {"labels": [], "custom_resources": []}, **spec.pop("constraints", {})}
    body = {"manifest": [deployment(name)], "constraints": constraints, **spec}
    wire = {"api": "kubernetes", "kind": "Application", "metadata": {"name": name, "namespace": "red"}, "spec": body}
    await client.create(Application.deserialize(wire))


async def apps(client: Client) -> list[Application]:
    return (await client.list(Application, namespace="red")).items


async def watch(clusters: Sequence[SimulatedCluster], most: Counter[str]) -> None:
    """Keep the highest sums of what was ever asked for on each cluster."""
    while True:
        for each in clusters:
            pods = each.storage.objects("pods", None)
            asked = sum(int(requests_of_pod(pod["spec"]).get("cpu", 0) * 1000) for pod in pods)
            most[each.name] = max(most[each.name], asked)
        await asyncio.sleep(0.01)


def up(found: list[Application]) -> list[Application]:
    return [app for app in found if app.status.state is ApplicationState.RUNNING]


async def test_a_burst_fills_the_clusters_to_the_brim_and_the_rest_waits_by_priority(
    client: Client, clusters: Sequence[SimulatedCluster]
) -> None:
    most = Counter[str]()
    watching = asyncio.create_task(watch(clusters, most))
    await asyncio.gather(*(create(client, f"app-{number}", backoff_delay=1000) for number in range(16)))
    placed = await eventually(partial(apps, client), lambda found: len(up(found)) == 10 and not pending(found))
    waiting = [app for app in placed if app.status.scheduled_to is None]
    assert len(waiting) == 6
    for app in waiting:
        assert app.status.reason is not None
        assert "asks for 500m of cpu; of the 2 of the cluster, 2 are taken" in app.status.reason.message
    await create(client, "urgent", priority=10, backoff_delay=1000)
    await eventually(partial(client.get, Application, Key("red", "urgent")), lambda app: app.status.reason is not None)
    await client.delete(Application, up(placed)[0].key)
    await eventually(
        partial(client.get, Application, Key("red", "urgent")), lambda app: app.status.state is ApplicationState.RUNNING
    )
    watching.cancel()
    assert {app.metadata.name for app in up(await apps(client))} & {app.metadata.name for app in waiting} == set()
    assert most == {each.name: 1000 * CORES for each in clusters}


def pending(found: list[Application]) -> list[Application]:
    """Those that nobody has decided on yet."""
    return [app for app in found if app.status.scheduled_to is None and app.status.reason is None]


@pytest.mark.usefixtures("clusters")
async def test_applications_that_keep_apart_share_no_cluster(client: Client) -> None:
    apart = {"anti_affinity": [{"labels": []}]}
    await asyncio.gather(*(create(client, f"app-{number}", constraints=apart) for number in range(4)))
    found = await eventually(partial(apps, client), lambda found: len(up(found)) == 3 and not pending(found))
    assert len({app.status.scheduled_to for app in found if app.status.scheduled_to}) == 3
    (left,) = [app for app in found if app.status.scheduled_to is None]
    assert left.status.reason is not None
    assert "keeps apart from all others" in left.status.reason.message


@pytest.mark.usefixtures("clusters")
async def test_what_exceeds_the_quota_waits_until_it_is_raised(client: Client) -> None:
    await client.create(Quota(metadata=Metadata(name="fair", namespace="red"), spec=QuotaSpec(applications=2)))
    await asyncio.gather(*(create(client, f"app-{number}", backoff_delay=1000) for number in range(4)))
    found = await eventually(partial(apps, client), lambda found: len(up(found)) == 2 and not pending(found))
    reasons = [app.status.reason.message for app in found if app.status.reason is not None]
    assert len(reasons) == 2
    assert all("The quota fair lets 2 applications of the namespace be placed, and 2 are." in each for each in reasons)
    await client.patch(Quota, Key("red", "fair"), {"spec": {"applications": 3}})
    await eventually(partial(apps, client), lambda found: len(up(found)) == 3)
