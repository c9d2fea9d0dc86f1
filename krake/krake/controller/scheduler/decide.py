"""Decides where an application goes. The same snapshot always yields the same decision, with a verdict on each cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from krake.controller.scheduler.filters import CLEARING, Refusal, is_there, minds, refuse
from krake.controller.scheduler.scores import Score, score
from krake.controller.scheduler.snapshot import Candidate, Snapshot
from krake.data import ResourceRef
from krake.data.kubernetes import Application, ApplicationState, ClusterState

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
    FINISHED = "It has run to its end, and would run once more elsewhere."
    COOLING = "A migration failed a short while ago."
    NOTHING = "No cluster fits."
    HOME = "The cluster that it was to go to is gone, or is being deleted, and no other one fits."
    LOST = "Its cluster is gone, or is being deleted, and no other one fits."


@dataclass(frozen=True)
class Decision:
    """Where an application goes.

    :param choice: the cluster, or ``None`` if no cluster fits: then it stays where it is, unless the ground is LOST.
    :param verdicts: one for each cluster of the snapshot, by namespace and name.
    :param settled_for: for how long time alone can not change the decision; ``None`` if it never can.
    :param concern: why it had better not be where it stays.
    """

    choice: ResourceRef | None
    ground: Ground
    verdicts: tuple[Verdict, ...]
    settled_for: timedelta | None = None
    concern: str | None = None


def decide(app: Application, snapshot: Snapshot) -> Decision:
    """Return where the application goes."""
    candidates = sorted(snapshot.candidates, key=lambda each: (each.ref.namespace or "", each.ref.name))
    current, home = app.status.scheduled_to, _home_of(app, candidates)
    in_vain = _target_in_vain(app, snapshot)
    verdicts = tuple(_judge(app, each, snapshot.settings.stickiness, home, in_vain) for each in candidates)
    cooling = _cooling_for(app, snapshot)
    if home is not None and not app.spec.constraints.migration and in_vain is None:
        wait = cooling if cooling > timedelta() else None
        return Decision(home, Ground.PINNED, verdicts, wait, _concern(home, verdicts))
    if home is not None and home == current and _has_finished(app):
        return Decision(home, Ground.FINISHED, verdicts)
    held = home is not None and home == current and not _is_lost(home, candidates)
    if held and cooling > timedelta():
        return Decision(home, Ground.COOLING, verdicts, cooling)
    scores = dict(_scores(verdicts))
    if not scores:
        return _stay(current, home, verdicts)
    if current in scores and in_vain is None and (rest := _standing_for(app, snapshot)) > timedelta():
        return Decision(current, Ground.RECENT, verdicts, rest)
    return Decision(_best(scores, home), Ground.BEST, verdicts, snapshot.settings.reschedule_after)


def _home_of(app: Application, candidates: Iterable[Candidate]) -> ResourceRef | None:
    """Return where the application can stay: not on a cluster that is gone, or going.

    One that is bound to none has no home: where it still runs, it is being cleared away.
    """
    status = app.status
    if status.scheduled_to is None:
        return None
    lasting = {each.ref for each in candidates if each.cluster.metadata.deleted is None}
    return next((each for each in (status.scheduled_to, status.running_on) if each in lasting), None)


def _has_finished(app: Application) -> bool:
    """Whether all of what is declared has run to its end."""
    triggered = app.status.kube_controller_triggered
    return app.status.state is ApplicationState.COMPLETED and triggered is not None and triggered >= app.metadata.modified


def _is_lost(home: ResourceRef, candidates: Iterable[Candidate]) -> bool:
    """Whether a cluster does not answer: where a migration failed before, there may be nothing better by now."""
    return any(each.ref == home and each.cluster.status.state is ClusterState.OFFLINE for each in candidates)


def _target_in_vain(app: Application, snapshot: Snapshot) -> ResourceRef | None:
    """Return where an application was not ready in time that can not go back either: any other cluster is better."""
    status = app.status
    if status.state is not ApplicationState.MIGRATING or status.migration_timeout > snapshot.now.timestamp():
        return None
    if status.scheduled is not None and status.scheduled.timestamp() >= status.migration_timeout:
        return None  # the limit was that of another target; for this one it is yet to be set
    lasting = any(each.ref == status.running_on and each.cluster.metadata.deleted is None for each in snapshot.candidates)
    return None if lasting else status.scheduled_to


def _stay(current: ResourceRef | None, home: ResourceRef | None, verdicts: tuple[Verdict, ...]) -> Decision:
    if current == home:
        return Decision(None, Ground.NOTHING, verdicts, concern=_concern(home, verdicts))
    return Decision(home, Ground.LOST if home is None else Ground.HOME, verdicts)


def _concern(home: ResourceRef | None, verdicts: Iterable[Verdict]) -> str | None:
    found = next((each.finding for each in verdicts if each.cluster == home), None)
    return found.message if isinstance(found, Refusal) and found.rule in CLEARING else None


def _judge(
    app: Application, candidate: Candidate, stickiness: float, home: ResourceRef | None, in_vain: ResourceRef | None
) -> Verdict:
    if (refusal := refuse(app, candidate)) is not None:
        return Verdict(candidate.ref, refusal)
    avoided = 0 if is_there(app, candidate) else len(minds(app, candidate, "PreferNoSchedule"))
    avoided += candidate.ref == in_vain
    return Verdict(
        candidate.ref, score(candidate.measurement, current=candidate.ref == home, stickiness=stickiness, avoided=avoided)
    )


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
