"""Writes events beside the work that they tell of: nothing ever waits for one, or fails because of one."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

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


class Later(Exception):
    """An event can not be written now, but perhaps later."""


class Refused(Exception):
    """An event can not be written, and whoever has to know has been told."""


class Recording:
    """Events on their way to be written, one after the other; what can not be written now is kept, as long as there is room."""

    def __init__(self, correlator: Correlator | None = None) -> None:
        self._correlator = correlator or Correlator()
        self._added = asyncio.Event()

    def add(self, event: Event) -> None:
        """Have an event written, soon. Returns at once."""
        self._correlator.add(event, _now())
        self._count_dropped()
        self._added.set()

    async def run(self, write: Write) -> None:
        """Write what is added, until cancelled.

        :param write: raises `Later` to be asked again, and `Refused` to give up an event; so does whatever else it raises,
            with a line in the log.
        """
        failures = 0
        while True:
            event = await self._next()
            if await self._attempt(write, event):
                failures = 0
            else:
                failures += 1
                await asyncio.sleep(BACKOFF.delay(failures, random.random()))

    async def flush(self, write: Write, limit: float) -> None:
        """Write all that waits, for *limit* seconds at most."""
        deadline = _now() + limit
        try:
            async with asyncio.timeout_at(deadline):
                while (event := self._correlator.take(float("inf"))) is not None and await self._attempt(write, event):
                    pass
        except TimeoutError:
            log.warning("%d events were not written in time.", len(self._correlator))

    async def _next(self) -> Event:
        while (event := self._correlator.take(_now())) is None:
            self._added.clear()
            try:
                async with asyncio.timeout_at(self._correlator.next_due()):
                    await self._added.wait()
            except TimeoutError:
                continue
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
