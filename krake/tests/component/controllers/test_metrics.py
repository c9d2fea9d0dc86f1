"""How metrics are measured, against a real API: who is asked, what counts while nobody answers, and what users see of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
from component.controllers.world import add_app, add_cluster, eventually, running, set_state
from fixtures.metrics import Prometheus
from fixtures.polling import until

from krake.client import Client
from krake.controller.runtime import Recorder
from krake.controller.runtime.process import Parts
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.metrics import meter as meter_module
from krake.controller.scheduler.metrics.measuring import Provider
from krake.controller.scheduler.metrics.meter import Connect, Meter, Sight
from krake.controller.scheduler.settings import MetricsConfig, SchedulerConfig
from krake.data import Key, Metadata, ReasonCode
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    Metric,
    MetricRef,
    MetricSpec,
    MetricSpecProvider,
    MetricsProvider,
    MetricsProviderSpec,
    PrometheusSpec,
    StaticSpec,
)
from krake.data.events import Event
from krake.data.infrastructure import (
    Cloud,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudState,
    CloudUser,
    InfrastructureProviderRef,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.kubernetes import Application, Cluster, ClusterState
from krake.data.openstack import AuthMethod, Project, ProjectId, ProjectPassword, ProjectSpec, ProjectState, ProjectUser
from krake.ports.metrics import Answers, MetricError, ProviderError, Sample

QUICK = SchedulerConfig(metrics=MetricsConfig(interval=0.1, timeout=0.5))


class Fake:
    """A provider whose answers a test sets, by names; an exception is that of the whole provider."""

    def __init__(self, **answers: float | MetricError) -> None:
        self.answers: dict[str, float | MetricError] = answers
        self.error: Exception | None = None
        self.hangs = False
        self.delay = 0.0
        self.asked: list[set[str]] = []

    async def fetch(self, names: Collection[str]) -> Answers:
        self.asked.append(set(names))
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return {
            name: answer if isinstance(answer, MetricError) else Sample(answer)
            for name, answer in self.answers.items()
            if name in names
        }


class Fakes:
    """The providers of a test, by their names; those that are not here are static ones."""

    def __init__(self) -> None:
        self.by_name: dict[str, Fake] = {}

    def connect(self, provider: Provider) -> Fake:
        assert isinstance(provider.spec.value, StaticSpec)
        return self.by_name.get(provider.metadata.name) or Fake(**provider.spec.value.metrics)


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def scheduler(api: str, fakes: Fakes) -> AbstractAsyncContextManager[None]:
    return running(partial(build, QUICK, connect=fakes.connect), api)


async def declare(client: Client, provider: str, *metrics: str, **spec: Any) -> None:
    """Declare a global provider, and global metrics of 0..1 that it knows by their names."""
    static = MetricsProviderSpec(value=StaticSpec(metrics={}))
    await client.create(GlobalMetricsProvider(metadata=Metadata(name=provider), spec=static))
    for name in metrics:
        source = MetricSpecProvider(name=provider, metric=name)
        await client.create(GlobalMetric(metadata=Metadata(name=name), spec=MetricSpec(min=0, max=1, provider=source, **spec)))


async def see_cluster(client: Client, accept: Callable[[Cluster], bool], name: str = "north") -> Cluster:
    return await eventually(partial(client.get, Cluster, Key("red", name)), accept)


async def see_placed(client: Client, cluster: str, name: str = "app") -> Application:
    return await eventually(
        partial(client.get, Application, Key("red", name)),
        lambda app: app.status.scheduled_to is not None and app.status.scheduled_to.name == cluster,
    )


async def see_events(client: Client, reason: str, name: str, count: int = 1) -> list[Event]:
    async def look() -> list[Event]:
        events = (await client.list(Event)).items
        found = [each for each in events if each.reason == reason and each.regarding.name == name]
        return found if len(found) >= count else []

    return await until(look)


def fails(cluster: Cluster) -> bool:
    return cluster.status.state is ClusterState.FAILING_METRICS


def is_well(cluster: Cluster) -> bool:
    return cluster.status.state is ClusterState.ONLINE and not cluster.status.metrics_reasons


async def test_a_provider_is_asked_once_for_all_who_use_it(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    fake = fakes.by_name["shared"] = Fake(load=0.5, heat=0.5)
    await declare(client, "shared", "load", "heat", "unused")
    for number in range(30):
        await add_cluster(client, f"cluster-{number}", metrics=["load", "heat"])
    async with scheduler:
        await until(lambda: _true(len(fake.asked) > 5))
    # Once more for each that turned up at the start, at most; never for each of the clusters, again and again.
    assert fake.asked[-1] == {"load", "heat"}
    assert len(fake.asked) < 15


async def _true(holds: bool) -> bool:
    return holds


async def test_a_provider_that_hangs_costs_nobody_else_anything(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    for number in range(100):
        fake = fakes.by_name[f"dead-{number}"] = Fake()
        fake.hangs = True
        await declare(client, f"dead-{number}", f"dead-{number}")
        await add_cluster(client, f"dead-{number}", metrics=[f"dead-{number}"])
    live = fakes.by_name["live"] = Fake(load=0.5)
    await declare(client, "live", "load")
    await add_cluster(client, "live", metrics=["load"])
    async with scheduler:
        await see_cluster(client, fails, "dead-99")
        before, loop = len(live.asked), asyncio.get_running_loop()
        started = loop.time()
        await until(lambda: _true(len(live.asked) > before + 10))
        assert loop.time() - started < 5
        assert is_well(await client.get(Cluster, Key("red", "live")))


async def test_providers_that_answer_just_in_time_hold_up_no_quick_one(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_module, "HEALTHY", 2)
    monkeypatch.setattr(meter_module, "SLOW", 0.2)
    for number in range(10):
        fakes.by_name[f"slow-{number}"] = fake = Fake(**{f"slow-{number}": 0.5})
        fake.delay = 0.4
        await declare(client, f"slow-{number}", f"slow-{number}")
        await add_cluster(client, f"slow-{number}", metrics=[f"slow-{number}"])
    live = fakes.by_name["live"] = Fake(load=0.5)
    await declare(client, "live", "load")
    await add_cluster(client, "live", metrics=["load"])
    async with scheduler:
        await until(lambda: _true(all(fakes.by_name[f"slow-{number}"].asked for number in range(10))))
        before, loop = len(live.asked), asyncio.get_running_loop()
        started = loop.time()
        await until(lambda: _true(len(live.asked) > before + 10))
        assert loop.time() - started < 5
        assert is_well(await client.get(Cluster, Key("red", "slow-0")))


async def test_a_failure_shows_with_its_reason_and_goes(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    fake = fakes.by_name["source"] = Fake(load=0.5, heat=0.5)
    await declare(client, "source", "load", "heat")
    await add_cluster(client, "north", metrics=["load", "heat"])
    async with scheduler:
        await until(lambda: _true(len(fake.asked) > 2))
        fake.answers["heat"] = MetricError("The sensor is broken.")
        north = await see_cluster(client, fails)
        assert {name: reason.message for name, reason in north.status.metrics_reasons.items()} == {
            "heat": "The sensor is broken."
        }
        fake.error = ProviderError("It is down.")
        north = await see_cluster(client, lambda each: len(each.status.metrics_reasons) == 2)
        assert {reason.code for reason in north.status.metrics_reasons.values()} == {ReasonCode.UNREACHABLE_METRICS_PROVIDER}
        fake.error, fake.answers["heat"] = None, 0.5
        await see_cluster(client, is_well)
        told = {event.message for event in await see_events(client, "FailingMetrics", "north", count=2)}
        assert told == {"heat: The sensor is broken.", "heat: It is down.; load: It is down."}
        assert await see_events(client, "MetricsRecovered", "north")
        assert (await see_events(client, "ProviderFailing", "source"))[0].message == "It is down."
        assert await see_events(client, "ProviderRecovered", "source")


async def test_a_cluster_in_another_state_keeps_it(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    fakes.by_name["source"] = fake = Fake()
    await declare(client, "source", "load")
    await add_cluster(client, "north", metrics=["load"], state="OFFLINE")
    async with scheduler:
        north = await see_cluster(client, lambda each: bool(each.status.metrics_reasons))
        assert north.status.state is ClusterState.OFFLINE
        await set_state(client, "north", "ONLINE")
        await see_cluster(client, fails)
        await set_state(client, "north", "OFFLINE")
        fake.answers["load"] = 0.5
        north = await see_cluster(client, lambda each: not each.status.metrics_reasons)
        assert north.status.state is ClusterState.OFFLINE


async def test_what_fails_all_the_time_is_written_once(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    fake = fakes.by_name["source"] = Fake(load=MetricError("Try 0."))
    await declare(client, "source", "load")
    await add_cluster(client, "north", metrics=["load"])
    async with scheduler:
        told = await see_cluster(client, fails)
        for number in range(1, 6):
            fake.answers["load"] = MetricError(f"Try {number}.")
            before = len(fake.asked)
            await until(lambda before=before: _true(len(fake.asked) > before + 1))  # type: ignore[misc]
        assert await client.get(Cluster, told.key) == told


async def test_the_last_value_counts_until_it_is_too_old(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    better, worse = Fake(better=0.9), Fake(worse=0.1)
    fakes.by_name |= {"b": better, "w": worse}
    await declare(client, "b", "better", max_age=1)
    await declare(client, "w", "worse")
    await add_cluster(client, "north", metrics=["better"])
    await add_cluster(client, "south", metrics=["worse"])
    async with scheduler:
        await add_app(client, "before")
        await see_placed(client, "north", "before")
        better.error = ProviderError("It is down.")
        await see_cluster(client, fails)
        await add_app(client, "meanwhile")
        await see_placed(client, "north", "meanwhile")
        # Without a value it is not compared any more, and whoever has metrics is preferred.
        count = 0

        async def goes_south() -> bool:
            nonlocal count
            count += 1
            await add_app(client, f"after-{count}")
            app = await eventually(
                partial(client.get, Application, Key("red", f"after-{count}")),
                lambda app: app.status.scheduled_to is not None,
            )
            return app.status.scheduled_to is not None and app.status.scheduled_to.name == "south"

        await until(goes_south)


async def test_a_metric_may_exclude_what_it_fails_for(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    fakes.by_name["source"] = fake = Fake(load=0.5)
    await declare(client, "source", "load", on_failure="exclude")
    await add_cluster(client, "north", metrics=["load"])
    async with scheduler:
        await add_app(client, "before")
        await see_placed(client, "north", "before")
        fake.error = ProviderError("It is down.")
        await see_cluster(client, fails)
        await add_app(client, "late")
        app = await eventually(partial(client.get, Application, Key("red", "late")), lambda app: app.status.reason is not None)
        assert app.status.reason is not None
        assert "It is down." in app.status.reason.message
        fake.error = None
        await see_placed(client, "north", "late")
        await see_placed(client, "north", "before")


async def test_metrics_of_clouds_and_projects_show_as_well(
    client: Client, fakes: Fakes, scheduler: AbstractAsyncContextManager[None]
) -> None:
    fake = fakes.by_name["source"] = Fake()
    await declare(client, "source", "load")
    metrics = [MetricRef(name="load", weight=1)]
    password = CloudPassword(user=CloudUser(username="u", password="p"), project=CloudProject(name="p"))
    openstack = OpenstackSpec(
        url="https://keystone.example",
        auth=OpenstackAuthMethod(value=password),
        metrics=metrics,
        infrastructure_provider=InfrastructureProviderRef(name="im"),
    )
    await client.create(Cloud(metadata=Metadata(name="cloud", namespace="red"), spec=CloudSpec(value=openstack)))
    auth = AuthMethod(value=ProjectPassword(user=ProjectUser(id="u", password="p"), project=ProjectId(id="p")))
    project = ProjectSpec(url="https://keystone.example", auth=auth, template="t", metrics=metrics)
    await client.create(Project(metadata=Metadata(name="project", namespace="red"), spec=project))
    async with scheduler:
        for failing in (True, False):
            if not failing:
                fake.answers["load"] = 0.5
            state = "FAILING_METRICS" if failing else "ONLINE"
            cloud = await eventually(
                partial(client.get, Cloud, Key("red", "cloud")),
                lambda each, failing=failing: bool(each.status.metrics_reasons) is failing,  # type: ignore[misc]
            )
            assert cloud.status.state is CloudState[state]
            found = await eventually(
                partial(client.get, Project, Key("red", "project")),
                lambda each, failing=failing: bool(each.status.metrics_reasons) is failing,  # type: ignore[misc]
            )
            assert found.status.state is ProjectState[state]


async def test_a_real_prometheus(client: Client, api: str, prometheus: Prometheus) -> None:
    await asyncio.to_thread(prometheus.record, north_heat=0.2, south_heat=0.8)
    spec = MetricsProviderSpec(value=PrometheusSpec(url=prometheus.url))
    await client.create(MetricsProvider(metadata=Metadata(name="prometheus", namespace="red"), spec=spec))
    expressions = {"north": "north_heat", "south": "sum(south_heat) * 0.5 + 0.4", "west": "no_such_metric"}
    for name, expression in expressions.items():
        source = MetricSpecProvider(name="prometheus", metric=expression)
        metric = MetricSpec(min=0, max=1, provider=source)
        await client.create(Metric(metadata=Metadata(name=f"heat-{name}", namespace="red"), spec=metric))
        await add_cluster(client, name)
        refs = [{"name": f"heat-{name}", "weight": 1, "namespaced": True}]
        await client.patch(Cluster, Key("red", name), {"spec": {"metrics": refs}})
    config = SchedulerConfig(reschedule_after=0.1, metrics=MetricsConfig(interval=0.1, timeout=5, allow=["127.0.0.1"]))
    async with running(partial(build, config), api):
        west = await see_cluster(client, fails, "west")
        assert west.status.metrics_reasons["heat-west"].message == (
            "The metrics provider 'prometheus' has no value of 'no_such_metric'."
        )
        await add_app(client)
        await see_placed(client, "south")
        await asyncio.to_thread(prometheus.record, north_heat=0.9, south_heat=0.1)
        await see_placed(client, "north")


@pytest.fixture
async def meter(client: Client, fakes: Fakes) -> AsyncIterator[Meter]:
    """A meter that works for nobody in particular."""
    connect: Connect = fakes.connect
    sight, recorder = Sight.of(client), Recorder(client, "test")
    found = Meter(sight, connect, recorder, MetricsConfig(interval=0.05, timeout=0.5))
    parts = Parts(informers=found.informers, controllers=found.controllers, resources=[recorder])
    async with recorder, asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (*parts.informers, *parts.controllers)]
        await asyncio.gather(*(each.synced.wait() for each in parts.informers))
        yield found
        for task in tasks:
            task.cancel()


async def test_the_meter_tells_which_metrics_have_changed(client: Client, fakes: Fakes, meter: Meter) -> None:
    fake = fakes.by_name["source"] = Fake(load=0.5, heat=0.5)
    await declare(client, "source", "load", "heat")
    refs = [MetricRef(name="load", weight=1), MetricRef(name="heat", weight=2)]
    told: list[frozenset[Key]] = []
    meter.on_change(told.append)

    async def measured() -> bool:
        measurement = meter.measure("red", refs)
        return measurement is not None and len(measurement.readings) == 2

    await until(measured)
    await until(lambda: _true(len(fake.asked) > 5))
    told.clear()
    count = len(fake.asked)
    await until(lambda: _true(len(fake.asked) > count + 3))
    assert told == []
    fake.answers["load"] = 0.7
    await until(lambda: _true(bool(told)))
    assert told == [frozenset({Key(None, "load")})]
    # A change of the declaration is told as well, without waiting for an answer that stays the same.
    told.clear()
    await client.patch(GlobalMetric, Key(None, "heat"), {"spec": {"max": 2}})
    await until(lambda: _true(bool(told)))
    assert told[0] == {Key(None, "heat")}


async def test_what_nobody_wants_to_know_any_more_is_not_asked_for(
    client: Client, fakes: Fakes, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krake.controller.scheduler.metrics.meter.KEPT", 0.5)
    fake = fakes.by_name["source"] = Fake(load=0.5, heat=0.5)
    await declare(client, "source", "load", "heat")
    load, heat = MetricRef(name="load", weight=1), MetricRef(name="heat", weight=1)
    meter.measure("red", [load, heat])
    await until(lambda: _true({"load", "heat"} in fake.asked))

    async def only_load() -> bool:
        meter.measure("red", [load])
        return fake.asked[-1] == {"load"}

    await until(only_load)
    # It is asked for again as soon as somebody wants to know it.
    assert meter.measure("red", [heat]) is None
    await until(lambda: _true(meter.measure("red", [heat]) is not None))
    assert "heat" in fake.asked[-1]


async def test_a_provider_that_is_mended_is_asked_at_once(client: Client, fakes: Fakes, meter: Meter) -> None:
    fake = fakes.by_name["source"] = Fake()
    fake.hangs = True
    await declare(client, "source", "load")
    refs = [MetricRef(name="load", weight=1)]
    await until(lambda: _true(bool((found := meter.measure("red", refs)) and found.failures)))
    fakes.by_name["source"] = Fake(load=0.5)
    spec = {"spec": {"static": {"metrics": {"some": 1.0}}}}
    await client.patch(GlobalMetricsProvider, Key(None, "source"), spec)
    async with asyncio.timeout(2):
        await until(lambda: _true(bool((found := meter.measure("red", refs)) and found.readings)))
