"""The scheduler against a real API: what users see come of their applications."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
from component.controllers.world import (
    MANIFEST,
    add_app,
    add_cluster,
    eventually,
    running,
    running_process,
    set_state,
)

from krake.client import Client
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import MetricsConfig, SchedulerConfig
from krake.data import Key, Metadata, Reason, ReasonCode
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    MetricSpec,
    MetricSpecProvider,
    MetricsProviderSpec,
    StaticSpec,
)
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.ports.metrics import Answers, MetricsSource

APP = Key("red", "app")
SERVED = 30.0
"""Seconds for which a placement stands: longer than any test, so that what happens is not the timer's doing."""


@pytest.fixture
async def scheduler(api: str) -> AsyncIterator[None]:
    async with running(partial(build, SchedulerConfig(reschedule_after=SERVED)), api):
        yield


@pytest.fixture
def impatient(api: str) -> AbstractAsyncContextManager[None]:
    """A scheduler by which placements hardly stand."""
    return running(partial(build, SchedulerConfig(reschedule_after=0.2)), api)


async def see(client: Client, accept: Callable[[Application], bool], name: str = "app") -> Application:
    return await eventually(partial(client.get, Application, Key("red", name)), accept)


async def see_placed(client: Client, cluster: str, name: str = "app") -> Application:
    return await see(client, lambda app: app.status.scheduled_to is not None and app.status.scheduled_to.name == cluster, name)


async def see_refused(client: Client) -> Application:
    return await see(client, lambda app: app.status.reason is not None)


async def settle(client: Client, name: str = "witness") -> None:
    """Return when the scheduler has worked through all that happened so far, and through what came of that."""
    for each in (f"{name}-1", f"{name}-2"):
        await add_app(client, each)
        await see(client, lambda app: app.status.scheduled_to is not None or app.status.reason is not None, each)


async def add_metric(client: Client, values: dict[str, float], names: dict[str, str]) -> None:
    """Declare a provider and metrics of 0..1; *names* are theirs at the provider."""
    await client.create(
        GlobalMetricsProvider(metadata=Metadata(name="static"), spec=MetricsProviderSpec(value=StaticSpec(metrics=values)))
    )
    for name, theirs in names.items():
        provider = MetricSpecProvider(name="static", metric=theirs)
        await client.create(GlobalMetric(metadata=Metadata(name=name), spec=MetricSpec(min=0, max=1, provider=provider)))


async def set_values(client: Client, **values: float) -> None:
    await client.patch(GlobalMetricsProvider, Key(None, "static"), {"spec": {"static": {"metrics": values}}})


@pytest.mark.usefixtures("scheduler")
async def test_an_application_goes_to_the_cluster_that_fits(client: Client) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    await add_cluster(client, "south", labels={"zone": "b"})
    await add_app(client, labels=["zone is b"])
    app = await see_placed(client, "south")
    assert app.status.kube_controller_triggered is not None
    assert app.status.kube_controller_triggered >= app.metadata.modified
    assert [owner.name for owner in app.metadata.owners] == ["south"]


@pytest.mark.usefixtures("scheduler")
async def test_an_application_that_fits_nowhere_says_so_and_goes_as_soon_as_a_cluster_appears(client: Client) -> None:
    await add_app(client)
    app = await see_refused(client)
    assert app.status.state is ApplicationState.FAILED
    assert app.status.reason is not None
    assert (app.status.reason.code, app.status.reason.message) == (
        ReasonCode.NO_SUITABLE_RESOURCE,
        "No matching Kubernetes cluster found: There is no cluster in its namespace.",
    )
    assert app.status.scheduled_retry is not None
    await add_cluster(client, "late")
    await see_placed(client, "late")
    app = await see(client, lambda app: app.status.reason is None)
    assert (app.status.retries, app.status.scheduled_retry) == (None, None)


@pytest.mark.usefixtures("scheduler")
@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("a label", {"metadata": {"labels": {"zone": "b"}}}),
        ("a state", {"status": {"state": "ONLINE"}}),
    ],
)
async def test_without_attempts_left_a_change_still_leads_to_a_new_one(
    client: Client, reason: str, change: dict[str, Any]
) -> None:
    online = "status" not in change
    await add_cluster(client, "north", labels={"zone": "a" if online else "b"}, state="ONLINE" if online else "OFFLINE")
    await add_app(client, labels=["zone is b"], backoff_limit=0)
    app = await see_refused(client)
    assert (app.status.retries, app.status.scheduled_retry) == (0, None)
    await client.patch(Cluster, Key("red", "north"), change, subresource="status" if "status" in change else None)
    await see_placed(client, "north")


@pytest.mark.usefixtures("scheduler")
async def test_a_limit_of_attempts_is_used_up_and_comes_back_with_a_change(client: Client) -> None:
    await add_app(client, backoff_limit=1)
    app = await see(client, lambda app: app.status.retries == 0 and app.status.scheduled_retry is None)
    assert app.status.state is ApplicationState.FAILED
    await client.patch(Application, APP, {"spec": {"backoff_limit": 5, "backoff_delay": 1000}})
    app = await see(client, lambda app: app.status.retries == 4)
    assert app.status.scheduled_retry is not None


@pytest.mark.usefixtures("scheduler")
async def test_an_application_that_fits_nowhere_is_left_in_peace(client: Client) -> None:
    """Its own status must not make the scheduler write it again and again."""
    await add_app(client, backoff_delay=1000)
    refused = await see_refused(client)
    await add_cluster(client, "useless", state="OFFLINE")
    await settle(client)
    assert await client.get(Application, APP) == refused


@pytest.mark.usefixtures("scheduler")
async def test_an_application_leaves_a_cluster_that_does_not_fit_any_more(client: Client) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    await add_app(client, labels=["zone is a"])
    await see_placed(client, "north")
    await add_cluster(client, "south", labels={"zone": "a"})
    await client.patch(Cluster, Key("red", "north"), {"metadata": {"labels": {"zone": "b"}}})
    await see_placed(client, "south")
    await client.patch(Cluster, Key("red", "south"), {"metadata": {"labels": {"zone": "b"}}})
    app = await see_refused(client)
    assert app.status.scheduled_to is not None
    assert app.status.scheduled_to.name == "south"
    assert app.status.state is not ApplicationState.FAILED
    await client.patch(Cluster, Key("red", "south"), {"metadata": {"labels": {"zone": "a"}}})
    await see(client, lambda app: app.status.reason is None)


@pytest.mark.usefixtures("scheduler")
@pytest.mark.parametrize("migration", [True, False])
async def test_a_changed_application_is_handed_over_anew(client: Client, migration: bool) -> None:
    await add_cluster(client, "north")
    await add_app(client, migration=migration)
    placed = await see_placed(client, "north")
    changed = await client.patch(Application, APP, {"spec": {"manifest": [{**MANIFEST, "data": {"text": "bye"}}]}})
    app = await see(
        client, lambda app: (app.status.kube_controller_triggered or placed.metadata.created) >= changed.metadata.modified
    )
    assert app.status.scheduled_to == placed.status.scheduled_to
    assert app.status.scheduled == placed.status.scheduled


@pytest.mark.usefixtures("scheduler")
async def test_an_application_that_may_not_move_stays(client: Client) -> None:
    await add_cluster(client, "north")
    await add_app(client, migration=False)
    placed = await see_placed(client, "north")
    await add_cluster(client, "east")
    await set_state(client, "north", "OFFLINE")
    await settle(client)
    assert await client.get(Application, APP) == placed


@pytest.mark.usefixtures("scheduler")
async def test_the_better_metric_wins(client: Client) -> None:
    await add_metric(client, {"n": 0.3, "s": 0.8}, {"load-north": "n", "load-south": "s"})
    await add_cluster(client, "north", metrics=["load-north"])
    await add_cluster(client, "south", metrics=["load-south"])
    await add_app(client)
    await see_placed(client, "south")
    await add_app(client, "picky", metrics=["load-north <= 0.5"])
    await see_placed(client, "north", "picky")


@pytest.mark.usefixtures("scheduler")
async def test_a_metric_that_changes_leads_to_a_new_attempt_at_once(client: Client) -> None:
    await add_metric(client, {"n": 0.3}, {"load-north": "n"})
    await add_cluster(client, "north", metrics=["load-north"])
    await add_app(client, metrics=["load-north > 0.5"], backoff_limit=0)
    await see_refused(client)
    await set_values(client, n=0.9)
    await see_placed(client, "north")


async def test_a_binding_is_not_repeated_while_its_outcome_is_not_seen_yet(client: Client) -> None:
    await add_cluster(client, "north")
    await add_app(client)
    parts = build(SchedulerConfig(worker_count=1), client)
    apps, *others = parts.informers
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (*others, *parts.controllers)]
        blind = group.create_task(apps.run())
        await asyncio.gather(*(each.synced.wait() for each in parts.informers))
        blind.cancel()
        parts.controllers[1].enqueue(APP)
        await see_placed(client, "north")
        parts.controllers[1].enqueue(APP)
        tasks.append(group.create_task(apps.run()))
        await settle(client)
        for task in tasks:
            task.cancel()
    app = await client.get(Application, APP)
    # A second binding to the same cluster would have moved the later of the two.
    assert app.status.scheduled == app.status.kube_controller_triggered


async def test_an_application_follows_the_metrics(client: Client, impatient: AbstractAsyncContextManager[None]) -> None:
    await add_metric(client, {"n": 0.3, "s": 0.8}, {"load-north": "n", "load-south": "s"})
    await add_cluster(client, "north", metrics=["load-north"])
    await add_cluster(client, "south", metrics=["load-south"])
    async with impatient:
        await add_app(client)
        await see_placed(client, "south")
        await set_values(client, n=0.9, s=0.8)
        await see_placed(client, "north")


@pytest.mark.usefixtures("scheduler")
async def test_a_failing_metric_shows_and_costs_only_the_ranking(client: Client) -> None:
    await add_metric(client, {}, {"load-north": "n"})
    await add_cluster(client, "north", metrics=["load-north", "unheard-of"])
    north = await eventually(
        partial(client.get, Cluster, Key("red", "north")), lambda each: len(each.status.metrics_reasons) == 2
    )
    assert north.status.state is ClusterState.FAILING_METRICS
    codes = {name: reason.code for name, reason in north.status.metrics_reasons.items()}
    assert codes == {"load-north": ReasonCode.INVALID_METRIC, "unheard-of": ReasonCode.UNKNOWN_METRIC}
    await add_app(client)
    await see_placed(client, "north")
    await set_values(client, n=0.5)
    await client.patch(Cluster, Key("red", "north"), {"spec": {"metrics": [{"name": "load-north", "weight": 1}]}})
    north = await eventually(
        partial(client.get, Cluster, Key("red", "north")), lambda each: each.status.state is ClusterState.ONLINE
    )
    assert north.status.metrics_reasons == {}


class Hanging:
    """A source that never answers."""

    async def fetch(self, names: Collection[str]) -> Answers:
        await asyncio.Event().wait()
        return {}


class Broken:
    """A source with a mistake in it."""

    async def fetch(self, names: Collection[str]) -> Answers:
        raise KeyError("result")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Hanging(), "The metrics provider 'static' did not answer within 0.5 s."),
        (Broken(), "The metrics provider 'static' answered something that can not be read."),
    ],
)
async def test_a_bad_provider_holds_nothing_up(client: Client, api: str, source: MetricsSource, words: str) -> None:
    config = SchedulerConfig(metrics=MetricsConfig(timeout=0.5))
    await add_metric(client, {}, {"load": "n"})
    await add_cluster(client, "north", metrics=["load"])
    async with running(partial(build, config, connect=lambda provider: source), api):
        await add_app(client)
        await see_placed(client, "north")
        north = await eventually(
            partial(client.get, Cluster, Key("red", "north")), lambda each: bool(each.status.metrics_reasons)
        )
    assert north.status.metrics_reasons["load"] == Reason(code=ReasonCode.UNREACHABLE_METRICS_PROVIDER, message=words)


@pytest.mark.usefixtures("scheduler")
async def test_clusters_of_other_namespaces_are_nobodys_business(client: Client) -> None:
    await add_cluster(client, "north", namespace="blue")
    await add_app(client)
    await see_refused(client)


async def test_a_scheduler_that_is_killed_and_started_again_goes_on(client: Client, api: str) -> None:
    await add_cluster(client, "north")
    for number in range(60):
        await add_app(client, f"app-{number}")

    async def placed() -> int:
        return sum(app.status.scheduled_to is not None for app in (await client.list(Application, "red")).items)

    async with running_process("krake.controller.scheduler", api) as process:
        await eventually(placed, lambda count: count > 0)
        process.kill()
        await process.wait()
    async with running_process("krake.controller.scheduler", api) as process:
        await eventually(placed, lambda count: count == 60)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
