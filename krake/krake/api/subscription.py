"""A watcher's place in the cache: the lines that wait to be sent to it."""

import asyncio
from collections import deque
from collections.abc import Callable

from krake.api.items import Event
from krake.api.selector import Selector
from krake.data.metadata import WatchEventType

_CHUNK = 262_144
"""So many bytes are sent at once at most, so that a slow reader does not make the process copy its whole backlog."""


class Subscription:
    """Receives the events below a prefix of store keys, from objects that a selector selects.

    An object that begins or ceases to be selected is told as added or deleted. *on_overflow* is called when more than *limit*
    lines wait; nothing is received after that. *secrets* is whether the receiver may see them.
    """

    def __init__(
        self,
        prefix: str,
        selector: Selector | None,
        limit: int,
        on_overflow: Callable[[], None] | None = None,
        *,
        secrets: bool = False,
    ) -> None:
        self._prefix = prefix
        self._selector = selector
        self._limit = limit
        self._on_overflow = on_overflow
        self._secrets = secrets
        self._lines: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    def offer(self, event: Event) -> None:
        """Receive an event, if it is of those asked for."""
        if self.closed or not event.item.store_key.startswith(self._prefix):
            return
        kind = event.type if self._selector is None else _type_for(self._selector, event)
        if kind is not None:
            self.push(event.line(kind, self._secrets))

    def push(self, line: bytes) -> None:
        """Receive a line."""
        if self.closed:
            return
        self._lines.append(line)
        if len(self._lines) > self._limit:
            self.close()
            if self._on_overflow is not None:
                self._on_overflow()
        else:
            self._wake()

    def replay(self, events: list[Event]) -> None:
        """Receive events of the past, however many."""
        self._limit += len(events)
        for event in events:
            self.offer(event)

    def close(self, last: bytes | None = None) -> None:
        """Receive nothing any more, except a *last* line."""
        if last is not None and not self.closed:
            self._lines.append(last)
        self.closed = True
        self._wake()

    async def take(self) -> bytes:
        """Wait for lines and return the next of them, as one text; an empty one means that there will be no more."""
        while not self._lines:
            if self.closed:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if len(self._lines) == 1:
            return self._lines.popleft()
        taken, size = [], 0
        while self._lines and size < _CHUNK:
            line = self._lines.popleft()
            taken.append(line)
            size += len(line)
        return b"".join(taken)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _type_for(selector: Selector, event: Event) -> WatchEventType | None:
    before = event.previous is not None and selector.match(event.previous.labels)
    now = event.type is not WatchEventType.DELETED and selector.match(event.item.labels)
    if now:
        return WatchEventType.MODIFIED if before else WatchEventType.ADDED
    return WatchEventType.DELETED if before else None
