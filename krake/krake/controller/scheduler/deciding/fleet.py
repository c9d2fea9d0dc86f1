"""Candidates, prepared for many decisions: what is the same for all of them is worked out once. Pure.

A set of candidates is an integer whose bit *i* stands for ``candidates[i]``. Which candidates satisfy a condition is remembered
as such a set, so that a decision combines a few integers instead of looking at each candidate; and when some candidates
change, only their bits are worked out anew. Clusters, clouds and projects are all ranked by this.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import groupby
from typing import Generic, Protocol, TypeVar

from krake.controller.scheduler.deciding.scores import Score, score
from krake.controller.scheduler.deciding.snapshot import Measurement
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


FEW = 64
"""So many candidates are put in order quicker than they are found among all that are in order already."""

C = TypeVar("C", bound=Ranked)


class Fleet(Generic[C]):
    """Candidates by namespace and name, with their scores as newcomers see them, and the conditions that they satisfy."""

    def __init__(self, candidates: Iterable[C]) -> None:
        self.candidates: tuple[C, ...] = tuple(sorted(candidates, key=lambda each: _order(each.ref)))
        self._sets: dict[Hashable, tuple[Callable[[C], bool], int]] = {}
        self._grouped: dict[Hashable, dict[Hashable, int]] = {}

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

    def grouped(self, key: Hashable, value_of: Callable[[C], Hashable]) -> Mapping[Hashable, int]:
        """Return the candidates by a value that they have, as sets.

        :param key: names the value; it must be another one for another value.
        """
        if key not in self._grouped:
            if len(self._grouped) >= REMEMBERED:
                self._grouped.clear()
            groups: dict[Hashable, int] = {}
            for position, each in enumerate(self.candidates):
                value = value_of(each)
                groups[value] = groups.get(value, 0) | 1 << position
            self._grouped[key] = groups
        return self._grouped[key]

    def rank(self, chosen: int) -> Iterator[tuple[Score, list[int]]]:
        """Return the scores of the members of a set, as newcomers see them: the best first, each with their positions."""
        if chosen.bit_count() <= FEW:
            ordered = sorted(positions_of(chosen), key=self._tiers.__getitem__)
            groups = (list(equal) for _, equal in groupby(ordered, key=self._tiers.__getitem__))
        else:
            digits = chosen.to_bytes(len(self.candidates) // 8 + 1, "little")
            groups = ([each for each in tied if digits[each >> 3] >> (each & 7) & 1] for tied in self._ranking)
        return ((self.scores[tied[0]], tied) for tied in groups if tied)

    @cached_property
    def _ranking(self) -> list[list[int]]:
        """The positions of those that have the same score, the best first."""
        ranks = [(each.measured, each.total) for each in self.scores]
        ordered = sorted(range(len(ranks)), key=ranks.__getitem__, reverse=True)
        return [list(tied) for _, tied in groupby(ordered, key=ranks.__getitem__)]

    @cached_property
    def _tiers(self) -> list[int]:
        """The place of each candidate in the ranking, by position."""
        tiers = [0] * len(self.candidates)
        for number, positions in enumerate(self._ranking):
            for position in positions:
                tiers[position] = number
        return tiers

    @cached_property
    def scores(self) -> list[Score]:
        """The scores of newcomers, by position."""
        return [score(each.measurement) for each in self.candidates]

    def members(self, chosen: int) -> Iterator[C]:
        """Yield the candidates of a set, by namespace and name."""
        return (self.candidates[position] for position in positions_of(chosen))

    def changed(self, candidates: Iterable[C], gone: Iterable[ResourceRef] = ()) -> "Fleet[C]":
        """Return a fleet in which some candidates are new or others than before, and some are gone."""
        news = {each.ref: each for each in candidates}
        if set(gone) & self.positions.keys() or not news.keys() <= self.positions.keys():
            current = {each.ref: each for each in self.candidates} | news
            return Fleet(each for ref, each in current.items() if ref not in set(gone))
        return self._exchanged({self.positions[ref]: each for ref, each in news.items()})

    def _exchanged(self, news: Mapping[int, C]) -> "Fleet[C]":
        """Return a fleet in which the candidates at some positions are others: what is known of the rest is kept."""
        fleet = Fleet[C](())
        candidates, remeasured = list(self.candidates), []
        for position, each in news.items():
            if each.measurement != candidates[position].measurement:
                remeasured.append(position)
            candidates[position] = each
        fleet.candidates = tuple(candidates)
        fleet.__dict__ |= {
            "positions": self.positions,
            "scores": self.scores,
            "_ranking": self._ranking,
            "_tiers": self._tiers,
        }
        if remeasured:
            scores = list(self.scores)
            for position in remeasured:
                scores[position] = score(candidates[position].measurement)
            fleet.__dict__["scores"] = scores
            del fleet.__dict__["_ranking"], fleet.__dict__["_tiers"]
        for key, (condition, found) in self._sets.items():
            for position, each in news.items():
                bit = 1 << position
                found = found | bit if condition(each) else found & ~bit
            fleet._sets[key] = condition, found
        return fleet


def positions_of(chosen: int) -> list[int]:
    """Return the positions of the members of a set."""
    return [position for position, digit in enumerate(reversed(f"{chosen:b}")) if digit == "1"]


def _order(ref: ResourceRef) -> tuple[str, str]:
    return ref.namespace or "", ref.name
