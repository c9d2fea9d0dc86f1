"""Decides where an application goes: the same from the same snapshot, with a verdict on each cluster. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import cached_property

from krake.controller.scheduler.deciding.cases import Case, Verdict
from krake.controller.scheduler.deciding.filters import CLEARING, Refusal
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.data import ResourceRef
from krake.data.kubernetes import Application, ApplicationState, ClusterState

__all__ = ["Decision", "Ground", "Verdict", "decide"]

_LONGEST_COOLING = 86400.0
"""Seconds. The status holds any number; a decision is made anew after a day at the latest."""

_NONE = timedelta()


class Ground(Enum):
    """Why the choice is what it is."""

    BEST = "It suits best of the clusters that fit."
    RECENT = "It was placed there a short while ago, and the cluster still fits."
    PINNED = "It does not allow migration."
    FINISHED = "It has run to its end, and would run once more elsewhere."
    AWAITED = "Its cluster does not answer, but may come back."
    COOLING = "It is being moved there, or a migration failed a short while ago."
    NOTHING = "No cluster fits."
    HOME = "The cluster that it was to go to is gone, or is being deleted, and no other one fits."
    LOST = "Its cluster is gone, or is being deleted, and no other one fits."


@dataclass(frozen=True)
class Decision:
    """Where an application goes.

    :param choice: the cluster, or ``None`` if no cluster fits: then it stays where it is, unless the ground is LOST.
    :param settled_for: for how long time alone can not change the decision; ``None`` if it never can.
    :param concern: why it had better not be where it stays.
    :param considered: the number of clusters.
    """

    choice: ResourceRef | None
    ground: Ground
    settled_for: timedelta | None = None
    concern: str | None = None
    considered: int = 0
    _judge: Callable[[], Iterator[Verdict]] = field(default=lambda: iter(()), repr=False, compare=False)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each cluster of the snapshot, by namespace and name.

        They are worked out when they are asked for first, which takes much longer than to decide. Ask before anything is put
        into the ledger.
        """
        return tuple(self._judge())

    def judge_slowly(self) -> Iterator[None]:
        """Yield after each verdict that is worked out, so that others may have their turn; then all are there."""
        found = []
        for verdict in self._judge():
            found.append(verdict)
            yield
        self.__dict__["verdicts"] = tuple(found)

    def refusals(self) -> Iterator[tuple[ResourceRef, Refusal]]:
        """Yield which clusters are out of the question and why; each is looked at when it is asked for."""
        verdicts = self.__dict__.get("verdicts") or self._judge()
        return ((each.cluster, each.finding) for each in verdicts if isinstance(each.finding, Refusal))


def decide(app: Application, snapshot: Snapshot) -> Decision:
    """Return where the application goes."""
    case = Case(app, snapshot)
    choice, ground, settled_for = _hold(case) or _let_stand(case) or _choose(case)
    concern = _concern(case) if ground in (Ground.PINNED, Ground.NOTHING) else None
    return Decision(choice, ground, settled_for, concern, len(snapshot.candidates), case.judge_all)


_Outcome = tuple[ResourceRef | None, Ground, timedelta | None]


def _hold(case: Case) -> _Outcome | None:
    """Keep an application where it may not leave, or had better not."""
    home = case.home
    if home is None or case.in_vain is not None:
        return None
    cooling = _cooling_for(case)
    if not case.app.spec.constraints.migration:
        return home.ref, Ground.PINNED, cooling if cooling > _NONE else None
    if home.ref != case.current:
        return None
    if _has_finished(case.app):
        return home.ref, Ground.FINISHED, None
    if home.awaited:
        return home.ref, Ground.AWAITED, None
    # Where a migration failed before, there may be nothing better than what does not answer now.
    if cooling > _NONE and home.cluster.status.state is not ClusterState.OFFLINE:
        return home.ref, Ground.COOLING, cooling
    return None


def _let_stand(case: Case) -> _Outcome | None:
    """Keep an application where it was placed a short while ago, if it fits there."""
    fits = case.current is not None and isinstance(case.here.get(case.current), Score)
    standing = _standing_for(case)
    return (case.current, Ground.RECENT, standing) if fits and case.in_vain is None and standing > _NONE else None


def _choose(case: Case) -> _Outcome:
    """Place an application where it suits best."""
    best = case.find_best()
    if best is not None:
        return best.ref, Ground.BEST, case.snapshot.settings.reschedule_after
    home = None if case.home is None else case.home.ref
    if home == case.current:
        return None, Ground.NOTHING, None
    return home, Ground.LOST if home is None else Ground.HOME, None


def _has_finished(app: Application) -> bool:
    """Whether all of what is declared has run to its end."""
    triggered = app.status.kube_controller_triggered
    return app.status.state is ApplicationState.COMPLETED and triggered is not None and triggered >= app.metadata.modified


def _concern(case: Case) -> str | None:
    found = case.here.get(case.home.ref) if case.home else None
    return found.message if isinstance(found, Refusal) and found.rule in CLEARING else None


def _cooling_for(case: Case) -> timedelta:
    status = case.app.status
    triggered = status.kube_controller_triggered
    if triggered is not None and triggered < case.app.metadata.modified:
        return _NONE  # what its user has changed since may well succeed
    return timedelta(seconds=min(status.migration_timeout - case.snapshot.now.timestamp(), _LONGEST_COOLING))


def _standing_for(case: Case) -> timedelta:
    scheduled = case.app.status.scheduled
    if scheduled is None:
        return _NONE
    # No longer than the setting, even where the clock of the API is ahead of ours.
    return min(scheduled - case.snapshot.now, _NONE) + case.snapshot.settings.reschedule_after
