"""Wherever the application controller is killed, the next one comes to the same end, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

import pytest
from integration.kubernetes.conftest import Targets
from integration.kubernetes.mortality import Life, live
from integration.kubernetes.world import (
    CONFIG_MAP,
    DEPLOYMENT,
    Target,
    World,
    applications,
    collector,
    config_map,
    deployment,
    eventually,
)

from krake.client import ApiError, NotFound
from krake.data.kubernetes import Application, ApplicationShutdown, ApplicationState, ClusterState
from krake.data.metadata import Key, Reason, ReasonCode
from krake.ports.cluster import COPY_LABEL, ObjectType, identify, owner_of
from krake.simulator import SimulatedCluster

State = ApplicationState
LONGEST = 200
"""Steps that no story has."""

CLAIM = ObjectType("v1", "PersistentVolumeClaim")

T = TypeVar("T")
Place = int | None


@dataclass(frozen=True)
class Story:
    """What the controller is killed at.

    :param act: what it reacts to, with the name of the application; the clusters are those that the story begins with.
    :param start: on which cluster the application runs before; ``None`` if it is only bound.
    :param end: on which cluster it runs afterwards; ``None`` for nowhere.
    :param gone: whether it does not exist afterwards.
    :param taken: whether somebody else has an object of the same name on the second cluster.
    :param volumes: whether the application has some.
    :param first: the first step at which the controller is killed, then at every one *stride* steps later. Long stories with
        the same steps share them.
    """

    act: Callable[[World, list[Target], str], Awaitable[Any]]
    start: Place = 0
    end: Place = 0
    gone: bool = False
    taken: bool = False
    volumes: bool = False
    first: int = 1
    stride: int = 1
    spec: dict[str, Any] = field(default_factory=dict)


async def bind_first(world: World, clusters: list[Target], name: str) -> None:
    await world.bind(clusters[0], name)


async def bind_second(world: World, clusters: list[Target], name: str) -> None:
    await world.bind(clusters[1], name)


async def update(world: World, clusters: list[Target], name: str) -> None:
    await world.update(*manifest(name, False, "new"), on=clusters[0], name=name)


async def delete(world: World, clusters: list[Target], name: str) -> None:
    await world.delete(name)


async def delete_on_the_way(world: World, clusters: list[Target], name: str) -> None:
    await world.bind(clusters[1], name)
    await world.delete(name)


async def unbind(world: World, clusters: list[Target], name: str) -> None:
    reason = Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message="No matching Kubernetes cluster found")
    status = {"scheduled_to": None, "state": "PENDING", "reason": reason.serialize()}
    await world.client.patch(Application, Key("red", name), {"status": status}, subresource="status")


SHUTDOWN = {"hooks": ["shutdown"], "shutdown_grace_time": 3600}
DELETE_FIRST = {"migration_strategy": "delete_first"}

STORIES = {
    "create": Story(bind_first, start=None),
    "update": Story(update),
    "move": Story(bind_second, end=1),
    "move, deleting first": Story(bind_second, end=1, spec=DELETE_FIRST),
    "move in vain": Story(bind_second, taken=True),
    "move in vain, deleting first": Story(bind_second, taken=True, spec=DELETE_FIRST),
    "ask and move": Story(bind_second, end=1, spec=SHUTDOWN),
    "ask and move, deleting first": Story(bind_second, end=1, spec=SHUTDOWN | DELETE_FIRST),
    "move with volumes": Story(bind_second, end=1, volumes=True, first=1, stride=3),
    "move with volumes in vain": Story(bind_second, volumes=True, taken=True, first=2, stride=3),
    "ask and move with volumes": Story(bind_second, end=1, volumes=True, spec=SHUTDOWN, first=3, stride=3),
    "delete": Story(delete, end=None, gone=True),
    "ask and delete": Story(delete, end=None, gone=True, spec=SHUTDOWN),
    "delete on the way": Story(delete_on_the_way, end=None, gone=True),
    "delete on the way with volumes": Story(delete_on_the_way, end=None, gone=True, volumes=True),
    "unbind": Story(unbind, end=None),
    "ask and unbind": Story(unbind, end=None, spec=SHUTDOWN),
}


def manifest(name: str, volumes: bool, *others: str) -> list[dict[str, Any]]:
    declared = [config_map(f"{name}-{each}", a="1") for each in ("settings", *others)] + [deployment(name)]
    if volumes:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        declared.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
        pod = declared[-2]["spec"]["template"]["spec"]
        pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
        pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return declared


def objects_of(name: str) -> list[tuple[ObjectType, str]]:
    return [(CONFIG_MAP, f"{name}-settings"), (CONFIG_MAP, f"{name}-new"), (DEPLOYMENT, name), (CLAIM, name)]


def left_of(uid: str, cluster: Target) -> list[str]:
    """What belongs to an application on a simulated cluster."""
    return [str(identify(obj)) for _, obj in cluster.control.storage.everything() if owner_of(obj) == uid]


def copies_on(cluster: Target) -> list[str]:
    """What is there only to copy volumes."""
    everything = cluster.control.storage.everything()
    return [str(identify(obj)) for _, obj in everything if COPY_LABEL in (obj["metadata"].get("labels") or {})]


async def look(world: World, name: str) -> Application | None:
    try:
        return await world.app(name)
    except NotFound:
        return None


def is_at_its_end(story: Story, app: Application | None, clusters: list[Target]) -> bool:
    if app is None or story.gone:
        return app is None and story.gone
    status = app.status
    where = None if story.end is None else clusters[story.end].ref
    places = [] if where is None else [where]
    at_rest = status.state is (State.PENDING if where is None else State.RUNNING)
    there = (status.scheduled_to, status.running_on, status.placed_on, app.metadata.owners) == (where, where, places, places)
    names = [item["metadata"]["name"] for item in status.last_applied_manifest if item["kind"] != "Secret"]
    wanted = [] if where is None else [item["metadata"]["name"] for item in app.spec.manifest]
    forgotten = (status.shutdown_attempts, status.shutdown_grace_period, status.volumes) == (0, None, [])
    tried = status.migration_retries == int(story.taken)
    return at_rest and there and sorted(names) == sorted(wanted) and forgotten and tried


async def check_clusters(story: Story, app: Application | None, clusters: list[Target], name: str) -> None:
    declared = [] if app is None else [(item["kind"], item["metadata"]["name"]) for item in app.spec.manifest]
    for index, cluster in enumerate(clusters):
        for type_, each in objects_of(name):
            found = await cluster.get(type_, each)
            if story.taken and index == 1 and each == f"{name}-settings":
                assert found is not None
                assert found["data"] == {"a": "theirs"}
            elif index == story.end and (type_.kind, each) in declared:
                assert found is not None, f"{each} is missing on {cluster.name}."
            else:
                assert found is None, f"{each} is left on {cluster.name}."


@asynccontextmanager
async def answering(world: World, name: str) -> AsyncIterator[None]:
    """Be the application: say that it is ready to be stopped as soon as it is asked."""

    async def answer() -> None:
        while True:
            app = await look(world, name)
            if app is not None and app.status.state is State.WAITING_FOR_CLEANING and app.status.shutdown_grace_period:
                try:
                    body = ApplicationShutdown(token=app.status.shutdown_token)
                    await world.client.act(Application, app.key, "shutdown", body)
                except ApiError:
                    continue  # it is gone, or was changed just now
            await asyncio.sleep(0.05)

    task = asyncio.create_task(answer())
    try:
        yield
    finally:
        task.cancel()


async def _async(look: Callable[[], T]) -> T:
    return look()


async def tell(world: World, story: Story, clusters: list[Target], steps: int) -> bool:
    """Tell a story, with a controller that is killed before a step; returns whether it has lived till the end."""
    name = f"app-{steps}"
    if story.taken:
        await clusters[1].create(config_map(f"{name}-settings", a="theirs"))
    app = await world.create(*manifest(name, story.volumes), name=name, **story.spec)
    if story.start is not None:
        async with world.running(applications()):
            await world.bind(clusters[story.start], name)
            await world.until(lambda app: app.status.state is State.RUNNING and app.metadata.owners == [clusters[0].ref], name)
    await story.act(world, clusters, name)

    async def ended() -> None:
        await eventually(lambda: look(world, name), lambda app: is_at_its_end(story, app, clusters))

    async with answering(world, name):
        lived = await live(world, Life(steps), ended(), collector)
        if not lived:
            async with world.running(applications(), collector):
                await ended()
    await check_clusters(story, await look(world, name), clusters, name)
    await check_leftovers(story, app.metadata.uid, clusters)
    await wipe(world, clusters, name)
    return lived


async def check_leftovers(story: Story, uid: str, clusters: list[Target]) -> None:
    for index, cluster in enumerate(clusters):
        if not isinstance(cluster.control, SimulatedCluster):
            continue
        await eventually(partial(_async, partial(copies_on, cluster)), lambda left: not left)
        if index != story.end:
            await eventually(partial(_async, partial(left_of, uid, cluster)), lambda left: not left)


async def wipe(world: World, clusters: list[Target], name: str) -> None:
    with suppress(NotFound):
        await world.client.delete(Application, Key("red", name), force=True)
    for cluster in clusters:
        for type_, each in objects_of(name):
            if await cluster.get(type_, each) is not None:
                await cluster.delete(type_, each)


async def tell_all(world: World, story: Story, clusters: list[Target]) -> None:
    for target in clusters:
        await world.register(target, state=ClusterState.ONLINE)
    for steps in count(story.first, story.stride):
        if await tell(world, story, clusters, steps):
            break
        assert steps < LONGEST, "The story has no end."
    assert steps > 3


@pytest.mark.parametrize("title", STORIES)
async def test_killed_at_any_step_of(title: str, world: World, targets: Targets) -> None:
    await tell_all(world, STORIES[title], await targets(2))


@pytest.mark.parametrize("title", ["create", "update", "move", "move, deleting first", "delete"])
async def test_killed_on_real_clusters_at_any_step_of(title: str, world: World, real_targets: list[Target]) -> None:
    await tell_all(world, STORIES[title], real_targets)
