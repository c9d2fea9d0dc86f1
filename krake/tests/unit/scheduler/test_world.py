"""What the scheduler makes of what it is told, by a clock that may be another one than that of the API."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from unit.scheduler.worlds import NOW, make_cluster

from krake.controller.scheduler.applications import world as world_module
from krake.controller.scheduler.applications.failover import Failover
from krake.controller.scheduler.applications.world import World
from krake.controller.scheduler.deciding.snapshot import Measurement, Settings
from krake.data import Key
from krake.data.core import MetricRef
from krake.data.kubernetes import Cluster, ClusterState

AFTER = timedelta(seconds=30)
Handler = Callable[[Any, Any], None]


class Shelf:
    """Objects, as an informer has them."""

    def __init__(self) -> None:
        self.objects: dict[Key, Any] = {}
        self.get = self.objects.get
        self._handlers: list[Handler] = []

    def index(self, *_: Any) -> None:
        """All are looked through."""

    def lookup(self, _: str, namespace: str | None) -> list[Any]:
        return [obj for obj in self.objects.values() if obj.key.namespace == namespace]

    def on_change(self, handler: Handler) -> None:
        self._handlers.append(handler)

    def put(self, obj: Any) -> None:
        old, self.objects[obj.key] = self.objects.get(obj.key), obj
        for handler in self._handlers:
            handler(old, obj)


def watch(clusters: Any, **more: Any) -> World:
    apps: Any = Shelf()
    settings: dict[str, Any] = {
        "describe": lambda app: pytest.fail(f"There is no {app}."),
        "effective": lambda cluster: cluster,
        "measure": lambda cluster: Measurement(),
        "settings": Settings(),
        "failover": Failover(after=AFTER),
        "now": lambda: NOW,
    }
    return World(apps, clusters, **(settings | more))


class Observer:
    """A world with one cluster, seen by a clock that is ahead of that of the API, or behind it."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead, self.time = ahead, NOW
        self._clusters: Any = Shelf()
        self._world = watch(self._clusters, now=lambda: self.time + self._ahead)
        self._key = make_cluster("east").key

    def tell(self, state: ClusterState, out_of_use: datetime | None = None) -> None:
        cluster: Cluster = make_cluster("east", state=state)
        self._clusters.put(replace(cluster, status=replace(cluster.status, out_of_use=out_of_use)))

    def is_lost(self) -> bool:
        self._world.touch([self._key])
        assert self._world.look("red") is not None
        return self._world.standing(self._key).lost


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
async def test_a_cluster_is_lost_after_a_while_whatever_the_clocks_say(ahead: float) -> None:
    observer = Observer(timedelta(seconds=ahead))
    observer.tell(ClusterState.ONLINE)
    assert not observer.is_lost()
    observer.tell(ClusterState.OFFLINE, NOW)
    assert not observer.is_lost()
    observer.time += AFTER * 0.9
    assert not observer.is_lost()
    observer.time += AFTER * 0.2
    assert observer.is_lost()
    observer.tell(ClusterState.ONLINE)
    assert not observer.is_lost()


async def test_who_was_cut_off_from_the_api_for_long_waits_before_anything_is_moved() -> None:
    observer = Observer(timedelta())
    observer.tell(ClusterState.ONLINE)
    assert not observer.is_lost()
    observer.time += timedelta(hours=1)
    observer.tell(ClusterState.OFFLINE, NOW + timedelta(minutes=1))
    assert not observer.is_lost()


async def test_a_new_scheduler_believes_the_api_as_far_as_that_can_be() -> None:
    observer = Observer(timedelta())
    observer.tell(ClusterState.OFFLINE, NOW - AFTER)
    assert observer.is_lost()
    behind = Observer(timedelta(hours=-1))
    behind.tell(ClusterState.OFFLINE, NOW)
    assert not behind.is_lost()
    behind.time += AFTER
    assert behind.is_lost()


@pytest.mark.parametrize("existed", [True, False])
async def test_only_of_a_cluster_that_was_there_is_said_that_it_is_lost(
    existed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clusters: Any = Shelf()
    world = watch(clusters)
    cluster = make_cluster("east", state=ClusterState.FAILED)
    spec = replace(cluster.spec, kubeconfig={"clusters": []} if existed else {}, tosca={"a": "b"})
    clusters.put(replace(cluster, spec=spec, status=replace(cluster.status, out_of_use=NOW - AFTER)))
    for _ in range(2):
        world.touch([cluster.key])
        assert world.look("red") is not None
        assert world.standing(cluster.key).lost
    assert [record.getMessage() for record in caplog.records if "is lost" in record.getMessage()] == existed * [
        f"{cluster.ref} is lost: it is FAILED since {NOW - AFTER}."
    ]


async def test_metrics_that_do_not_come_are_waited_for_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster changes all the time; nobody else of the namespace would ever be placed."""
    clusters: Any = Shelf()
    known: dict[str, Measurement] = {}
    world = watch(clusters, measure=lambda cluster: known.get(cluster.metadata.name))
    clusters.put(make_cluster("east", metrics=[MetricRef(name="load", weight=1.0)]))
    assert world.look("red") is None
    monkeypatch.setattr(world_module, "PATIENCE", 0.0)
    for _ in range(3):
        world.touch([make_cluster("east").key])
        snapshot = world.look("red")
        assert snapshot is not None
        assert "load" in snapshot.candidates[0].measurement.failures
        monkeypatch.setattr(world_module, "PATIENCE", 1e-9)

    known["east"] = Measurement()
    world.touch([make_cluster("east").key])
    assert world.look("red") is not None
    known.clear()
    monkeypatch.setattr(world_module, "PATIENCE", 2.0)
    world.touch([make_cluster("east").key])
    assert world.look("red") is None  # another metric, for example
