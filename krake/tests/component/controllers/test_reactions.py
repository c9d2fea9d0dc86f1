"""Whatever a decision depends on, a change of it leads to a new decision at once: no timer of the scheduler helps here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from component.controllers.hosts import add_cloud, declare_cluster
from component.controllers.world import add_app, add_cluster, eventually, ref, running

from krake.client import Client
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import MetricsConfig, SchedulerConfig
from krake.data import Key, Metadata
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    MetricRef,
    MetricSpec,
    MetricSpecProvider,
    MetricsProviderSpec,
    StaticSpec,
)
from krake.data.infrastructure import Cloud
from krake.data.kubernetes import Application, Cluster
from krake.data.quotas import Quota, QuotaSpec

DEADLINE = 5.0
"""Seconds; Krake promises one, but the machine may have much else to do. How long it took is printed."""
NEVER = 3600.0
"""Seconds after which timers have things looked at again: later than any test ends."""

Act = Callable[[Client], Awaitable[Any]]


@pytest.fixture(autouse=True)
async def scheduler(api: str) -> AsyncIterator[None]:
    config = SchedulerConfig(reschedule_after=NEVER, metrics=MetricsConfig(interval=NEVER))
    async with running(partial(build, config), api):
        yield


async def see_at(client: Client, cluster: str | None) -> None:
    """Wait until the application is on a cluster; without one, until it is told that there is none for it."""

    def accept(app: Application) -> bool:
        place = app.status.scheduled_to
        return app.status.reason is not None if cluster is None else place is not None and place.name == cluster

    await eventually(partial(client.get, Application, Key("red", "app")), accept)


async def see_change(client: Client, what: str, change: Awaitable[Any], cluster: str) -> None:
    """Make a change, and see the application arrive somewhere for it in time."""
    began = time.monotonic()
    await change
    async with asyncio.timeout(DEADLINE):
        await see_at(client, cluster)
    print(f"{what}: {1000 * (time.monotonic() - began):.0f} ms")


async def declare_metrics(client: Client, **values: float) -> None:
    """Declare metrics of 0..1 with these values."""
    spec = MetricsProviderSpec(value=StaticSpec(metrics=values))
    await client.create(GlobalMetricsProvider(metadata=Metadata(name="static"), spec=spec))
    for name in values:
        provider = MetricSpecProvider(name="static", metric=name)
        await client.create(GlobalMetric(metadata=Metadata(name=name), spec=MetricSpec(min=0, max=1, provider=provider)))


async def measure(client: Client, name: str, **weights: float) -> None:
    """Have a cluster weigh metrics."""
    metrics = [MetricRef(name=metric, weight=weight).serialize() for metric, weight in weights.items()]
    await client.patch(Cluster, Key("red", name), {"spec": {"metrics": metrics}})


@dataclass
class Change:
    """A change that finds a place for an application that had none.

    :ivar prepare: declares all but the application.
    :ivar asks: what the application asks for.
    """

    prepare: Act
    act: Act
    asks: dict[str, Any]


async def _one_cluster(client: Client, **more: Any) -> None:
    await add_cluster(client, "north", **more)


async def _tainted_cluster(client: Client) -> None:
    await add_cluster(client, "north")
    await client.patch(Cluster, Key("red", "north"), {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}})


async def _measured_cluster(client: Client) -> None:
    await declare_metrics(client, load=0.3, other=0.9)
    await add_cluster(client, "north", metrics=["load"])


async def _crowded_namespace(client: Client) -> None:
    await add_cluster(client, "north")
    await client.create(Quota(metadata=Metadata(name="fair", namespace="red"), spec=QuotaSpec(applications=0)))


async def _cluster_on_a_cloud(client: Client) -> None:
    await add_cloud(client, "sky", labels={"zone": "a"})
    await declare_cluster(client, "north")
    await client.patch(Cluster, Key("red", "north"), {"metadata": {"inherit_labels": True}})
    await eventually(partial(client.get, Cluster, Key("red", "north")), lambda cluster: cluster.status.scheduled_to is not None)
    await client.patch(Cluster, Key("red", "north"), {"status": {"state": "ONLINE"}}, subresource="status")


async def _nothing(client: Client) -> None:
    return


def patch(kind: type[Any], key: Key, change: dict[str, Any]) -> Act:
    return lambda client: client.patch(kind, key, change)


NORTH, METRIC, STATIC = Key("red", "north"), Key(None, "load"), Key(None, "static")
ZONE_B = {"labels": ["zone is b"]}
HIGH_LOAD = {"metrics": ["load > 0.5"]}
CHANGES = {
    "a label of a cluster": Change(_one_cluster, patch(Cluster, NORTH, {"metadata": {"labels": {"zone": "b"}}}), ZONE_B),
    "a taint": Change(_tainted_cluster, patch(Cluster, NORTH, {"spec": {"taints": []}}), {}),
    "a metric object": Change(
        _measured_cluster, patch(GlobalMetric, METRIC, {"spec": {"provider": {"metric": "other"}}}), HIGH_LOAD
    ),
    "the value of a static provider": Change(
        _measured_cluster, patch(GlobalMetricsProvider, STATIC, {"spec": {"static": {"metrics": {"load": 0.9}}}}), HIGH_LOAD
    ),
    "the constraint of an application": Change(
        _one_cluster, patch(Application, Key("red", "app"), {"spec": {"constraints": {"cluster": {"labels": []}}}}), ZONE_B
    ),
    "a quota that is raised": Change(_crowded_namespace, patch(Quota, Key("red", "fair"), {"spec": {"applications": 1}}), {}),
    "a cluster that is registered": Change(_nothing, _one_cluster, {}),
    "a label that a cluster inherits of its cloud": Change(
        _cluster_on_a_cloud, patch(Cloud, Key("red", "sky"), {"metadata": {"labels": {"zone": "b"}}}), ZONE_B
    ),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_who_waits_goes_as_soon_as_a_change_lets_it(client: Client, what: str) -> None:
    change = CHANGES[what]
    await change.prepare(client)
    await add_app(client, backoff_limit=0, **change.asks)
    await see_at(client, None)
    await see_change(client, what, change.act(client), "north")


async def place_long_ago(client: Client, cluster: str) -> None:
    """Have the application run on a cluster for so long that it may move whenever another one is better."""
    await add_app(client)
    await see_at(client, cluster)
    place = ref(Cluster, cluster).serialize()
    since = (datetime.now(UTC) - timedelta(seconds=2 * NEVER)).isoformat()
    status = {"state": "RUNNING", "running_on": place, "placed_on": [place], "scheduled": since, "reason": None}
    await client.patch(Application, Key("red", "app"), {"status": status}, subresource="status")


async def test_who_is_placed_goes_as_soon_as_a_weight_makes_another_cluster_better(client: Client) -> None:
    await declare_metrics(client, good=0.9, bad=0.1)
    await add_cluster(client, "north", metrics=["good", "bad"])
    await add_cluster(client, "south", metrics=["good", "bad"])
    await measure(client, "south", good=3, bad=1)
    await place_long_ago(client, "south")
    await see_change(client, "a weight", measure(client, "north", good=9, bad=1), "north")


async def test_who_is_placed_goes_as_soon_as_a_value_makes_another_cluster_better(client: Client) -> None:
    await declare_metrics(client, near=0.2, far=0.6)
    await add_cluster(client, "north", metrics=["near"])
    await add_cluster(client, "south", metrics=["far"])
    await place_long_ago(client, "south")
    change = client.patch(GlobalMetricsProvider, STATIC, {"spec": {"static": {"metrics": {"near": 0.9, "far": 0.6}}}})
    await see_change(client, "a measured value", change, "north")


async def test_who_is_placed_leaves_a_cluster_as_soon_as_that_is_deleted(client: Client) -> None:
    await add_cluster(client, "south")
    await place_long_ago(client, "south")
    await add_cluster(client, "west", labels={"zone": "b"})
    await see_change(client, "a cluster that is deleted", client.delete(Cluster, Key("red", "south")), "west")
