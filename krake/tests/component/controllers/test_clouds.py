"""Clusters that are to be created go to clouds, and Magnum clusters to projects: against a real API."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from component.controllers.hosts import (
    add_cloud,
    add_global_cloud,
    add_magnum_cluster,
    add_metrics,
    add_project,
    bring_up,
    declare_cluster,
    set_values,
)
from component.controllers.world import add_app, add_cluster, eventually, running

from krake.client import Client
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import MetricsConfig, SchedulerConfig
from krake.data import Key, Metadata, ReasonCode
from krake.data.infrastructure import Cloud, CloudState, GlobalCloud
from krake.data.kubernetes import Application, Cluster, ClusterState
from krake.data.openstack import MagnumCluster, MagnumClusterState, Project, ProjectState
from krake.data.quotas import Quota, QuotaSpec

CONFIG = SchedulerConfig(reschedule_after=30.0, metrics=MetricsConfig(interval=0.2))


@pytest.fixture
async def scheduler(api: str) -> AsyncIterator[None]:
    async with running(partial(build, CONFIG), api):
        yield


pytestmark = pytest.mark.usefixtures("scheduler")


async def see(client: Client, accept: Callable[[Cluster], bool], name: str = "cluster") -> Cluster:
    return await eventually(partial(client.get, Cluster, Key("red", name)), accept)


async def see_on(client: Client, cloud: str, name: str = "cluster") -> Cluster:
    return await see(client, lambda it: it.status.scheduled_to is not None and it.status.scheduled_to.name == cloud, name)


async def see_app_on(client: Client, cluster: str, name: str = "app") -> Application:
    look = partial(client.get, Application, Key("red", name))
    return await eventually(look, lambda app: app.status.scheduled_to is not None and app.status.scheduled_to.name == cluster)


async def see_magnum(client: Client, accept: Callable[[MagnumCluster], bool], name: str = "magnum") -> MagnumCluster:
    return await eventually(partial(client.get, MagnumCluster, Key("red", name)), accept)


async def test_a_cluster_goes_to_the_cloud_that_has_what_it_asks_for(client: Client) -> None:
    await add_cloud(client, "north", labels={"zone": "a"})
    await add_cloud(client, "south", labels={"zone": "b"})
    await declare_cluster(client, "cluster", wants=["zone is b"])
    cluster = await see_on(client, "south")
    assert [owner.name for owner in cluster.metadata.owners] == ["south"]
    assert (cluster.status.state, cluster.status.reason) == (ClusterState.PENDING, None)


async def test_clouds_of_the_namespace_come_before_global_ones_even_if_these_suit_better(client: Client) -> None:
    await add_metrics(client, poor=0.1, good=0.9)
    await add_global_cloud(client, "ours", metrics=["good"])
    await add_cloud(client, "mine", metrics=["poor"])
    await declare_cluster(client, "cluster")
    await see_on(client, "mine")


async def test_a_global_cloud_is_taken_where_none_of_the_namespace_fits(client: Client) -> None:
    await add_cloud(client, "mine", labels={"zone": "a"})
    await add_cloud(client, "strange", namespace="blue", labels={"zone": "b"})
    await add_global_cloud(client, "ours", labels={"zone": "b"})
    await declare_cluster(client, "cluster", wants=["zone is b"])
    assert (await see_on(client, "ours")).status.scheduled_to == GlobalCloud.definition.ref(Key(None, "ours"))


async def test_the_cloud_with_the_best_metrics_is_taken(client: Client) -> None:
    await add_metrics(client, poor=0.1, good=0.9)
    await add_cloud(client, "a-none")
    await add_cloud(client, "b-poor", metrics=["poor"])
    await add_cloud(client, "c-good", metrics=["good"])
    await declare_cluster(client, "cluster")
    await see_on(client, "c-good")


async def test_clusters_are_shared_out_among_clouds_that_are_equal(client: Client) -> None:
    for name in ("a", "b", "c"):
        await add_cloud(client, name)
    for number in range(6):
        await declare_cluster(client, f"cluster-{number}")
    used = []
    for number in range(6):
        cluster = await see(client, lambda it: it.status.scheduled_to is not None, f"cluster-{number}")
        assert cluster.status.scheduled_to is not None
        used.append(cluster.status.scheduled_to.name)
    assert sorted(used) == ["a", "a", "b", "b", "c", "c"]


async def test_a_cluster_that_fits_on_no_cloud_says_why_and_goes_as_soon_as_one_fits(client: Client) -> None:
    await add_cloud(client, "north", labels={"zone": "a"})
    await declare_cluster(client, "cluster", wants=["zone is b"], backoff_limit=0)
    cluster = await see(client, lambda it: it.status.reason is not None)
    assert cluster.status.state is ClusterState.FAILED
    assert cluster.status.reason is not None
    assert cluster.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
    assert "north: The cluster asks for the label zone is b; zone is a." in cluster.status.reason.message
    assert (cluster.status.retries, cluster.status.scheduled_retry) == (0, None)
    await add_cloud(client, "south", labels={"zone": "b"})
    cluster = await see_on(client, "south")
    assert (cluster.status.state, cluster.status.reason) == (ClusterState.PENDING, None)


@pytest.mark.parametrize("change", ["the label of a cloud", "a metric", "the constraint"])
async def test_any_change_that_makes_a_cloud_fit_is_noticed(client: Client, change: str) -> None:
    await add_metrics(client, load=0.9)
    await add_cloud(client, "cloud", labels={"zone": "a"}, metrics=["load"])
    metric = change == "a metric"
    wanted: dict[str, Any] = {"wants_metrics": ["load < 0.5"]} if metric else {"wants": ["zone is b"]}
    await declare_cluster(client, "cluster", backoff_limit=0, **wanted)
    await see(client, lambda it: it.status.reason is not None)
    if metric:
        await set_values(client, load=0.1)
    elif change == "the constraint":
        await client.patch(Cluster, Key("red", "cluster"), {"spec": {"constraints": {"cloud": {"labels": ["zone is a"]}}}})
    else:
        await client.patch(Cloud, Key("red", "cloud"), {"metadata": {"labels": {"zone": "b"}}})
    await see_on(client, "cloud")


async def test_a_cluster_is_bound_once_whatever_becomes_better_later(client: Client) -> None:
    await add_metrics(client, first=0.5, second=0.1)
    await add_cloud(client, "first", metrics=["first"])
    await add_cloud(client, "second", metrics=["second"])
    await declare_cluster(client, "cluster")
    bound = await see_on(client, "first")
    await set_values(client, first=0.0, second=1.0)
    await declare_cluster(client, "witness")
    await see_on(client, "second", "witness")
    assert await client.get(Cluster, bound.key) == bound


async def test_clusters_wait_where_a_quota_lets_no_more_be_created(client: Client) -> None:
    await add_cloud(client, "cloud")
    await client.create(Quota(metadata=Metadata(name="few", namespace="red"), spec=QuotaSpec(clusters=1)))
    await declare_cluster(client, "first")
    await see_on(client, "cloud", "first")
    await declare_cluster(client, "second", backoff_limit=0)
    cluster = await see(client, lambda it: it.status.reason is not None, "second")
    assert cluster.status.state is ClusterState.PENDING
    assert cluster.status.reason is not None
    assert cluster.status.reason.message == "The quota few lets 1 clusters of the namespace be created, and 1 are."
    await client.delete(Cluster, Key("red", "first"), force=True)
    assert (await see_on(client, "cloud", "second")).status.reason is None
    await declare_cluster(client, "third", backoff_limit=0)
    await see(client, lambda it: it.status.reason is not None, "third")
    await client.delete(Quota, Key("red", "few"), force=True)
    await see_on(client, "cloud", "third")


async def test_registered_clusters_are_left_alone(client: Client) -> None:
    await add_cloud(client, "cloud")
    await add_cluster(client, "registered")
    await declare_cluster(client, "witness")
    await see_on(client, "cloud", "witness")
    assert (await client.get(Cluster, Key("red", "registered"))).status.scheduled_to is None


async def test_a_cluster_inherits_the_labels_and_metrics_of_its_cloud_without_storing_them(client: Client) -> None:
    await add_metrics(client, load=0.4)
    await add_cloud(client, "cloud", labels={"zone": "a", "tier": "gold"}, metrics=["load"])
    await declare_cluster(client, "cluster", inherit_labels=True, inherit_metrics=True, labels={"zone": "mine", "own": "yes"})
    await see_on(client, "cloud")
    await bring_up(client, "cluster")
    await add_app(client, labels=["zone is a", "tier is gold", "own is yes"], metrics=["load < 0.5"])
    await see_app_on(client, "cluster")
    cluster = await client.get(Cluster, Key("red", "cluster"))
    assert (cluster.metadata.labels, cluster.spec.metrics) == ({"zone": "mine", "own": "yes"}, [])


async def test_a_cluster_inherits_what_it_asks_its_cloud_for(client: Client) -> None:
    await add_metrics(client, load=0.4, heat=0.4)
    await add_cloud(client, "cloud", labels={"zone": "a", "tier": "gold"}, metrics=["load", "heat"])
    await declare_cluster(client, "cluster", wants=["zone is a"], wants_metrics=["load < 0.5"])
    await see_on(client, "cloud")
    await bring_up(client, "cluster")
    await add_app(client, "fits", labels=["zone is a"], metrics=["load < 0.5"])
    await see_app_on(client, "cluster", "fits")
    for name, wanted in {"label": {"labels": ["tier is gold"]}, "metric": {"metrics": ["heat < 0.5"]}}.items():
        await add_app(client, name, **wanted)
        app = await eventually(partial(client.get, Application, Key("red", name)), lambda app: app.status.reason is not None)
        assert app.status.scheduled_to is None


async def test_applications_follow_what_their_clusters_inherit(client: Client) -> None:
    await add_cloud(client, "cloud", labels={"zone": "a"})
    await declare_cluster(client, "cluster", inherit_labels=True)
    await see_on(client, "cloud")
    await bring_up(client, "cluster")
    await add_app(client, labels=["zone is b"], backoff_limit=0)
    await eventually(partial(client.get, Application, Key("red", "app")), lambda app: app.status.reason is not None)
    await client.patch(Cloud, Key("red", "cloud"), {"metadata": {"labels": {"zone": "b"}}})
    await see_app_on(client, "cluster")


async def test_clouds_and_projects_say_which_metrics_fail_and_when_they_are_back(client: Client) -> None:
    await add_metrics(client, load=0.4)
    await add_cloud(client, "cloud", metrics=["load", "missing"])
    await add_global_cloud(client, "global", metrics=["missing"])
    await add_project(client, "project", metrics=["missing"])
    look_at: list[tuple[Any, Key, Any]] = [
        (Cloud, Key("red", "cloud"), CloudState),
        (GlobalCloud, Key(None, "global"), CloudState),
        (Project, Key("red", "project"), ProjectState),
    ]
    for kind, key, states in look_at:
        host = await eventually(partial(client.get, kind, key), lambda it, s=states: it.status.state is s.FAILING_METRICS)
        assert {name: reason.code for name, reason in host.status.metrics_reasons.items()} == {
            "missing": ReasonCode.UNKNOWN_METRIC
        }
    versions = [(await client.get(kind, key)).metadata.resource_version for kind, key, _ in look_at]
    await declare_cluster(client, "cluster")
    await see_on(client, "cloud")
    # Many rounds of measuring later, nothing was written that was written before.
    for _ in range(5):
        await set_values(client, load=0.4)
        await set_values(client, load=0.5)
    assert [(await client.get(kind, key)).metadata.resource_version for kind, key, _ in look_at] == versions
    await client.patch(Cloud, Key("red", "cloud"), {"spec": {"openstack": {"metrics": [{"name": "load", "weight": 1}]}}})
    cloud = await eventually(partial(client.get, Cloud, Key("red", "cloud")), lambda it: it.status.state is CloudState.ONLINE)
    assert cloud.status.metrics_reasons == {}


async def test_a_magnum_cluster_goes_to_a_project_and_takes_over_its_labels_and_metrics(client: Client) -> None:
    await add_metrics(client, load=0.4, own=0.4)
    await add_project(client, "north", labels={"zone": "a"})
    await add_project(client, "south", labels={"zone": "b", "tier": "gold"}, metrics=["load", "own"])
    await add_magnum_cluster(client, "magnum", wants=["zone is b"], labels={"tier": "mine"}, metrics={"own": 7})
    magnum = await see_magnum(client, lambda it: it.status.project is not None)
    assert magnum.status.project == Project.definition.ref(Key("red", "south"))
    assert magnum.status.template == "template-of-south"
    assert (magnum.status.state, magnum.status.reason) == (MagnumClusterState.PENDING, None)
    assert magnum.metadata.labels == {"zone": "b", "tier": "mine"}
    assert [(metric.name, metric.weight) for metric in magnum.spec.metrics] == [("own", 7), ("load", 1)]


async def test_a_magnum_cluster_that_fits_in_no_project_is_left_in_peace_until_one_fits(client: Client) -> None:
    await add_magnum_cluster(client, "magnum", wants=["zone is b"])
    refused = await see_magnum(client, lambda it: it.status.reason is not None)
    assert refused.status.state is MagnumClusterState.FAILED
    assert refused.status.reason is not None
    assert refused.status.reason.message == "None of the projects matches: There are no projects; declare one."
    await add_magnum_cluster(client, "witness")
    await see_magnum(client, lambda it: it.status.reason is not None, "witness")
    assert await client.get(MagnumCluster, refused.key) == refused
    await add_project(client, "late", labels={"zone": "b"})
    magnum = await see_magnum(client, lambda it: it.status.project is not None)
    assert (magnum.status.state, magnum.status.reason) == (MagnumClusterState.PENDING, None)


async def test_a_magnum_cluster_that_gets_nothing_of_its_project_is_bound_all_the_same(client: Client) -> None:
    await add_project(client, "bare")
    await add_magnum_cluster(client, "magnum")
    await see_magnum(client, lambda it: it.status.project is not None)


async def test_projects_whose_metrics_fail_are_still_taken(client: Client) -> None:
    await add_project(client, "project", metrics=["missing"])
    await add_magnum_cluster(client, "magnum")
    await see_magnum(client, lambda it: it.status.project is not None)
