"""Candidates, prepared for many decisions: what is the same for all of them is worked out once. Pure.

A set of candidates is an integer whose bit *i* stands for ``candidates[i]``. Which candidates satisfy a condition is remembered
as such a set, so that a decision combines a few integers instead of looking at each candidate; and when some candidates
change, only their bits are worked out anew. Clusters, clouds and projects are all ranked by this.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from krake.controller.scheduler.scores import Score, score
from krake.controller.scheduler.snapshot import Measurement
from krake.data import ResourceRef

REMEMBERED = 4096
"""So many conditions are remembered at most; beyond that all are worked out anew, as they are asked for."""


class Ranked(Protocol):
    """What can be a candidate."""

    @property
    def ref(self) -> ResourceRef:
        """Names it."""

    @property
    def measurement(self) -> Measurement:
        """What is known of its metrics."""


C = TypeVar("C", bound=Ranked)


class Fleet(Generic[C]):
    """Candidates by namespace and name, with their scores as newcomers see them, and the conditions that they satisfy."""

    def __init__(self, candidates: Iterable[C]) -> None:
        self.candidates: tuple[C, ...] = tuple(sorted(candidates, key=lambda each: _order(each.ref)))
        self._scores: dict[ResourceRef, tuple[Measurement, Score]] = {}
        self._sets: dict[Hashable, tuple[Callable[[C], bool], int]] = {}

    @cached_property
    def positions(self) -> dict[ResourceRef, int]:
        """The position of each candidate."""
        return {each.ref: position for position, each in enumerate(self.candidates)}

    @cached_property
    def everyone(self) -> int:
        """The set of all candidates."""
        return (1 << len(self.candidates)) - 1

    def find(self, ref: ResourceRef | None) -> C | None:
        """Return the candidate that a reference names, if it is one."""
        position = None if ref is None else self.positions.get(ref)
        return None if position is None else self.candidates[position]

    def satisfying(self, key: Hashable, condition: Callable[[C], bool]) -> int:
        """Return the set of the candidates that satisfy a condition.

        :param key: names the condition; it must be another one for another condition.
        """
        remembered = self._sets.get(key)
        if remembered is None:
            if len(self._sets) >= REMEMBERED:
                self._sets.clear()
            found = sum(1 << position for position, each in enumerate(self.candidates) if condition(each))
            self._sets[key] = remembered = condition, found
        return remembered[1]

    @cached_property
    def tiers(self) -> tuple[tuple[Score, int], ...]:
        """The scores of newcomers, the best first, each with the set of those that have it."""
        tiers: dict[tuple[int, bool, float], tuple[Score, int]] = {}
        for position, each in enumerate(self.candidates):
            found = self._score(each)
            tiers[found.rank] = found, tiers.get(found.rank, (found, 0))[1] | 1 << position
        return tuple(tiers[rank] for rank in sorted(tiers, reverse=True))

    def _score(self, candidate: C) -> Score:
        known = self._scores.get(candidate.ref)
        if known is None or known[0] is not candidate.measurement:
            found = score(candidate.measurement, current=False, stickiness=0.0)
            self._scores[candidate.ref] = known = candidate.measurement, found
        return known[1]

    def members(self, chosen: int) -> Iterator[C]:
        """Yield the candidates of a set, by namespace and name."""
        while chosen:
            lowest = chosen & -chosen
            yield self.candidates[lowest.bit_length() - 1]
            chosen ^= lowest

    def changed(self, candidates: Iterable[C], gone: Iterable[ResourceRef] = ()) -> "Fleet[C]":
        """Return a fleet in which some candidates are new or others than before, and some are gone."""
        current = {each.ref: each for each in self.candidates}
        news = {each.ref: each for each in candidates}
        for ref in gone:
            current.pop(ref, None)
        fleet = Fleet((current | news).values())
        fleet._scores = self._scores
        if len(fleet.candidates) == len(self.candidates) and news.keys() <= self.positions.keys():
            fleet.__dict__["positions"] = self.positions
            fleet._sets = {key: self._refreshed(*known, news.values()) for key, known in self._sets.items()}
        return fleet

    def _refreshed(self, condition: Callable[[C], bool], found: int, news: Iterable[C]) -> tuple[Callable[[C], bool], int]:
        for each in news:
            bit = 1 << self.positions[each.ref]
            found = found | bit if condition(each) else found & ~bit
        return condition, found


def _order(ref: ResourceRef) -> tuple[str, str]:
    return ref.namespace or "", ref.name
