"""Decides where an application goes. The same snapshot always yields the same decision, with a verdict on each cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from krake.controller.scheduler.filters import Refusal, refuse
from krake.controller.scheduler.scores import Score, score
from krake.controller.scheduler.snapshot import Candidate, Snapshot
from krake.data import ResourceRef
from krake.data.kubernetes import Application

_LONGEST_COOLING = 86400.0
"""Seconds. The status holds any number; a decision is made anew after a day at the latest."""


@dataclass(frozen=True)
class Verdict:
    """What was found about one cluster: why it is out of the question, or its score."""

    cluster: ResourceRef
    finding: Refusal | Score


class Ground(Enum):
    """Why the choice is what it is."""

    BEST = "It suits best of the clusters that fit."
    RECENT = "It was placed there a short while ago, and the cluster still fits."
    PINNED = "It does not allow migration."
    COOLING = "A migration failed a short while ago."
    NOTHING = "No cluster fits."


@dataclass(frozen=True)
class Decision:
    """Where an application goes.

    :param choice: the cluster, or ``None`` if no cluster fits.
    :param verdicts: one for each cluster of the snapshot, by namespace and name.
    :param settled_for: for how long time alone can not change the decision; ``None`` if it never can.
    """

    choice: ResourceRef | None
    ground: Ground
    verdicts: tuple[Verdict, ...]
    settled_for: timedelta | None = None


def decide(app: Application, snapshot: Snapshot) -> Decision:
    """Return where the application goes."""
    candidates = sorted(snapshot.candidates, key=lambda each: (each.ref.namespace or "", each.ref.name))
    verdicts = tuple(_judge(app, each, snapshot.settings.stickiness) for each in candidates)
    current = app.status.scheduled_to
    if current is not None and not app.spec.constraints.migration:
        return Decision(current, Ground.PINNED, verdicts)
    if current is not None and (cooling := _cooling_for(app, snapshot)) > timedelta():
        return Decision(current, Ground.COOLING, verdicts, cooling)
    scores = dict(_scores(verdicts))
    if not scores:
        return Decision(None, Ground.NOTHING, verdicts)
    if current in scores and (rest := _standing_for(app, snapshot)) > timedelta():
        return Decision(current, Ground.RECENT, verdicts, rest)
    return Decision(_best(scores, current), Ground.BEST, verdicts, snapshot.settings.reschedule_after)


def _judge(app: Application, candidate: Candidate, stickiness: float) -> Verdict:
    current = candidate.ref == app.status.scheduled_to
    refusal = refuse(app, candidate)
    return Verdict(candidate.ref, refusal or score(candidate, current=current, stickiness=stickiness))


def _scores(verdicts: Iterable[Verdict]) -> Iterator[tuple[ResourceRef, Score]]:
    for verdict in verdicts:
        if isinstance(verdict.finding, Score):
            yield verdict.cluster, verdict.finding


def _cooling_for(app: Application, snapshot: Snapshot) -> timedelta:
    triggered = app.status.kube_controller_triggered
    if triggered is not None and triggered < app.metadata.modified:
        return timedelta()  # what its user has changed since may well succeed
    return timedelta(seconds=min(app.status.migration_timeout - snapshot.now.timestamp(), _LONGEST_COOLING))


def _standing_for(app: Application, snapshot: Snapshot) -> timedelta:
    if app.status.scheduled is None:
        return timedelta()
    # No longer than the setting, even where the clock of the API is ahead of ours.
    return min(app.status.scheduled - snapshot.now, timedelta()) + snapshot.settings.reschedule_after


def _best(scores: dict[ResourceRef, Score], current: ResourceRef | None) -> ResourceRef:
    best = max(each.rank for each in scores.values())
    if current is not None and current in scores and scores[current].rank == best:
        return current
    return next(cluster for cluster, each in scores.items() if each.rank == best)
