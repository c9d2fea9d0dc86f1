"""Who may move next: moves are slowed down, so that a change that concerns many does not move all of them at once. Pure.

Who wants to move asks; if it is not possible at once, it waits, and is called in the order of rank. Time, in seconds of any
clock, is an argument.
"""

import heapq
from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

CALLED_FOR = 30.0
"""Seconds for which a turn is kept for who was called."""
BURST = 10.0
"""Seconds for which the rate may be saved up while nobody moves."""


class Pace:
    """A rate that is not exceeded: a bucket of tokens. A rate of 0 is no limit."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._size = max(1.0, self._rate * BURST)
        self._tokens = self._size
        self._filled = float("-inf")

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        if self._rate <= 0:
            return True
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """Give back a token that was not used."""
        self._tokens = min(self._tokens + 1, self._size)

    def wait(self, now: float) -> float:
        """Return in how many seconds there is a token."""
        if self._rate <= 0:
            return 0.0
        self._fill(now)
        # Rounded up a little: a token that is a rounding error away must not be asked for in a busy loop.
        return max(0.0, (1 - self._tokens) / self._rate + 0.001) if self._tokens < 1 else 0.0

    def _fill(self, now: float) -> None:
        if now > self._filled:
            grown = min(self._size, (now - self._filled) * self._rate)
            self._tokens = min(self._size, self._tokens + grown)
            self._filled = now


class Turns(Generic[K]):
    """Who waits for a turn to move, and who was called."""

    def __init__(self, per_minute: float) -> None:
        self._pace = Pace(per_minute)
        self._waiting: dict[K, tuple[Any, int]] = {}
        self._row: list[tuple[Any, int, K]] = []
        """A heap of ranks; an entry counts only while it agrees with `_waiting`."""
        self._called: dict[K, float] = {}
        self._counter = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, key: K, rank: Any, now: float, room: int | None = None) -> bool:
        """Return whether *key* may move now; if not, it waits until it is called.

        :param rank: the least goes first.
        :param room: so many more may move at the same time; ``None`` for any number.
        """
        if self._called.pop(key, None) is not None:
            return True
        if not self._waiting and (room is None or room > len(self._called)) and self._pace.take(now):
            return True
        known = self._waiting.get(key)
        if known is None or known[0] != rank:
            self._counter += 1
            self._waiting[key] = rank, self._counter
            heapq.heappush(self._row, (rank, self._counter, key))
        return False

    def leave(self, key: K) -> None:
        """Forget that *key* wanted to move."""
        self._waiting.pop(key, None)
        if self._called.pop(key, None) is not None:
            self._pace.give_back()

    def call(self, now: float, room: int | None = None) -> Iterator[K]:
        """Yield those whose turn it is now.

        :param room: as for `ask`.
        """
        for key in [key for key, until in self._called.items() if until < now]:
            del self._called[key]
        while self._row and (room is None or room > len(self._called)):
            rank, number, key = self._row[0]
            if self._waiting.get(key) != (rank, number):
                heapq.heappop(self._row)
                continue
            if not self._pace.take(now):
                return
            heapq.heappop(self._row)
            del self._waiting[key]
            self._called[key] = now + CALLED_FOR
            yield key

    def wait(self, now: float) -> float | None:
        """Return in how many seconds the next one can be called; ``None`` if nobody waits."""
        return self._pace.wait(now) if self._waiting else None
