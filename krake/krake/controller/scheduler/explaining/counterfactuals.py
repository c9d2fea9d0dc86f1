"""What would have to be otherwise for another cluster to be chosen. Pure.

The score of a cluster is linear in the value of a metric, so that it can be solved for where another one becomes the best. All
clusters that have a metric see the same value of it, but each has its own weight. What is found is tried out before it is
told: with it, the decision really is another one.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from krake.controller.scheduler.deciding.decide import Decision, Ground, decide
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Candidate, Reading, Snapshot
from krake.data import ResourceRef
from krake.data.kubernetes import Application

DIGITS = (2, 3, 4, 6, 9)
"""Significant digits by which a bound is told: as few as possible, so that it still holds."""


HEAVIEST = 1e6
"""Nobody is told of a weight that is larger."""
TINY = 0.01
"""Smaller bounds have fewer digits: they are told to the same fraction of this."""
SLACK = 1e-9
"""Share by which a bound is passed at least, as scores are reckoned in floats."""
ATTEMPTS = 2
"""So many of the easiest solutions are tried out: a constraint may stand against them."""


@dataclass(frozen=True)
class Counterfactual:
    """With this, *cluster* would have been chosen.

    :param subject: ``value``: the raw value of the metric, for all clusters; ``weight``: its weight for this cluster.
    :param bound: the value or weight that would do; *at_least* this, or else at most.
    :param present: what it is.
    """

    cluster: ResourceRef
    metric: str
    subject: str
    bound: float
    at_least: bool
    present: float

    def __str__(self) -> str:
        what = self.metric if self.subject == "value" else f"the weight of {self.metric}"
        return f"{self.cluster.name} would win if {what} were {'≥' if self.at_least else '≤'} {self.bound:g}"


def find_counterfactuals(
    app: Application, snapshot: Snapshot, decision: Decision, *, rivals: int = 3
) -> tuple[Counterfactual, ...]:
    """Return what would have let each of the best that were not chosen win; nothing, where scores did not decide.

    :param decision: that on *app* by *snapshot*.
    :param rivals: the number of clusters that are asked about, the best first.
    """
    return tuple(each for each in seek_counterfactuals(app, snapshot, decision, rivals=rivals) if each is not None)


def seek_counterfactuals(
    app: Application, snapshot: Snapshot, decision: Decision, *, rivals: int = 3
) -> Iterator[Counterfactual | None]:
    """Yield the same, one by one, and ``None`` again and again meanwhile, so that others may have their turn."""
    if decision.ground is not Ground.BEST or decision.choice is None:
        return
    contest = _Contest(app, snapshot, decision)
    yield None
    for rival in contest.list_rivals()[:rivals]:
        yield from contest.find_for(rival)


_Solution = tuple[float, Counterfactual]
"""What would have to change, after how much."""


class _Line(NamedTuple):
    """The score of a cluster by the value *x* of one metric: ``offset + slope * x``."""

    offset: float
    slope: float


class _Contest:
    """The clusters among which the scores have decided."""

    def __init__(self, app: Application, snapshot: Snapshot, decision: Decision) -> None:
        self._app, self._snapshot, self._choice = app, snapshot, decision.choice
        found = {each.cluster: each.finding for each in decision.verdicts if isinstance(each.finding, Score)}
        assert decision.choice is not None
        winner = found[decision.choice]
        # Taints to be avoided count more than any metric, and so does having metrics at all.
        self._scores = {ref: each for ref, each in found.items() if each.rank[:2] == winner.rank[:2]} if winner.measured else {}
        self._lines: dict[str, dict[ResourceRef | None, _Line]] = {}

    def list_rivals(self) -> list[ResourceRef]:
        """Return who was not chosen, the best first."""
        losers = [(ref, each) for ref, each in self._scores.items() if ref != self._choice]
        return [ref for ref, each in sorted(losers, key=lambda pair: (-pair[1].total, pair[0].name))]

    def find_for(self, rival: ResourceRef) -> Iterator[Counterfactual | None]:
        """Yield what would let a cluster win: the value and the weight that would have to change the least; else ``None``."""
        candidate = self._snapshot.fleet.find(rival)
        assert candidate is not None
        for solve in (self._solve_value, self._solve_weight):
            solved: list[_Solution] = []
            for each in candidate.measurement.readings:
                if (solution := _attempt(solve, rival, each)) is not None:
                    solved.append(solution)
                yield None
            for _, found in sorted(solved, key=lambda each: each[0])[:ATTEMPTS]:
                world = apply(found, self._snapshot)
                yield None
                if decide(self._app, world).choice == found.cluster:
                    yield found
                    break
                yield None

    def _solve_value(self, rival: ResourceRef, reading: Reading) -> _Solution | None:
        lines = self._draw_lines(reading.name)
        if rival not in lines:
            return None  # it does not weigh anything
        own, lower, upper = lines[rival], 0.0, 1.0
        for other, line in lines.items():
            slope, lag = own.slope - line.slope, line.offset - own.offset
            if slope > 0:
                lower = max(lower, lag / slope)
            elif slope < 0:
                upper = min(upper, lag / slope)
            elif lag >= 0 and other != rival:
                return None
        # Where it would win already, the clusters do not see the same value, so that it is another metric.
        if lower > upper or lower < reading.value < upper:
            return None
        at_least = reading.value <= lower
        near, far = (lower, upper) if at_least else (upper, lower)
        bound = _round_within(*(reading.low + each * (reading.high - reading.low) for each in (near, far)))
        if bound is None:
            return None
        return abs(near - reading.value), Counterfactual(rival, reading.name, "value", bound, at_least, reading.raw)

    def _solve_weight(self, rival: ResourceRef, reading: Reading) -> _Solution | None:
        parts = self._scores[rival].parts
        weights = math.fsum(each.weight for each in parts if each.name != reading.name)
        rest = math.fsum(each.value * each.weight for each in parts if each.name != reading.name)
        best = max(each.total for ref, each in self._scores.items() if ref != rival)
        gain, lag = reading.value - best, best * weights - rest
        near = lag / gain if gain else math.inf
        if not 0 <= near <= HEAVIEST or (bound := _round_within(near, math.inf if gain > 0 else 0.0)) is None:
            return None
        effort = abs(near - reading.weight) / (1 + abs(reading.weight))
        return effort, Counterfactual(rival, reading.name, "weight", bound, gain > 0, reading.weight)

    def _draw_lines(self, metric: str) -> dict[ResourceRef | None, _Line]:
        """Return the line of each cluster that has a metric, and, by ``None``, that of the best of the others."""
        if metric not in self._lines:
            lines: dict[ResourceRef | None, _Line] = {None: _Line(-math.inf, 0.0)}
            for ref, each in self._scores.items():
                if weight := sum(part.weight for part in each.parts if part.name == metric):
                    rest, weights = 0.0, 0.0
                    for part in each.parts:
                        weights += part.weight
                        rest += part.value * part.weight if part.name != metric else 0.0
                    lines[ref] = _Line(rest / weights, weight / weights)
                else:
                    lines[None] = max(lines[None], _Line(each.total, 0.0))
            self._lines[metric] = lines
        return self._lines[metric]


def _attempt(
    solve: Callable[[ResourceRef, Reading], _Solution | None], rival: ResourceRef, reading: Reading
) -> _Solution | None:
    """Return what *solve* finds; nothing where weights are so huge that they can not be reckoned with."""
    try:
        return solve(rival, reading)
    except ArithmeticError:
        return None


def apply(found: Counterfactual, snapshot: Snapshot) -> Snapshot:
    """Return the snapshot in which a counterfactual has come true."""
    if found.subject == "value":
        # As most of them change, it is cheaper to prepare all of them anew.
        return replace(snapshot, candidates=tuple(_changed(each, found) or each for each in snapshot.candidates))
    others = (_changed(each, found) for each in snapshot.candidates if each.ref == found.cluster)
    return snapshot.changed(each for each in others if each is not None)


def _changed(candidate: Candidate, found: Counterfactual) -> Candidate | None:
    readings = candidate.measurement.readings
    if all(each.name != found.metric for each in readings):
        return None
    measurement = replace(candidate.measurement, readings=tuple(_changed_readings(readings, found)))
    return replace(candidate, measurement=measurement)


def _changed_readings(readings: Iterable[Reading], found: Counterfactual) -> Iterator[Reading]:
    for each in readings:
        if each.name != found.metric:
            yield each
        elif found.subject == "weight":
            yield replace(each, weight=found.bound)
        else:
            span = each.high - each.low
            value = min(max((found.bound - each.low) / span, 0.0), 1.0) if span > 0 else each.value
            yield replace(each, raw=found.bound, value=value)


def _round_within(bound: float, limit: float) -> float | None:
    """Return the number with the fewest digits that lies beyond *bound*, next to it, but not beyond *limit*."""
    if not math.isfinite(bound):
        return None
    upwards, scale = limit > bound, max(abs(bound), TINY)
    start = bound + scale * (SLACK if upwards else -SLACK)
    for digits in DIGITS:
        quantum = 10.0 ** (math.floor(math.log10(scale)) + 1 - digits)
        number = (math.ceil if upwards else math.floor)(start / quantum) * quantum
        number = float(f"{number:.{digits}g}")
        if start <= number <= limit if upwards else limit <= number <= start:
            return number
    return None
