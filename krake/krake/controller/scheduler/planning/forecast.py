"""Works out what the scheduler would do, by making its decisions on a copy of what it knows until nothing moves any more. Pure.

All applications are decided on in turn, the most urgent first, by the very `decide` of the scheduler. Who moves is entered in
the ledger of the copy before the next one is decided on, so that room is given away once. That is a round. Between two rounds
time passes, so that placements that are too recent to be left in one may be left in the next. A round in which nothing moves,
and nothing waits for time to pass, is the last one.

A plan takes no account of how long moves take, nor of limits to them, and values of metrics stay as they are.
"""

import math
from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from krake.controller.scheduler.deciding.cases import Case
from krake.controller.scheduler.deciding.decide import Decision, Ground, decide
from krake.controller.scheduler.deciding.filters import Refusal
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.controller.scheduler.deciding.tenants import tenant_of
from krake.controller.scheduler.explaining.explanation import explain_stay, list_refusals
from krake.controller.scheduler.explaining.recording import explain_move, record_slowly
from krake.controller.scheduler.planning.whatif import Situation
from krake.data import ResourceRef
from krake.data.kubernetes import Application, ApplicationState
from krake.data.placements import DecisionRecord
from krake.data.plans import LONGEST_REASON, MOST_LISTED, Comparison, Misfit, Move, PlanState, PlanStatus, Total

MOST_ROUNDS = 20
"""Applications that chase each other are followed for so many rounds."""

_NONE = timedelta()

_WAITING = (Ground.RECENT, Ground.COOLING)
"""The grounds that time alone takes away."""

Steps = Generator[None, None, PlanStatus]
"""Work that others may have their turn during; its value is the answer."""


def work_out(before: Situation, after: Situation, explained: Iterable[str] = ()) -> Steps:
    """Return, step by step, what the scheduler would do.

    :param before: how it is.
    :param after: how it would be; its ledger must be one of its own.
    :param explained: the names of the applications whose decisions are to be told in full.
    """
    course = _Course(before, after, frozenset(explained))
    yield from course.run()
    moves, misfits = course.moves(), sorted(course.unfit)
    described, news = [], 0
    for number, name in enumerate(misfits):
        news += not _is_unfit_now(name, before)
        if number < MOST_LISTED:
            described.append(course.describe(name))
        yield
    return PlanStatus(
        state=PlanState.DONE,
        computed=before.snapshot.now,
        settled=course.settled,
        rounds=course.rounds,
        applications=len(after.apps),
        clusters=len(after.snapshot.candidates),
        moving=len(moves),
        unfit=len(misfits),
        newly_unfit=news,
        moves=moves[:MOST_LISTED],
        misfits=described,
        decisions=course.decisions,
        **_compare(before, replace(after, apps=course.apps)),
    )


def finish(steps: Steps) -> PlanStatus:
    """Do all the work at once."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: PlanStatus = ended.value
            return found


class _Course:
    """What would happen in a situation, round by round.

    :ivar apps: the applications as they would be by now.
    :ivar unfit: the names of those that no cluster fitted in the last round.
    :ivar decisions: those that are to be told: of each application the last one that moved it, or else the first one.
    """

    def __init__(self, before: Situation, after: Situation, explained: frozenset[str]) -> None:
        self.unfit: set[str] = set()
        self.decisions: dict[str, DecisionRecord] = {}
        self.rounds = 0
        self.settled = False
        self._started = after.snapshot.now
        self._snapshot = after.snapshot
        self._explained = explained
        self._moves: dict[str, Move] = {}
        self.apps = {name: self._take_in(app, changed=app is not before.apps.get(name)) for name, app in after.apps.items()}
        self._origins = {name: app.status.scheduled_to for name, app in self.apps.items()}

    def _take_in(self, app: Application, *, changed: bool) -> Application:
        """Return an application with what the ledger knows already, and let the ledger know of it."""
        ledger = self._snapshot.ledger
        tenant = ledger.tenant(app.key)
        if tenant is not None and tenant.place not in (None, app.status.scheduled_to):
            app = _arrived(app, tenant.place, self._snapshot)  # it was just bound there, which is not seen yet
        if changed or tenant is None:
            self._enter(app)
        return app

    def _enter(self, app: Application) -> None:
        place = self._snapshot.fleet.find(app.status.scheduled_to)
        self._snapshot.ledger.put(tenant_of(app, None if place is None else place.cluster))

    def run(self) -> Generator[None, None, None]:
        """Decide on everything until nothing moves any more."""
        while not self.settled and self.rounds < MOST_ROUNDS:
            self.rounds += 1
            # Ranked anew: who was a newcomer in one round has no precedence over the others in the next one.
            active = [app for app in self.apps.values() if app.metadata.deleted is None]
            pause = yield from self._decide_on([app.metadata.name for app in sorted(active, key=_rank)])
            self.settled = pause is None
            self._snapshot = self._snapshot.at(self._snapshot.now + (pause or _NONE))

    def _decide_on(self, names: Iterable[str]) -> Generator[None, None, timedelta | None]:
        """Return how much time must pass until something may move that does not now; ``None`` if nothing ever does."""
        pauses = [each.steady_from - self._snapshot.now for each in self._snapshot.candidates if each.steady_from]
        pauses = [pause for pause in pauses if pause > _NONE]
        self.unfit.clear()
        for name in names:
            app = self.apps[name]
            decision = decide(app, self._snapshot)
            if decision.ground in _WAITING and decision.settled_for is not None:
                pauses.append(decision.settled_for)
            if _is_unfit(app, decision, self._snapshot):
                self.unfit.add(name)
            moves = decision.choice != app.status.scheduled_to and (
                decision.choice is not None or decision.ground is Ground.LOST
            )
            if name in self._explained and (moves or name not in self.decisions):
                self.decisions[name] = yield from record_slowly(app, decision, self._snapshot)
            if moves:
                self._follow(app, decision)
                pauses.append(self._snapshot.settings.reschedule_after)
            yield
        return max(pauses, default=None)

    def _follow(self, app: Application, decision: Decision) -> None:
        """Let an application go where it was decided."""
        self._moves[app.metadata.name] = Move(
            application=app.metadata.name,
            choice=_name_of(decision.choice),
            why=_cut(_why(app, decision, self._snapshot)),
            after=(self._snapshot.now - self._started).total_seconds(),
        )
        self.apps[app.metadata.name] = moved = _arrived(app, decision.choice, self._snapshot)
        self._enter(moved)

    def moves(self) -> list[Move]:
        """Those who would be elsewhere than now at last, in the order of their last moves."""
        elsewhere = (move for name, move in self._moves.items() if self.apps[name].status.scheduled_to != self._origins[name])
        found = [replace(move, former=_name_of(self._origins[move.application])) for move in elsewhere]
        return sorted(found, key=lambda move: move.after)

    def describe(self, name: str) -> Misfit:
        """Say why no cluster fits an application."""
        app = self.apps[name]
        decision, place = decide(app, self._snapshot), app.status.scheduled_to
        why = list_refusals(decision) if place is None else explain_stay(decision, place)
        return Misfit(application=name, place=_name_of(place), why=_cut(why))


def _rank(app: Application) -> tuple[Any, ...]:
    """The order in which the scheduler looks at applications: newcomers, those who wait for a place, and then the others."""
    status, triggered = app.status, app.status.kube_controller_triggered
    changed = triggered is not None and app.metadata.modified > triggered
    placed = status.scheduled_to is not None and not changed
    waits = not placed and not changed and status.reason is not None
    return placed, waits, -app.spec.priority, app.metadata.created, app.metadata.name


def _is_unfit(app: Application, decision: Decision, snapshot: Snapshot) -> bool:
    """Whether no cluster fits an application, or not the only one that it may be on."""
    if decision.choice is None or decision.ground is Ground.HOME:
        return True
    return decision.ground is Ground.PINNED and isinstance(Case(app, snapshot).here.get(decision.choice), Refusal)


def _is_unfit_now(name: str, situation: Situation) -> bool:
    app = situation.apps.get(name)
    return app is not None and _is_unfit(app, decide(app, situation.snapshot), situation.snapshot)


def _why(app: Application, decision: Decision, snapshot: Snapshot) -> str:
    """Return why an application goes elsewhere."""
    former, choice = app.status.scheduled_to, decision.choice
    if former is None or choice is None or decision.ground is not Ground.BEST:
        return decision.ground.value
    here = Case(app, snapshot).here
    there = here[choice] if choice in here else snapshot.fleet.scores[snapshot.fleet.positions[choice]]
    return explain_move(here.get(former), there)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _name_of(place: ResourceRef | None) -> str | None:
    return None if place is None else place.name


def _arrived(app: Application, choice: ResourceRef | None, snapshot: Snapshot) -> Application:
    """Return an application that has moved."""
    status = replace(
        app.status,
        state=ApplicationState.PENDING if choice is None else ApplicationState.RUNNING,
        reason=None,
        scheduled_to=choice,
        running_on=choice,
        placed_on=[] if choice is None else [choice],
        scheduled=None if choice is None else snapshot.now,
        kube_controller_triggered=max(snapshot.now, app.metadata.modified),
        migration_timeout=0,
    )
    return replace(app, status=status)


def _compare(before: Situation, after: Situation) -> dict[str, Any]:
    """Return the scores and the metrics of where the applications are, as they are part of the answer."""
    (scores, metrics), (later_scores, later_metrics) = _gather(before), _gather(after)
    names = sorted({*metrics, *later_metrics})
    compared = {name: _comparison(metrics.get(name, []), later_metrics.get(name, [])) for name in names}
    return {"score": _comparison(scores, later_scores) if scores or later_scores else None, "metrics": compared}


def _gather(situation: Situation) -> tuple[list[float], dict[str, list[float]]]:
    """Return the score of the cluster of each application, and its metrics by name."""
    fleet = situation.snapshot.fleet
    scores: list[float] = []
    metrics: dict[str, list[float]] = {}
    for app in situation.apps.values():
        place = fleet.find(app.status.scheduled_to)
        if place is None:
            continue
        if (found := fleet.scores[fleet.positions[place.ref]]).measured:
            scores.append(found.total)
        for reading in place.measurement.readings:
            metrics.setdefault(reading.name, []).append(reading.raw)
    return scores, metrics


def _comparison(before: list[float], after: list[float]) -> Comparison:
    return Comparison(before=_total(before), after=_total(after))


def _total(values: list[float]) -> Total:
    try:
        total = math.fsum(values)
    except OverflowError:
        total = math.copysign(1.7976931348623157e308, sum(values))
    return Total(sum=total, mean=total / len(values) if values else None, applications=len(values))
