"""Writes events beside the work that they tell of: nothing ever waits for one, or fails because of one."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prometheus_client import Counter

from krake.data.correlation import Correlator
from krake.data.events import Event
from krake.lib.backoff import Backoff

log = logging.getLogger(__name__)

Write = Callable[[Event], Awaitable[None]]

EVENTS = Counter("krake_events", "Events told, by what became of them: written, refused, or dropped", ["fate"])

TIME_LIMIT = 15.0
"""Seconds that the writing of one event may take."""
BACKOFF = Backoff(0.5, 15.0)
REST = 3.0
"""After each event, for so many times as long as it took to write it."""
LAST_WORDS = 2.0
"""Seconds in which a process that ends may still write its events."""
_LAST_PAUSE = 0.1


class Later(Exception):
    """An event can not be written now, but perhaps later."""


class Refused(Exception):
    """An event can not be written, and whoever has to know has been told."""


class Recording:
    """Events on their way to be written, one after the other; what can not be written now is kept, as long as there is room."""

    def __init__(self, correlator: Correlator | None = None) -> None:
        self._correlator = Correlator() if correlator is None else correlator
        self._added = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, event: Event) -> None:
        """Have an event written, soon. Returns at once."""
        self._correlator.add(event, _now())
        self._count_dropped()
        self._added.set()

    def start(self, write: Write) -> None:
        """Begin to write what is added.

        :param write: raises `Later` to be asked again, and `Refused` to give up an event; so does whatever else it raises,
            with a line in the log.
        """
        self._task = asyncio.create_task(self._run(write), name="recording")

    async def close(self) -> None:
        """Write what waits still, for a short while."""
        if self._task is None:
            return
        self._stopping.set()
        self._added.set()
        _, late = await asyncio.wait({self._task}, timeout=LAST_WORDS)
        if late:
            log.warning("Not all events were written in time.")
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, write: Write) -> None:
        failures = 0
        while (event := await self._next()) is not None:
            began = _now()
            if await self._attempt(write, event):
                failures = 0
                # When much happens at once, that has precedence over telling of it.
                await self._rest(REST * (_now() - began), at_least=0.0)
            else:
                failures += 1
                await self._rest(BACKOFF.delay(failures, random.random()), at_least=_LAST_PAUSE)

    async def _rest(self, delay: float, *, at_least: float) -> None:
        """Wait, but no longer than *at_least* as soon as the process ends."""
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
        if self._stopping.is_set():
            await asyncio.sleep(at_least)

    async def _next(self) -> Event | None:
        """Wait for the next event that is due; ``None`` if there will be none."""
        while (event := self._correlator.take(float("inf") if self._stopping.is_set() else _now())) is None:
            if self._stopping.is_set():
                return None
            self._added.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._correlator.next_due()):
                    await self._added.wait()
        return event

    async def _attempt(self, write: Write, event: Event) -> bool:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await write(event)
        except (Later, TimeoutError) as error:
            log.debug("The event %s is written later: %s", event.key, error)
            self._correlator.restore(event, _now())
            self._count_dropped()
            return False
        except Refused:
            EVENTS.labels("refused").inc(event.count)
        except Exception as error:
            log.warning("The event %s can not be written: %s", event.key, error)
            EVENTS.labels("refused").inc(event.count)
        else:
            EVENTS.labels("written").inc(event.count)
        return True

    def _count_dropped(self) -> None:
        while self._correlator.dropped:
            fate, number = self._correlator.dropped.popitem()
            EVENTS.labels(fate).inc(number)


def _now() -> float:
    return asyncio.get_running_loop().time()
