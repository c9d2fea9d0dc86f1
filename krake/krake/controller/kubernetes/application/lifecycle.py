"""What to do next about an application, and what to write about what was done. Pure.

Whatever is about to be created is written down first: the cluster in ``placed_on``, the objects in ``last_applied_manifest``,
together with those that were there before. Both lose an entry only once it is gone from every cluster. So wherever a controller
is killed, the next one knows all places to look at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from krake.controller.kubernetes.application.desired import Declared, recorded_identity
from krake.controller.kubernetes.application.health import Health, Verdict
from krake.controller.runtime.retries import plan_retry
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus, VolumeCopy
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Reason, ReasonCode, ResourceRef
from krake.ports.cluster import Identity

START_LIMIT = timedelta(seconds=60)
"""For how long Pods may be on their way to be ready, if nothing seems wrong with them."""

LONGEST_RETRY = timedelta(seconds=60)
"""Between two attempts at what a cluster refuses."""
LONGEST_WAIT = timedelta(seconds=15)
"""Between two attempts at what a cluster only fails to do, which may be over at any moment."""

State = ApplicationState

MOVING = (State.MIGRATING, State.WAITING_FOR_CLEANING, State.READY_FOR_ACTION)
"""The states of an application on its way to another cluster, unless it is stuck."""


class Step(Enum):
    """What to do next."""

    NOTHING = auto()
    DELETE = auto()
    UNBIND = auto()
    """Take it from all clusters: there is none for it now. It stays declared."""
    PLACE = auto()
    """Make it so on the cluster it is bound to."""
    MIGRATE = auto()
    """The same, and it runs somewhere else still."""


@dataclass(frozen=True)
class Outcome:
    """What came out of a look at the cluster.

    :param problem: why not everything is as declared; the objects that could be are.
    :param unreachable: whether the problem is that the cluster does not answer.
    :param passing: whether the problem may pass though nothing is declared differently.
    :param complete: whether everything declared is there, ready or not, and nothing else is.
    :param health: unknown if the cluster could not be asked.
    """

    problem: Reason | None = None
    unreachable: bool = False
    passing: bool = False
    complete: bool = False
    health: Health | None = None
    services: Mapping[str, str] = field(default_factory=dict)
    observed: Sequence[dict[str, Any]] = ()


def next_step(app: Application) -> Step:
    """Return what to do next. Nothing is done before the scheduler has seen the latest change."""
    status, metadata = app.status, app.metadata
    if metadata.deleted is not None:
        mine = bool(metadata.finalizers) and metadata.finalizers[-1] == KUBERNETES_RESOURCES_DELETION
        return Step.DELETE if mine else Step.NOTHING
    if status.scheduled_to is None:
        return Step.UNBIND if places_of(app) or _owned_in_vain(app) else Step.NOTHING
    if status.kube_controller_triggered is None:
        return Step.NOTHING
    if status.kube_controller_triggered < metadata.modified:
        return Step.NOTHING
    return Step.PLACE if status.running_on in (None, status.scheduled_to) else Step.MIGRATE


def _owned_in_vain(app: Application) -> bool:
    """Whether a cluster is waiting for an application to let go of it. What was never bound may name any owners."""
    return app.status.kube_controller_triggered is not None and owners_of(app) != app.metadata.owners


def concerns(old: Application | None, new: Application | None) -> bool:
    """Whether a change may lead to another step. What this controller itself writes about an application does not."""
    if old is None or new is None:
        return True
    return _inputs(old) != _inputs(new)


def _inputs(app: Application) -> tuple[object, ...]:
    metadata, status = app.metadata, app.status
    return (
        metadata.uid, metadata.modified, metadata.deleted, metadata.finalizers, metadata.owners,
        status.kube_controller_triggered, status.scheduled_to, status.running_on, status.placed_on, status.translated,
        status.state is State.READY_FOR_ACTION, _is_to_be_asked(status), _is_called_back(status),
    )  # fmt: skip


def _is_to_be_asked(status: ApplicationStatus) -> bool:
    return status.state is State.WAITING_FOR_CLEANING and status.shutdown_grace_period is None


def _is_called_back(status: ApplicationStatus) -> bool:
    """Whether somebody wants another attempt at what has failed."""
    return status.state is State.FAILED and status.retries is None and status.scheduled_retry is None


def places_of(app: Application) -> list[ResourceRef]:
    """All clusters that may hold objects of an application."""
    status = app.status
    return [
        *status.placed_on,
        *([status.running_on] if status.running_on and status.running_on not in status.placed_on else []),
    ]


def with_place(target: ResourceRef, places: list[ResourceRef]) -> list[ResourceRef]:
    """Return all *places* and the *target*, each once."""
    return places if target in places else [*places, target]


def recorded_of(app: Application) -> list[Identity]:
    """All objects that may be there."""
    return [recorded_identity(item) for item in app.status.last_applied_manifest]


def begin(app: Application, declared: Iterable[Declared], schema: list[dict[str, Any]]) -> ApplicationStatus:
    """What to write before anything is changed on the cluster that the application is bound to."""
    status, target, declared = app.status, app.status.scheduled_to, list(declared)
    assert target is not None
    wanted = {each.identity for each in declared}
    former = [item for item in status.last_applied_manifest if recorded_identity(item) not in wanted]
    changed = replace(
        status,
        placed_on=status.placed_on if target in status.placed_on else with_place(target, places_of(app)),
        last_applied_manifest=[*(each.recorded for each in declared), *former],
        mangled_observer_schema=schema,
    )
    if next_step(app) is Step.MIGRATE:
        return changed
    if status.state in MOVING:  # it was called back; nothing has failed
        changed = replace(changed, migration_timeout=0, volumes=discarded(status.volumes))
    if changed == status and status.state is not State.PENDING:
        return changed  # an attempt like the one before: it stays as it is until it comes out differently
    state = State.CREATING if status.running_on is None else State.RECONCILING
    return replace(changed, state=state, reason=status.reason if _has_come_back(status) else None)


def conclude(app: Application, outcome: Outcome, declared: Iterable[Declared], now: datetime) -> ApplicationStatus:
    """What to write about an application on the cluster that it is bound to.

    If nothing is wrong there, a reason stays that says why it is not elsewhere. A cluster that does not answer says nothing
    about what is declared now.
    """
    status = replace(app.status, shutdown_attempts=0, shutdown_grace_period=None)
    if status.state in MOVING:
        status = replace(status, migration_timeout=0)
    if not outcome.unreachable:
        status = replace(status, observed_generation=app.metadata.generation)
    if outcome.health is not None:
        status = replace(
            status,
            container_health=outcome.health.pods,
            services=dict(outcome.services),
            last_observed_manifest=list(outcome.observed),
        )
    if outcome.complete:
        status = replace(status, running_on=status.scheduled_to)
        if status.placed_on == [status.scheduled_to]:
            status = replace(status, last_applied_manifest=[each.recorded for each in declared])
    state, reason = _state_of(app, outcome, now)
    return replace(status, state=state, reason=reason or _why_it_stays(app, now))


def plan_attempt(
    app: Application, status: ApplicationStatus, outcome: Outcome, now: datetime, failures: int
) -> ApplicationStatus:
    """Return the *status* with when to try again what has failed, and how often still.

    Attempts that something else has led to before that time do not count. Once none is left, only changes lead to another one.

    :param app: as it was before the attempt.
    :param status: what is to be written about it otherwise.
    :param failures: attempts in a row that have failed before, as far as that is known.
    """
    before = app.status
    if outcome.problem is None:
        return replace(status, retries=None, scheduled_retry=None)
    if outcome.unreachable:
        return status  # it is called for as soon as the cluster answers
    begins = before.observed_generation != app.metadata.generation or (before.retries, before.scheduled_retry) == (None, None)
    exhausted = before.scheduled_retry is None and before.retries == 0 and app.spec.backoff_limit >= 0
    early = before.scheduled_retry is not None and before.scheduled_retry > now
    if not begins and (early or exhausted):
        return replace(status, retries=before.retries, scheduled_retry=before.scheduled_retry)
    longest = LONGEST_WAIT if outcome.passing else LONGEST_RETRY
    retry = plan_retry(app.spec, before.retries, now, failures=0 if begins else max(failures, 1), longest=longest)
    return replace(status, retries=retry.retries, scheduled_retry=retry.due)


def _state_of(app: Application, outcome: Outcome, now: datetime) -> tuple[State, Reason | None]:
    if outcome.unreachable:
        shown = app.status.state
        ran = shown in (State.RUNNING, State.RECONCILING, State.RESTARTING, *MOVING)
        return State.DEGRADED if ran else shown, outcome.problem
    if outcome.problem is not None:
        return State.FAILED, outcome.problem
    if outcome.health is None or not outcome.complete:
        return _starting(app), None
    verdict = outcome.health.verdict
    if verdict is Verdict.READY:
        return State.RUNNING, None
    if verdict is Verdict.COMPLETED:
        return State.COMPLETED, None
    if verdict is Verdict.STARTING:
        return _starting_state(app, outcome.health, now)
    return getattr(State, verdict.name), reason_of(outcome.health)


def _starting_state(app: Application, health: Health, now: datetime) -> tuple[State, Reason | None]:
    ready_before = app.status.state in (State.RUNNING, State.DEGRADED, State.RESTARTING, State.COMPLETED)
    if ready_before or start_limit(app, now) <= 0:
        return State.DEGRADED, reason_of(health)
    return _starting(app), None


def _starting(app: Application) -> State:
    if app.status.state in (State.CREATING, State.RECONCILING):
        return app.status.state
    return State.CREATING if app.status.running_on is None else State.RECONCILING


def start_limit(app: Application, now: datetime) -> float:
    """In how many seconds Pods that are not ready yet count as a problem."""
    since = app.status.kube_controller_triggered or now
    return (since + START_LIMIT - now).total_seconds()


def reason_of(health: Health) -> Reason:
    """Say what keeps an application from being well."""
    return Reason(code=ReasonCode.KUBERNETES_ERROR, message=f"{health.message or 'Not all Pods are ready'}.")


def discarded(volumes: Iterable[VolumeCopy]) -> list[VolumeCopy]:
    """Return copies that are of no use any more; those that failed keep their message."""
    return [volume if volume.state == "failed" else replace(volume, state="failed", message=None) for volume in volumes]


def left_behind(app: Application) -> list[ResourceRef]:
    """The clusters that hold objects, though the application neither runs there nor is bound to them."""
    return [place for place in app.status.placed_on if place not in (app.status.running_on, app.status.scheduled_to)]


def cleaned(app: Application, gone: Iterable[ResourceRef], declared: Iterable[Declared]) -> ApplicationStatus:
    """What to write once no objects are left on some clusters."""
    gone = list(gone)
    placed_on = [place for place in app.status.placed_on if place not in gone]
    status = replace(app.status, placed_on=placed_on)
    if placed_on == [status.running_on] == [status.scheduled_to]:
        return replace(status, last_applied_manifest=[each.recorded for each in declared])
    return status


def owners_of(app: Application) -> list[ResourceRef]:
    """The owners that an application should have: of clusters, those that it is bound to, runs on, or has something left on.

    Who deletes a cluster waits for those that name it as their owner.
    """
    status = app.status
    used = [each for each in (status.scheduled_to, status.running_on, *status.placed_on) if each is not None]
    kept = [each for each in app.metadata.owners if (each.api, each.kind) != ("kubernetes", "Cluster") or each in used]
    return [*kept, *(each for index, each in enumerate(used) if each not in kept and each not in used[:index])]


def _why_it_stays(app: Application, now: datetime) -> Reason | None:
    """The reason for which an application is where it is: it fits nowhere better, or could not be moved a while ago."""
    reason = app.status.reason
    if reason is None:
        return None
    if reason.code is ReasonCode.NO_SUITABLE_RESOURCE:
        return reason  # the scheduler takes it back itself
    return reason if _has_come_back(app.status) and migration_limit(app, now) > 0 else None


def _has_come_back(status: ApplicationStatus) -> bool:
    """Whether the reason tells of a migration that has failed."""
    code = None if status.reason is None else status.reason.code
    return code is ReasonCode.RECONCILE_FAILED and status.migration_retries > 0


def migration_limit(app: Application, now: datetime) -> float:
    """In how many seconds a migration under way is given up, or one that failed may be tried again."""
    return app.status.migration_timeout - now.timestamp()
