"""A cluster that fails is told at its applications, and disturbs no others."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from integration.kubernetes.conftest import Targets
from integration.kubernetes.world import (
    CONFIG_MAP,
    Target,
    World,
    applications,
    collector,
    config_map,
    deployment,
    eventually,
)

from krake.client import Client, Unavailable
from krake.controller.runtime import Parts
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.data.metadata import ReasonCode
from krake.simulator import Failure

State = ApplicationState


def is_lost(app: Application) -> bool:
    return app.status.reason is not None and app.status.reason.code is ReasonCode.CLUSTER_NOT_REACHABLE


@pytest.mark.parametrize("mode", ["unreachable", "hanging", "garbage"])
async def test_an_application_waits_for_its_cluster(world: World, target: Target, mode: Any) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    target.control.fail(Failure(mode))
    async with world.running(applications()):
        await world.create(config_map(a="1"), on=target)
        app = await world.until(is_lost)
        assert app.status.state is State.PENDING
        target.control.recover()
        app = await world.until_state(State.RUNNING)
        assert app.status.reason is None


@pytest.mark.parametrize("mode", ["unreachable", "hanging", "garbage"])
async def test_a_running_application_says_that_its_cluster_is_lost(world: World, target: Target, mode: Any) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(), on=target)
        await world.until_state(State.RUNNING)
        target.control.fail(Failure(mode))
        await world.update(deployment(replicas=2), on=target)
        app = await world.until(is_lost)
        assert app.status.running_on == target.ref
        target.control.recover()
        app = await world.until(lambda app: app.status.container_health.running_pods == 2)
        app = await world.until_state(State.RUNNING)
        assert app.status.reason is None


async def test_errors_of_the_cluster_are_told_and_tried_again(world: World, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    target.control.fail(Failure("errors"))
    async with world.running(applications()):
        await world.create(config_map(a="1"), on=target)
        app = await world.until(lambda app: app.status.reason is not None)
        assert app.status.reason is not None
        assert "simulated failure" in app.status.reason.message
        target.control.recover()
        await world.until_state(State.RUNNING)


async def test_trouble_that_was_stored_unnoticed_is_not_the_last_word(world: World, target: Target) -> None:
    seeing = asyncio.Event()
    lost: list[Application] = []
    controllers: list[Any] = []

    class Deaf(Client):
        """Loses the answer to the first write that tells of trouble, and sees nothing from then on until it may."""

        async def patch(self, kind: Any, *args: Any, **options: Any) -> Any:
            stored = await super().patch(kind, *args, **options)
            if not lost and kind is Application and is_lost(stored):
                lost.append(stored)
                target.control.recover()
                raise Unavailable(outcome_unknown=True)
            return stored

        async def watch(self, *args: Any, **options: Any) -> AsyncGenerator[Any, None]:
            async for event in super().watch(*args, **options):
                if target.control.failure.mode != "none" or lost:
                    await seeing.wait()
                yield event

    def build(client: Client) -> Parts:
        deaf = Deaf(client.url)
        parts = applications()(deaf)
        controllers.extend(parts.controllers)
        return replace(parts, resources=[deaf, *parts.resources])

    async def has_tried_again() -> bool:
        backlogs = [each._queue.backlog for each in controllers]
        return bool(lost) and not any(backlog.active or backlog.ready or backlog.delayed for backlog in backlogs)

    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(build):
        await world.create(config_map(a="1"), on=target)
        await world.until_state(State.RUNNING)
        target.control.fail(Failure("unreachable"))
        await eventually(has_tried_again, bool)
        assert is_lost(await world.app())
        seeing.set()
        app = await world.until_state(State.RUNNING, deadline=20)
        assert app.status.reason is None


async def test_applications_on_other_clusters_are_not_held_up(world: World, targets: Targets) -> None:
    bad, good = await targets(2)
    for target in (bad, good):
        await world.register(target, state=ClusterState.ONLINE)
    bad.control.fail(Failure("hanging"))
    async with world.running(applications(worker_count=2)):
        for number in range(20):
            await world.create(config_map(f"settings-{number}", a="1"), on=bad, name=f"stuck-{number}")
        began = time.monotonic()
        await world.create(config_map(a="1"), on=good, name="fine")
        await world.until_state(State.RUNNING, "fine")
        assert time.monotonic() - began < 1.5
        bad.control.recover()
        for number in range(20):
            await world.until_state(State.RUNNING, f"stuck-{number}")


async def test_a_deletion_waits_for_the_cluster(world: World, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications(), collector):
        await world.create(config_map(a="1"), on=target)
        await world.until_state(State.RUNNING)
        target.control.fail(Failure("unreachable"))
        await world.delete()
        app = await world.until(is_lost)
        assert app.status.state is State.DELETING
        target.control.recover()
        await world.until_gone()
    assert await target.get(CONFIG_MAP, "settings") is None


async def test_a_deletion_does_not_wait_for_a_cluster_that_is_not_registered_any_more(world: World, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications(), collector):
        await world.create(config_map(a="1"), on=target)
        await world.until_state(State.RUNNING)
        target.control.fail(Failure("unreachable"))
        await world.delete()
        await world.until(is_lost)
        await world.client.delete(Cluster, Key("red", target.name), force=True)
        await world.until_gone()


async def test_a_deleted_cluster_takes_its_applications_along_on_request(world: World, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications(), collector):
        await world.create(config_map(a="1"), on=target)
        await world.until_state(State.RUNNING)
        await world.client.delete(Cluster, Key("red", target.name), cascade=True)
        await world.until_gone()

        async def registered() -> list[Cluster]:
            return (await world.client.list(Cluster)).items

        await eventually(registered, lambda found: not found)
    assert await target.get(CONFIG_MAP, "settings") is None
