"""Gathers events until they are written, so that whatever happens often costs little. Pure: times are arguments, in seconds."""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Hashable
from itertools import count

from krake.data.events import Event, combine
from krake.data.metadata import Key

WINDOW = 30.0
BURST = 25
REFILL = 30.0
CAPACITY = 4096
SPAM = "spam"
OVERFLOW = "overflow"


class Correlator:
    """Events that wait to be written.

    The first of equal events is due at once; those that follow within *window* seconds are counted and written together. An
    object may cause *burst* writes at once, and one every *refill* seconds in the long run; what is beyond that is dropped, so
    that an object that is in trouble for ever, each time with other words, does not drown all others. At most *capacity*
    different events wait; the oldest make room.
    """

    def __init__(self, *, window: float = WINDOW, burst: int = BURST, refill: float = REFILL, capacity: int = CAPACITY) -> None:
        self.dropped: Counter[str] = Counter()
        """How many events were dropped, by `SPAM` (their objects caused too many) and `OVERFLOW` (too many waited)."""
        self._window = window
        self._capacity = capacity
        self._allowance = Allowance(burst, refill, capacity)
        self._waiting: OrderedDict[Key, Event] = OrderedDict()
        self._schedule: list[tuple[float, int, Key]] = []
        self._scheduled: dict[Key, int] = {}
        self._ticket = count()
        self._taken: OrderedDict[Key, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event, now: float) -> None:
        """Take in an event that has just happened."""
        known = self._waiting.get(event.key)
        if known is not None:
            self._waiting[event.key] = combine(known, event)
        elif not self._allowance.spend(event.regarding, now):
            self.dropped[SPAM] += event.count
        else:
            if len(self._waiting) >= self._capacity:
                self._drop_oldest()
            self._wait(event, max(now, self._taken.get(event.key, now - self._window) + self._window))

    def restore(self, event: Event, now: float) -> None:
        """Take in anew what could not be written; it is the oldest of all."""
        known = self._waiting.pop(event.key, None)
        if known is not None:
            event = combine(event, known)
        elif len(self._waiting) >= self._capacity:
            self.dropped[OVERFLOW] += event.count
            return
        self._wait(event, now)
        self._waiting.move_to_end(event.key, last=False)

    def take(self, now: float) -> Event | None:
        """Hand out the event that has been due for longest, if any is."""
        if self.next_due() is None or self._schedule[0][0] > now:
            return None
        _, _, key = heapq.heappop(self._schedule)
        del self._scheduled[key]
        self._taken[key] = now
        self._taken.move_to_end(key)
        while len(self._taken) > self._capacity:
            self._taken.popitem(last=False)
        return self._waiting.pop(key)

    def next_due(self) -> float | None:
        """When the next event is due; ``None`` if none waits."""
        while self._schedule and self._scheduled.get(self._schedule[0][2]) != self._schedule[0][1]:
            heapq.heappop(self._schedule)
        return self._schedule[0][0] if self._schedule else None

    def _wait(self, event: Event, due: float) -> None:
        ticket = next(self._ticket)
        self._waiting[event.key] = event
        self._scheduled[event.key] = ticket
        heapq.heappush(self._schedule, (due, ticket, event.key))
        if len(self._schedule) > 2 * self._capacity:
            # Those whose events were dropped are in the way.
            self._schedule = [each for each in self._schedule if self._scheduled.get(each[2]) == each[1]]
            heapq.heapify(self._schedule)

    def _drop_oldest(self) -> None:
        key, event = self._waiting.popitem(last=False)
        del self._scheduled[key]
        self.dropped[OVERFLOW] += event.count


class Allowance:
    """How much each of many may spend: *burst* at once, and one every *refill* seconds; those seen last are remembered."""

    def __init__(self, burst: int, refill: float, capacity: int) -> None:
        self._burst = burst
        self._refill = refill
        self._capacity = capacity
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def spend(self, who: Hashable, now: float) -> bool:
        """Spend one of somebody's allowance; false if nothing of it is left."""
        left, since = self._left.get(who, (float(self._burst), now))
        left = min(self._burst, left + max(0.0, now - since) / self._refill)
        allowed = left >= 1
        self._left[who] = left - allowed, now
        self._left.move_to_end(who)
        if len(self._left) > self._capacity:
            self._left.popitem(last=False)
        return allowed
