"""Makes records of decisions, and a history of records. Pure.

A record tells of a limited number of candidates: the choice, where the object was, the best of those that fit, and some of
those that each rule refused. A history begins a new entry whenever the outcome is another one; as long as it stays the same,
only the numbers of the latest entry are renewed.
"""

import math
from collections import Counter
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from krake.controller.scheduler.deciding.decide import Decision, Ground, Verdict
from krake.controller.scheduler.deciding.filters import Refusal
from krake.controller.scheduler.deciding.hosts import HostChoice
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Measurement, Reading, Snapshot
from krake.controller.scheduler.explaining import counterfactuals
from krake.controller.scheduler.explaining.counterfactuals import seek_counterfactuals
from krake.data import ResourceRef
from krake.data.kubernetes import Application
from krake.data.placements import (
    LONGEST_TEXT,
    MOST_CANDIDATES,
    MOST_DECISIONS,
    MOST_METRICS,
    CandidateRecord,
    Condition,
    Counterfactual,
    DecisionRecord,
    MetricRecord,
)

RENEWAL = timedelta(seconds=60)
"""Numbers alone are renewed no more often than this."""
COMPARED = 1000
"""Among more candidates, it is not worked out what would have to be otherwise: that takes too long at a stretch."""
REFUSED_AT_MOST = 0.4
"""Share of the candidates told that is kept for refused ones, where many fit."""
BRIEF = 3
"""Candidates of which all but the latest entry of a history tell."""

_PASSING = frozenset({Ground.RECENT.name, Ground.COOLING.name})
"""Grounds that come and go as time goes by: as long as the choice is the same, nothing was decided anew."""


Steps = Generator[None, None, DecisionRecord]
"""Work that others may have their turn during; its value is the record."""


def record(app: Application, decision: Decision, snapshot: Snapshot, *, limit: int = MOST_CANDIDATES) -> DecisionRecord:
    """Return the record of a decision about an application.

    :param snapshot: that it was made from.
    :param limit: how many candidates it tells of at most.
    """
    return finish(record_slowly(app, decision, snapshot, limit=limit))


def finish(steps: Steps) -> DecisionRecord:
    """Do all the work at once."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            made: DecisionRecord = ended.value
            return made


def record_slowly(
    app: Application, decision: Decision, snapshot: Snapshot, *, limit: int = MOST_CANDIDATES, waits: str | None = None
) -> Steps:
    """Make the same record in steps.

    :param waits: why the decision is not carried out yet.
    """
    yield from decision.judge_slowly()
    former, choice, verdicts = app.status.scheduled_to, decision.choice, decision.verdicts
    found: dict[ResourceRef | None, Refusal | Score] = {each.cluster: each.finding for each in verdicts}
    yield
    conditions: dict[ResourceRef, list[Condition]] = {}
    if len(verdicts) <= COMPARED:
        for each in seek_counterfactuals(app, snapshot, decision):
            if each is not None:
                conditions.setdefault(each.cluster, []).append(_tell_condition(each))
            yield
    return DecisionRecord(
        since=snapshot.now,
        time=snapshot.now,
        choice=choice,
        former=former,
        ground=decision.ground.name,
        message=decision.ground.value,
        cause=_cause(decision, former, found),
        concern=_cut(decision.concern),
        waits=_cut(waits),
        considered=len(verdicts),
        refused=dict(Counter(each.finding.rule for each in verdicts if isinstance(each.finding, Refusal))),
        candidates=[tell(each, _measurement(snapshot, each.cluster)) for each in select(verdicts, (choice, former), limit)],
        counterfactuals=[Counterfactual(place=place, conditions=listed) for place, listed in conditions.items()],
    )


def _cause(decision: Decision, former: ResourceRef | None, found: Mapping[ResourceRef | None, Refusal | Score]) -> str | None:
    choice = decision.choice
    if former == choice or (choice is None and decision.ground is not Ground.LOST):
        return None
    return decision.ground.value if former is None else explain_move(found.get(former), found.get(choice))


def _tell_condition(found: counterfactuals.Counterfactual) -> Condition:
    return Condition(
        metric=found.metric,
        of=found.subject,
        relation=">=" if found.at_least else "<=",
        bound=found.bound,
        present=_finite(found.present),
    )


def record_host(choice: HostChoice, now: datetime) -> Steps:
    """Make the record of where a cluster is to be created."""
    yield
    fitting = [Verdict(host.ref, found) for host, found in choice.fitting]
    refused = [Verdict(place, refusal) for place, refusal in choice.refusals]
    measured = {host.ref: host.measurement for host, _ in choice.fitting}
    place = None if choice.host is None else choice.host.ref
    ground = Ground.NOTHING if place is None else Ground.BEST
    told = select([*fitting, *refused], (place,), MOST_CANDIDATES)
    return DecisionRecord(
        since=now,
        time=now,
        choice=place,
        ground=ground.name,
        message="Nothing fits." if place is None else "It suits best of those that fit.",
        considered=len(fitting) + len(refused),
        refused=dict(Counter(refusal.rule for _, refusal in choice.refusals)),
        candidates=[tell(each, measured.get(each.cluster, Measurement())) for each in told],
    )


def explain_move(here: Refusal | Score | None, there: Refusal | Score | None) -> str:
    """Return why something leaves its place for another.

    :param here: what was found about its place; ``None`` if that is no candidate any more.
    :param there: what was found about the other one.
    """
    if here is None:
        return "It is gone."
    if isinstance(here, Refusal):
        return _cut(here.message) or ""
    if not isinstance(there, Score):
        return "It can not stay there."
    if here.avoided > there.avoided:
        return "It is to be avoided, if there is another one that fits."
    if here.measured != there.measured:
        return "Its metrics could not be read."
    return f"Its score was {here.total:.4g}, that of the choice {there.total:.4g}."


def select(verdicts: Iterable[Verdict], named: Iterable[ResourceRef | None], limit: int) -> list[Verdict]:
    """Return the verdicts to tell of: those on *named* first, then the best, then some that each rule refused."""
    by_place = {each.cluster: each for each in verdicts}
    first = [by_place.pop(place) for place in dict.fromkeys(named) if place in by_place]
    ranked = sorted(
        ((each.finding.rank, each) for each in by_place.values() if isinstance(each.finding, Score)),
        key=lambda pair: pair[0],
        reverse=True,
    )
    refused = list(_in_turns(by_place.values()))
    room = max(limit - len(first), 0)
    share = min(len(refused), max(int(room * REFUSED_AT_MOST), room - len(ranked)))
    fitting = [each for _, each in ranked[: room - share]]
    return [*sorted([*first, *fitting], key=lambda each: isinstance(each.finding, Refusal)), *refused[:share]][:limit]


def _in_turns(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield the refused ones: the first that each rule refused, then the second of each, and so on."""
    by_rule: dict[str, list[Verdict]] = {}
    for each in verdicts:
        if isinstance(each.finding, Refusal):
            by_rule.setdefault(each.finding.rule, []).append(each)
    for turn in range(max(map(len, by_rule.values()), default=0)):
        yield from (those[turn] for those in by_rule.values() if turn < len(those))


def tell(verdict: Verdict, measurement: Measurement) -> CandidateRecord:
    """Return the record of a candidate."""
    found = verdict.finding
    if isinstance(found, Refusal):
        return CandidateRecord(place=verdict.cluster, rule=found.rule, message=_cut(found.message))
    sticky = found.parts[len(measurement.readings) :] if found.measured else found.parts
    return CandidateRecord(
        place=verdict.cluster,
        score=_finite(found.total),
        measured=found.measured,
        metrics=list(_tell_metrics(measurement))[:MOST_METRICS],
        stickiness=sum(part.weight for part in sticky),
        avoided=found.avoided,
        note=_cut(found.note),
    )


def _tell_metrics(measurement: Measurement) -> Iterator[MetricRecord]:
    for each in measurement.readings:
        yield _tell_reading(each)
    for name, reason in sorted(measurement.failures.items()):
        # Where the last value counts, its reading tells what is wrong.
        if not any(each.name == name and reason.message in (each.note or "") for each in measurement.readings):
            yield MetricRecord(name=name, note=_cut(reason.message))


def _tell_reading(reading: Reading) -> MetricRecord:
    return MetricRecord(
        name=reading.name,
        raw=_finite(reading.raw),
        value=_finite(reading.value),
        weight=_finite(reading.weight) or 0.0,
        age=round(max(reading.age, 0.0), 1),
        note=_cut(reading.note),
    )


def outcome(decision: Decision, *, waits: bool = False) -> Hashable:
    """Return what is equal for decisions of which only the numbers differ.

    :param waits: whether it is not carried out yet.
    """
    return decision.choice, _lasting(decision.ground.name), waits


def fold(decisions: Sequence[DecisionRecord], latest: DecisionRecord) -> list[DecisionRecord]:
    """Return a history with one more decision."""
    if not decisions:
        return [latest]
    begun = decisions[0]
    if not _same_outcome(begun, latest):
        if begun.waits is not None:
            return fold(decisions[1:], latest)
        return [latest, *map(_shorten, decisions)][:MOST_DECISIONS]
    return [replace(latest, since=begun.since, former=begun.former, cause=begun.cause), *decisions[1:]]


def is_news(known: DecisionRecord | None, latest: DecisionRecord) -> bool:
    """Whether a history should be written because of a decision.

    :param known: the latest one written.
    """
    if known is None or not _same_outcome(known, latest):
        return True
    if known.refused != latest.refused:
        return True
    return latest.time - known.time >= RENEWAL and _timeless(known) != _timeless(latest)


def _same_outcome(one: DecisionRecord, other: DecisionRecord) -> bool:
    return _outcome_told(one) == _outcome_told(other)


def _outcome_told(decision: DecisionRecord) -> Hashable:
    return decision.choice, _lasting(decision.ground), decision.waits is None


def _lasting(ground: str) -> str:
    return Ground.BEST.name if ground in _PASSING else ground


def _shorten(decision: DecisionRecord) -> DecisionRecord:
    return replace(decision, candidates=decision.candidates[:BRIEF], counterfactuals=[])


_NEVER = datetime.min


def _timeless(decision: DecisionRecord) -> DecisionRecord:
    """Return what of a decision does not change by time alone."""
    candidates = [replace(each, metrics=[replace(metric, age=0.0) for metric in each.metrics]) for each in decision.candidates]
    return replace(decision, since=_NEVER, time=_NEVER, former=None, cause=None, candidates=candidates)


def _measurement(snapshot: Snapshot, place: ResourceRef) -> Measurement:
    candidate = snapshot.fleet.find(place)
    return Measurement() if candidate is None else candidate.measurement


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
