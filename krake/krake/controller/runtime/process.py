"""The life of a controller process: start, wait for the API, work, drain, end."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import uvloop

from krake.client import ApiError, Client, Unavailable
from krake.controller.runtime.controller import Controller
from krake.controller.runtime.health import serve_health
from krake.controller.runtime.informer import Informer
from krake.controller.runtime.metrics import PART_FAILURES
from krake.controller.runtime.settings import ControllerConfig, SettingsError, endpoint_of, ssl_context_of, token_of
from krake.lib.backoff import Backoff
from krake.lib.finding import Finding
from krake.signals import stop_on_signals

log = logging.getLogger(__name__)

BACKOFF = Backoff(0.5, 15.0)
GRACE = 5.0
"""Seconds from the end of draining until a process that still hangs is ended the hard way."""

Run = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """What a controller process consists of.

    :param tasks: further work by name, for example timers; started when the informers are synced, cancelled at the end.
    :param resources: entered, in this order, before anything starts, and left after everything has ended.
    """

    informers: Sequence[Informer[Any]]
    controllers: Sequence[Controller[Any]]
    tasks: dict[str, Run] = field(default_factory=dict)
    resources: Sequence[AbstractAsyncContextManager[Any]] = ()


Build = Callable[[Client], Parts]


def run_process(name: str, build: Build, config: ControllerConfig) -> int:
    """Run a controller until SIGTERM or SIGINT; returns the exit status.

    The first signal lets what is under way come to its end, for ``config.drain_timeout`` seconds; the second one ends the
    process at once.

    :param build: makes the parts; called inside the event loop.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(name, build, config))
    except SettingsError as error:
        log.error("%s cannot start: %s", name, error)
        return 1
    return 0


async def _live(name: str, build: Build, config: ControllerConfig) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop, config.drain_timeout + GRACE)
    async with AsyncExitStack() as stack:
        try:
            client = Client(
                endpoint_of(config),
                ssl_context=ssl_context_of(config.tls),
                token=token_of(config),
                user_agent=f"krake-{name}",
            )
        except ValueError as error:
            raise SettingsError(f"api_endpoint: {error}") from None
        await stack.enter_async_context(client)
        await serve(name, build(client), client, config, stop)


async def serve(name: str, parts: Parts, client: Client, config: ControllerConfig, stop: asyncio.Event) -> None:
    """Run *parts* until *stop* is set, then drain them."""
    process = Process(name, parts, client, stop)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(config.health_port, process.waiting_for, process.examine))
        for resource in parts.resources:
            await stack.enter_async_context(resource)
        await process.run(config.drain_timeout)


class Process:
    """Runs the parts of a controller."""

    def __init__(self, name: str, parts: Parts, client: Client, stop: asyncio.Event) -> None:
        self.name = name
        self._parts = parts
        self._client = client
        self._stop = stop
        self._reached = False
        self._trouble = ""

    def waiting_for(self) -> list[str]:
        """What must happen before the process is ready."""
        if self._stop.is_set():
            return ["the end"]
        if not self._reached:
            return [f"the API: {self._trouble}" if self._trouble else "the API"]
        missing = [each for each in self._parts.informers if not each.synced.is_set()]
        return [f"{each.kind.definition.plural}: {each.trouble}".removesuffix(": ") for each in missing]

    def examine(self) -> list[Finding]:
        """Look at everything that the work needs."""
        stopping, reached = self._stop.is_set(), self._reached
        found = [
            Finding("stopping", not stopping, f"The process is {'' if stopping else 'not '}stopping."),
            Finding("api", reached, "It has answered." if reached else self._trouble or "It has not answered yet."),
        ]
        for informer in self._parts.informers:
            plural, count = informer.kind.definition.plural, len(informer.objects)
            listed = informer.synced.is_set()
            found.append(Finding(plural, listed, f"{count} are known." if listed else informer.trouble or "Not listed yet."))
            if listed and not informer.connected:
                trouble = informer.trouble or "The watch is interrupted."
                found.append(Finding(plural, False, f"{trouble} They are as {informer.age:.0f} s ago.", required=False))
        return found

    async def run(self, drain_timeout: float) -> None:
        """Start everything, and drain it once told to stop."""
        background: list[asyncio.Task[None]] = []
        controllers: list[asyncio.Task[None]] = []
        starting = asyncio.create_task(self._start(background, controllers))
        try:
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await stopping
            log.info("%s is stopping; what is under way may go on for %g s.", self.name, drain_timeout)
            await _cancel([starting])
            for controller in self._parts.controllers:
                controller.stop()
            if controllers:
                _, late = await asyncio.wait(controllers, timeout=drain_timeout)
                if late:
                    log.warning("%s ends with work unfinished; it is taken up again after the next start.", self.name)
        finally:
            await _cancel([starting, *controllers, *background])
        log.info("%s has stopped.", self.name)

    async def _start(self, background: list[asyncio.Task[None]], controllers: list[asyncio.Task[None]]) -> None:
        await self._await_api()
        self._reached = True
        background += [self._supervise(repr(each), each.run) for each in self._parts.informers]
        await asyncio.gather(*(each.synced.wait() for each in self._parts.informers))
        log.info("%s is ready.", self.name)
        controllers += [self._supervise(repr(each), each.run) for each in self._parts.controllers]
        background += [self._supervise(name, run) for name, run in self._parts.tasks.items()]

    async def _await_api(self) -> None:
        failures = 0
        while True:
            try:
                await self._client.ping()
            except Unavailable as error:
                failures += 1
                delay = BACKOFF.delay(failures, random.random())
                self._trouble = str(error)
                log.warning("%s waits for the API, next look in %.1f s: %s", self.name, delay, error)
                await asyncio.sleep(delay)
            except ApiError:
                # It answers; whether it allows what we need is told by the first real request.
                return
            else:
                return

    def _supervise(self, name: str, run: Run) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep_running(name, run), name=name)

    async def _keep_running(self, name: str, run: Run) -> None:
        """A part that ends by a mistake of ours is started again; it must not take the others with it."""
        failures = 0
        while not self._stop.is_set():
            try:
                await run()
                return
            except Exception:
                failures += 1
                PART_FAILURES.labels(name).inc()
                delay = BACKOFF.delay(failures, random.random())
                log.exception("%s: %s ended unexpectedly; it is started again in %.1f s.", self.name, name, delay)
            await asyncio.sleep(delay)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
