"""Wherever the application controller is killed, the next one leaves nothing behind on any cluster."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from integration.kubernetes.conftest import Targets
from integration.kubernetes.world import (
    CONFIG_MAP,
    DEPLOYMENT,
    QUICK,
    SERVICE,
    Build,
    Target,
    World,
    applications,
    collector,
    config_map,
    deployment,
    service,
)

from krake.client import Client
from krake.controller.kubernetes.application.controller import ApplicationController
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.runtime import Parts
from krake.data.kubernetes import Application, ApplicationState, ClusterState
from krake.ports.cluster import Identity, Object

State = ApplicationState
MANIFEST = (config_map(a="1"), service(), deployment())
OBJECTS = ((CONFIG_MAP, "settings"), (SERVICE, "echo"), (DEPLOYMENT, "echo"))


class Life:
    """Ends at the n-th thing that the controller does to the world: before it is done, or after."""

    def __init__(self, steps: int, *, after: bool) -> None:
        self.steps = steps
        self.after = after
        self.over = asyncio.Event()

    async def begin(self) -> None:
        self.steps -= 1
        await self._end(after=False)

    async def finish(self) -> None:
        await self._end(after=True)

    async def _end(self, *, after: bool) -> None:
        if self.steps < 0 or (self.steps == 0 and self.after is after):
            self.over.set()
            await asyncio.Event().wait()  # a dead process does nothing any more


def mortal(life: Life) -> Build:
    """An application controller that is killed when its life is over."""

    class MortalClient(Client):
        async def patch(self, *args: Any, **options: Any) -> Any:
            await life.begin()
            done = await super().patch(*args, **options)
            await life.finish()
            return done

        async def act(self, *args: Any, **options: Any) -> Any:
            await life.begin()
            done = await super().act(*args, **options)
            await life.finish()
            return done

    def connect(kubeconfig: Mapping[str, Any]) -> Any:
        connection = QUICK(kubeconfig)

        class Mortal:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            async def apply(self, obj: Object) -> Object:
                await life.begin()
                done = await connection.apply(obj)
                await life.finish()
                return done

            async def delete(self, identity: Identity, owner: str) -> bool:
                await life.begin()
                done = await connection.delete(identity, owner)
                await life.finish()
                return done

        return Mortal()

    def build(client: Client) -> Parts:
        doomed = MortalClient(client.url)
        parts = ApplicationController(doomed, ApplicationControllerConfig(), connect=connect).parts
        return Parts(parts.informers, parts.controllers, parts.tasks, [doomed, *parts.resources])

    return build


async def die(world: World, life: Life, done: Any) -> None:
    """Run a controller until it is killed, or until *done*, should it live that long."""
    async with world.running(mortal(life), drain_timeout=0.0):
        waiting = [asyncio.create_task(life.over.wait()), asyncio.create_task(done)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def assert_empty(*targets: Target) -> None:
    for target in targets:
        for type_, name in OBJECTS:
            assert await target.get(type_, name) is None, f"{type_} is left on {target.name}."


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("steps", range(1, 8))
async def test_killed_while_creating(world: World, target: Target, steps: int, after: bool) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    await world.create(*MANIFEST, on=target)
    await die(world, Life(steps, after=after), world.until_state(State.RUNNING))
    await world.delete()
    async with world.running(applications(), collector):
        await world.until_gone()
    await assert_empty(target)


@pytest.mark.parametrize("steps", range(1, 7))
async def test_killed_while_creating_it_is_finished_by_the_next_one(world: World, target: Target, steps: int) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    await world.create(*MANIFEST, on=target)
    await die(world, Life(steps, after=True), world.until_state(State.RUNNING))
    async with world.running(applications()):
        await world.until_state(State.RUNNING)
    for type_, name in OBJECTS:
        assert await target.get(type_, name) is not None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("steps", range(1, 7))
async def test_killed_while_updating(world: World, target: Target, steps: int, after: bool) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(*MANIFEST, on=target)
        await world.until_state(State.RUNNING)
    await world.update(config_map("other", a="1"), on=target)
    await die(world, Life(steps, after=after), asyncio.sleep(1))
    async with world.running(applications()):
        await world.until(lambda app: [item["metadata"]["name"] for item in app.status.last_applied_manifest] == ["other"])
    await assert_empty(target)
    assert await target.get(CONFIG_MAP, "other") is not None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("steps", range(1, 12))
async def test_killed_while_migrating(world: World, targets: Targets, steps: int, after: bool) -> None:
    old, new = await targets(2)
    for target in (old, new):
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(*MANIFEST, on=old)
        await world.until_state(State.RUNNING)
    await world.bind(new)
    await die(world, Life(steps, after=after), world.until(lambda app: app.status.placed_on == [new.ref]))
    await world.delete()
    async with world.running(applications(), collector):
        await world.until_gone()
    await assert_empty(old, new)


@pytest.mark.parametrize("steps", [2, 4, 6, 8, 10])
async def test_killed_while_migrating_it_goes_on(world: World, targets: Targets, steps: int) -> None:
    old, new = await targets(2)
    for target in (old, new):
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(*MANIFEST, on=old)
        await world.until_state(State.RUNNING)
    await world.bind(new)

    def moved(app: Application) -> bool:
        return app.status.placed_on == [new.ref] and app.metadata.owners == [new.ref] and app.status.state is State.RUNNING

    await die(world, Life(steps, after=True), world.until(moved))
    async with world.running(applications()):
        await world.until(moved)
    await assert_empty(old)
