"""How much each user may ask for. Pure: the time, in seconds of any clock, is an argument."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

MOST_BUCKETS = 10_000
"""So many users are told apart; of more, those are forgotten who were not seen for longest."""


class Buckets:
    """A bucket of tokens for each name: filled *per_second*, up to *burst*. 0 per second means that there is no limit."""

    def __init__(self, per_second: float, burst: int, most: int = MOST_BUCKETS) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: str, now: float) -> float:
        """Take a token; returns 0, or in how many seconds there will be one if there is none."""
        if not self._per_second:
            return 0.0
        level = self._level(name, now)
        missing = 1 - level
        if missing <= 0:
            level -= 1
        self._levels[name] = level, now
        self._levels.move_to_end(name)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return max(0.0, missing / self._per_second)

    def wait(self, name: str, now: float) -> float:
        """Return in how many seconds there will be a token, without taking it."""
        if not self._per_second:
            return 0.0
        return max(0.0, (1 - self._level(name, now)) / self._per_second)

    def _level(self, name: str, now: float) -> float:
        known = self._levels.get(name)
        if known is None:
            return self._burst
        level, at = known
        return min(self._burst, level + (now - at) * self._per_second)


class Seats:
    """Lets each name have a limited number of something open at a time."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, name: str) -> Iterator[bool]:
        """Take a seat; gives whether there was one."""
        if self._taken[name] >= self._each:
            yield False
            return
        self._taken[name] += 1
        try:
            yield True
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]
