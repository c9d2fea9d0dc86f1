"""Keys that wait for a worker: each at most once, never with two workers at once, some only from a time on."""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from krake.lib.backoff import Backoff

K = TypeVar("K", bound=Hashable)

BACKOFF = Backoff(0.25, 120.0)
"""How long a key that fails is left alone."""
BLAMELESS = 5
"""A failure that is not the key's own costs it at most as much as this many of its own in a row, however many there are."""


class Backlog(Generic[K]):
    """The state of a queue. Pure: the time, in seconds of any clock, is an argument of each call.

    A key that is added while it waits is not added again; one that is added while a worker has it comes back when the worker
    is done with it. Ready keys are handed out by their rank, and those of the same rank first in, first out. So its size is
    bounded by the number of distinct keys.

    :param rank: says of a key how soon it is to be handed out compared with others; the least first. It is asked whenever the
        key is added, so that one that has become more urgent while it waits is moved up.
    :param share: says of a key whose it is. Those of each have their turn in turn, so that no rank, and no number of keys of
        one, keeps those of others waiting; ranks count among those of the same.
    """

    def __init__(self, rank: Callable[[K], Any] | None = None, share: Callable[[K], Hashable] | None = None) -> None:
        self._rank = rank
        self._share = share
        self._ready: dict[Hashable, list[tuple[Any, int, K]]] = {}
        """A heap of ranks for each share; an entry counts only while it agrees with `_places`."""
        self._turns: deque[Hashable] = deque()
        """The shares that have a heap, in the order in which they have their turn."""
        self._places: dict[K, tuple[Any, int]] = {}
        self._waiting: dict[K, float] = {}
        """The ready keys, and since when."""
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        """A heap of times; an entry counts only while it agrees with `_due`."""
        self._counter = 0
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}

    @property
    def ready(self) -> int:
        """How many keys a worker could take now."""
        return len(self._waiting)

    def oldest(self, now: float) -> float:
        """How many seconds the key has waited that has waited longest; 0 if there is none."""
        return now - next(iter(self._waiting.values()), now)

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._due)

    @property
    def active(self) -> frozenset[K]:
        """The keys that workers have."""
        return frozenset(self._active)

    def add(self, key: K, now: float, after: float = 0.0) -> None:
        """Hand out a key, from *after* seconds on. The earliest wish counts, and one for now replaces those for later."""
        if key in self._waiting:
            if self._rank is not None and after <= 0:
                self._place(key)
            return
        if key in self._again:
            return
        if after > 0:
            due = now + after
            if due < self._due.get(key, float("inf")):
                self._due[key] = due
                self._push(due, key)
            return
        self._due.pop(key, None)
        if key in self._active:
            self._again.add(key)
        else:
            self._enqueue(key, now)

    def take(self, now: float) -> tuple[K, float] | None:
        """Hand out the next key, and how many seconds it has waited; ``None`` if none is ready."""
        self._promote(now)
        while self._turns:
            share = self._turns.popleft()
            found = self._pop(self._ready[share])
            if self._ready[share]:
                self._turns.append(share)
            else:
                del self._ready[share]
            if found is not None:
                self._active.add(found)
                return found, now - self._waiting.pop(found)
        return None

    def _pop(self, row: list[tuple[Any, int, K]]) -> K | None:
        """Take the first key out of a row, and what does not count any more before it."""
        while row:
            rank, number, key = heapq.heappop(row)
            if self._places.get(key) == (rank, number):
                del self._places[key]
                return key
        return None

    def done(self, key: K, now: float) -> None:
        """Take back a key that was handed out."""
        self._active.remove(key)
        if key in self._again:
            self._again.remove(key)
            self._enqueue(key, now)

    def fail(self, key: K) -> int:
        """Count a failure of a key; returns how many there were in a row."""
        self._failures[key] = self._failures.get(key, 0) + 1
        return self._failures[key]

    def succeed(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def next_due(self) -> float | None:
        """When the next delayed key becomes ready."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _enqueue(self, key: K, now: float) -> None:
        self._waiting[key] = now
        self._place(key)

    def _place(self, key: K) -> None:
        """Put a key into the row; if it is there already, only further to the front."""
        rank = 0 if self._rank is None else self._rank(key)
        known = self._places.get(key)
        if known is not None and not rank < known[0]:
            return
        self._counter += 1
        self._places[key] = rank, self._counter
        share = None if self._share is None else self._share(key)
        if share not in self._ready:
            self._ready[share] = []
            self._turns.append(share)
        heapq.heappush(self._ready[share], (rank, self._counter, key))

    def _promote(self, now: float) -> None:
        while (due := self.next_due()) is not None and due <= now:
            key = heapq.heappop(self._timers)[2]
            del self._due[key]
            self.add(key, due)

    def _push(self, due: float, key: K) -> None:
        self._counter += 1
        heapq.heappush(self._timers, (due, self._counter, key))
        if len(self._timers) > 2 * len(self._due) + 64:
            self._timers = [entry for entry in self._timers if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._timers)


class Closed(Exception):
    """The queue hands out nothing any more."""


class Queue(Generic[K]):
    """A `Backlog` on the clock of the running event loop, with workers waiting for it."""

    def __init__(
        self,
        backoff: Backoff = BACKOFF,
        rank: Callable[[K], Any] | None = None,
        share: Callable[[K], Hashable] | None = None,
    ) -> None:
        self.backlog: Backlog[K] = Backlog(rank, share)
        self.closed = False
        self._backoff = backoff
        self._changed = asyncio.Event()

    def add(self, key: K, after: float = 0.0) -> None:
        """Hand out a key, from *after* seconds on."""
        self.backlog.add(key, _now(), after)
        self._changed.set()

    def retry(self, key: K) -> float:
        """Hand out a key that failed again, after a back-off; returns its length in seconds."""
        delay = self._backoff.delay(self.backlog.fail(key), random.random())
        self.add(key, delay)
        return delay

    def postpone(self, key: K) -> float:
        """Hand out a key again for whose failure it is not to blame, after a short while; returns its length in seconds."""
        delay = self._backoff.delay(BLAMELESS, random.random())
        self.add(key, delay)
        return delay

    @property
    def oldest(self) -> float:
        """How many seconds the key that is handed out next has waited."""
        return self.backlog.oldest(_now()) if self.backlog.ready else 0.0

    def succeed(self, key: K) -> None:
        """Forget the failures of a key."""
        self.backlog.succeed(key)

    async def take(self) -> tuple[K, float]:
        """Wait for the next key; give it back with `done`. Returns how many seconds it has waited, too.

        :raises Closed: the queue was closed.
        """
        while not self.closed:
            if (taken := self.backlog.take(_now())) is not None:
                return taken
            self._changed.clear()
            await self._wait()
        raise Closed

    def done(self, key: K) -> None:
        """Take back a key."""
        self.backlog.done(key, _now())
        self._changed.set()

    def close(self) -> None:
        """Hand out nothing any more."""
        self.closed = True
        self._changed.set()

    async def _wait(self) -> None:
        due = self.backlog.next_due()
        try:
            async with asyncio.timeout_at(due):
                await self._changed.wait()
        except TimeoutError:
            pass


def _now() -> float:
    return asyncio.get_running_loop().time()
