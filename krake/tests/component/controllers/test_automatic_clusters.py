"""Clusters are chosen a cloud, created there and used, by all controllers together: against a real API and simulated clouds."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from component.controllers.clouds import add_provider, config, see, template
from component.controllers.hosts import add_metrics
from component.controllers.world import add_app, eventually, running
from fixtures.simulated_clouds import StartCloud, StartProvider

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.infrastructure.assembly import build as build_infrastructure
from krake.controller.kubernetes.application.controller import build as build_application
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.cluster.controller import build as build_cluster
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.runtime import ControllerConfig
from krake.controller.scheduler.controller import build as build_scheduler
from krake.controller.scheduler.settings import ClusterCreationConfig, MetricsConfig, SchedulerConfig
from krake.data import Key, Metadata
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.core import MetricRef
from krake.data.infrastructure import Cloud, CloudSpec, CloudState
from krake.data.kubernetes import (
    Application,
    ApplicationState,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterSpec,
    ClusterState,
)
from krake.lib.backoff import Backoff
from krake.simulator.infrastructure import SimulatedProvider
from krake.simulator.openstack import SimulatedCloud

TEMPLATE = template(1)
Run = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def run(api: str, tmp_path: Path) -> Run:
    """Runs everything but the API: each controller as it is, with settings that leave no time to sleep."""
    file = tmp_path / "cluster.yaml"
    file.write_text(json.dumps(TEMPLATE))

    @asynccontextmanager
    async def start(*, retention: int = 600, check_interval: float = 0.2, **more: Any) -> AsyncIterator[None]:
        creation = ClusterCreationConfig(
            tosca_file=str(file), deletion_retention=retention, backoff_delay=0, backoff_limit=more.pop("backoff_limit", 1)
        )
        scheduling = SchedulerConfig(
            reschedule_after=1.0, metrics=MetricsConfig(interval=0.2), automatic_cluster_creation=creation, debounce=0.0
        )
        builds: list[Any] = [
            partial(build_scheduler, scheduling),
            partial(build_infrastructure, config(check_interval=check_interval, **more)),
            partial(build_cluster, ClusterControllerConfig()),
            partial(build_application, ApplicationControllerConfig()),
            partial(build_gc, ControllerConfig()),
        ]
        async with AsyncExitStack() as stack:
            for build in builds:
                await stack.enter_async_context(running(build, api))
            yield

    return start


async def add_site(client: Client, provider: SimulatedProvider, cloud: SimulatedCloud, metric: str) -> None:
    """Register a cloud, and a provider of the same name that creates clusters there."""
    await add_provider(client, provider.url, cloud.name)
    login = {"user": {"username": cloud.user.name, "password": cloud.user.password}, "project": {"name": cloud.project.name}}
    openstack = {
        "url": cloud.url,
        "auth": {"type": "password", "password": login},
        "metrics": [MetricRef(name=metric, weight=1).serialize()],
        "infrastructure_provider": {"name": cloud.name, "namespaced": True},
    }
    spec = CloudSpec.restore({"type": "openstack", "openstack": openstack})
    await client.create(Cloud(metadata=Metadata(name=cloud.name, namespace="red", labels={"site": cloud.name}), spec=spec))


async def ask(client: Client, name: str = "app", **more: Any) -> Application:
    """Create an application for which a cluster may be created."""
    return await add_app(client, name, auto_cluster_create=True, **more)


async def see_app(client: Client, accept: Callable[[Application], bool], name: str = "app") -> Application:
    return await eventually(partial(client.get, Application, Key("red", name)), accept)


async def see_running(client: Client, name: str = "app", *, on: str | None = None) -> Cluster:
    """Return the cluster on which an application runs."""

    def runs(app: Application) -> bool:
        place = app.status.running_on
        return app.status.state is ApplicationState.RUNNING and place is not None and place.name == (on or place.name)

    place = (await see_app(client, runs, name)).status.running_on
    assert place is not None
    return await client.get(Cluster, place.key)


async def names_of(client: Client) -> list[str]:
    return [cluster.metadata.name for cluster in (await client.list(Cluster, "red")).items]


@pytest.fixture
async def sites(
    client: Client, start_simulated_provider: StartProvider, start_simulated_cloud: StartCloud
) -> dict[str, SimulatedProvider]:
    """Two clouds, each with a provider of its own: all that is said of it by labels and metrics."""
    await add_metrics(client, green=0.9, grey=0.2)
    found = {name: await start_simulated_provider() for name in ("north", "south")}
    for name, metric in (("north", "green"), ("south", "grey")):
        await add_site(client, found[name], await start_simulated_cloud(name), metric)
    return found


async def declare(client: Client, name: str, label: str | None = None, metric: str | None = None) -> Cluster:
    wanted = CloudConstraints(
        labels=[LabelConstraint.parse(label)] if label else None,
        metrics=[MetricConstraint.parse(metric)] if metric else None,
    )
    spec = ClusterSpec(tosca=TEMPLATE, constraints=ClusterCloudConstraints(cloud=wanted), inherit_metrics=True)
    metadata = Metadata(name=name, namespace="red", inherit_labels=True)
    return await client.create(Cluster(metadata=metadata, spec=spec))


async def test_clusters_are_created_where_labels_and_metrics_say(
    client: Client, run: Run, sites: dict[str, SimulatedProvider]
) -> None:
    async with run():
        await declare(client, "by-label", label="site is south")
        await declare(client, "by-metric", metric="green > 0.5")
        await declare(client, "best")
        await declare(client, "nowhere", label="site is west")
        for name, site in (("by-label", "south"), ("by-metric", "north"), ("best", "north")):
            cluster = await see(client, lambda cluster: cluster.status.state is ClusterState.ONLINE, name)
            assert cluster.status.running_on is not None
            assert cluster.status.running_on.name == site
            assert cluster.status.cluster_id in sites[site].infrastructures
        waiting = await see(client, lambda cluster: cluster.status.reason is not None, "nowhere")
        assert waiting.status.reason is not None
        assert "north" in waiting.status.reason.message
        await add_app(client, labels=["site is south"])
        assert (await see_running(client)).metadata.name == "by-label"
        assert [len(sites[name].infrastructures) for name in ("north", "south")] == [2, 1]


async def test_an_application_that_fits_nowhere_gets_a_cluster_which_goes_with_it(
    client: Client, run: Run, sites: dict[str, SimulatedProvider]
) -> None:
    async with run(retention=1):
        await ask(client, labels=["site is south"])
        cluster = await see_running(client)
        assert cluster.spec.auto_generated
        (made,) = sites["south"].infrastructures
        assert cluster.status.cluster_id == made
        await client.delete(Application, Key("red", "app"))
        await eventually(partial(names_of, client), lambda names: names == [])
        assert sites["south"].infrastructures == {}
        assert sites["north"].infrastructures == {}


@pytest.mark.parametrize("trouble", ["failed", "unconfigured", "rejected"])
async def test_a_cluster_that_can_not_be_created_is_created_elsewhere(
    client: Client, run: Run, sites: dict[str, SimulatedProvider], trouble: str
) -> None:
    if trouble == "rejected":
        sites["north"].service.answer_with(400, "POST /infrastructures", times=1000)
    else:
        sites["north"].settings.fate = trouble  # type: ignore[assignment]
    async with run(retention=1):
        await ask(client)
        app = await see_app(client, lambda app: app.status.auto_cluster_create_started is not None)
        first = app.status.auto_cluster_create_started
        cluster = await see_running(client)
        assert cluster.metadata.name != first
        assert cluster.status.running_on is not None
        assert cluster.status.running_on.name == "south"


async def test_what_failed_is_cleared_away_and_tried_again(
    client: Client, run: Run, sites: dict[str, SimulatedProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krake.controller.scheduler.provisioning.creation.FAILED_RETENTION", timedelta(seconds=2))
    sites["north"].settings.fate = "failed"
    async with run(retention=1):
        await ask(client, labels=["site is north"])
        (first,) = await eventually(partial(names_of, client), lambda names: len(names) == 1)
        await see(client, lambda cluster: cluster.status.state is ClusterState.FAILED, first)
        told = await see_app(client, lambda app: app.status.reason is not None)
        assert told.status.reason is not None
        assert f"The cluster {first} has failed there" in told.status.reason.message
        sites["north"].settings.fate = "configured"
        cluster = await see_running(client)
        assert cluster.metadata.name != first
        await eventually(partial(names_of, client), lambda names: names == [cluster.metadata.name])
        assert set(sites["north"].infrastructures) == {cluster.status.cluster_id}


async def test_where_clusters_come_to_nothing_the_next_one_waits(
    client: Client, run: Run, sites: dict[str, SimulatedProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krake.controller.scheduler.provisioning.creation.FAILED_RETENTION", timedelta(seconds=0.5))
    monkeypatch.setattr("krake.controller.scheduler.provisioning.setbacks.PAUSES", Backoff(6.0, 6.0))
    sites["north"].settings.fate = "failed"
    async with run(retention=0, backoff_limit=0):
        await ask(client, labels=["site is north"])
        said = "clusters in a row have come to nothing there"
        await see_app(client, lambda app: app.status.reason is not None and said in app.status.reason.message)
        sites["north"].settings.fate = "configured"
        # That the wait is over is noticed, too.
        cluster = await see_running(client)
        assert set(sites["north"].infrastructures) == {cluster.status.cluster_id}


async def test_nothing_is_created_on_clouds_that_are_offline(
    client: Client, run: Run, sites: dict[str, SimulatedProvider]
) -> None:
    for site in sites.values():
        site.accepts = lambda owner: False
    async with run():
        for name in sites:
            look = partial(client.get, Cloud, Key("red", name))
            await eventually(look, lambda cloud: cloud.status.state is CloudState.OFFLINE)
        await ask(client)
        told = await see_app(client, lambda app: app.status.reason is not None)
        assert told.status.reason is not None
        assert "north: It is OFFLINE: The infrastructure provider 'north' is OFFLINE: " in told.status.reason.message
        assert await names_of(client) == []
        sites["south"].accepts = lambda owner: True
        cluster = await see_running(client)
        assert cluster.status.running_on is not None
        assert cluster.status.running_on.name == "south"
        assert sites["north"].infrastructures == {}


async def test_whatever_is_restarted_meanwhile_there_is_one_cluster(
    client: Client, run: Run, sites: dict[str, SimulatedProvider]
) -> None:
    sites["north"].settings.boot_delay = 0.5
    async with run():
        await ask(client)
        await eventually(partial(names_of, client), lambda names: len(names) == 1)
    async with run():
        (name,) = await names_of(client)
        await see(client, lambda cluster: cluster.status.state is ClusterState.CREATING, name)
    async with run():
        await see(client, lambda cluster: cluster.status.cluster_id is not None, name)
    async with run():
        assert (await see_running(client)).metadata.name == name
        assert await names_of(client) == [name]
        assert [len(site.infrastructures) for site in sites.values()] == [1, 0]


async def test_a_provider_that_goes_away_while_it_creates_is_given_up(
    client: Client, run: Run, sites: dict[str, SimulatedProvider]
) -> None:
    sites["north"].settings.boot_delay = 60.0
    async with run(creation_timeout=1.0, search_time=0.2, backoff_limit=0):
        await ask(client)
        (name,) = await eventually(partial(names_of, client), lambda names: len(names) == 1)
        await see(client, lambda cluster: cluster.status.cluster_id is not None, name)
        await sites["north"].stop()
        cluster = await see_running(client)
        assert cluster.status.running_on is not None
        assert cluster.status.running_on.name == "south"
        # What it may have made goes as soon as it is back, and the cluster with it.
        failed = await see(client, lambda cluster: cluster.status.state is ClusterState.FAILED, name)
        await client.delete(Cluster, failed.key)
        await sites["north"].start()
        # There may be another one on this cloud soon, which is the better one.
        await eventually(partial(names_of, client), lambda names: name not in names)
        assert failed.status.cluster_id not in sites["north"].infrastructures


async def test_a_cloud_that_goes_offline_meanwhile_is_not_waited_for(
    client: Client, run: Run, sites: dict[str, SimulatedProvider]
) -> None:
    sites["north"].settings.boot_delay = 60.0
    async with run(retention=1):
        await ask(client)
        (name,) = await eventually(partial(names_of, client), lambda names: len(names) == 1)
        left = await see(client, lambda cluster: cluster.status.cluster_id is not None, name)
        await sites["north"].stop()
        cluster = await see_running(client)
        assert cluster.status.running_on is not None
        assert cluster.status.running_on.name == "south"
        await sites["north"].start()
        await eventually(partial(names_of, client), lambda names: name not in names)
        assert left.status.cluster_id not in sites["north"].infrastructures
