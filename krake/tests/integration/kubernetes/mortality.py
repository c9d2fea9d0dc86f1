"""Application controllers that are killed at a certain step."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from integration.kubernetes.world import QUICK, Build, World

from krake.client import Client
from krake.controller.kubernetes.application.controller import ApplicationController
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.runtime import Parts
from krake.data.events import Event
from krake.ports.cluster import Identity, Object

T = TypeVar("T")


class Life:
    """Ends at the n-th thing that the controller does to the world: before it is done, or after."""

    def __init__(self, steps: int, *, after: bool = False) -> None:
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


def mortal(life: Life, **settings: Any) -> Build:
    """An application controller that is killed when its life is over."""

    class MortalClient(Client):
        async def patch(self, kind: Any, *args: Any, **options: Any) -> Any:
            if kind is Event:
                return await super().patch(kind, *args, **options)  # nothing hangs on what is told
            return await _within(life, super().patch, kind, *args, **options)

        async def act(self, *args: Any, **options: Any) -> Any:
            return await _within(life, super().act, *args, **options)

    def connect(kubeconfig: Mapping[str, Any]) -> Any:
        connection = QUICK(kubeconfig)

        class Mortal:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            async def apply(self, obj: Object) -> Object:
                return await _within(life, connection.apply, obj)

            async def change(self, identity: Identity, patch: Mapping[str, Any]) -> Object | None:
                return await _within(life, connection.change, identity, patch)

            async def delete(self, identity: Identity, owner: str) -> bool:
                return await _within(life, connection.delete, identity, owner)

        return Mortal()

    def build(client: Client) -> Parts:
        doomed = MortalClient(client.url)
        config = ApplicationControllerConfig.deserialize(settings)
        parts = ApplicationController(doomed, config, connect=connect).parts
        return Parts(parts.informers, parts.controllers, parts.tasks, [doomed, *parts.resources])

    return build


async def _within(life: Life, work: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
    await life.begin()
    done = await work(*args, **options)
    await life.finish()
    return done


async def live(world: World, life: Life, done: Awaitable[Any], *others: Build, **settings: Any) -> bool:
    """Run a controller until it is killed, or until *done*, should it live that long; returns whether it has."""
    async with world.running(mortal(life, **settings), *others, drain_timeout=0.0):
        dying, waiting = asyncio.ensure_future(life.over.wait()), asyncio.ensure_future(done)
        await asyncio.wait([dying, waiting], return_when=asyncio.FIRST_COMPLETED)
        lived = not life.over.is_set()
        for task in (dying, waiting):
            task.cancel()
        results = await asyncio.gather(dying, waiting, return_exceptions=True)
    failed = [each for each in results if isinstance(each, Exception)]
    if lived and failed:
        raise failed[0]
    return lived
