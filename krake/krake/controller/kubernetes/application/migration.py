"""How an application gets to another cluster, step by step, and what is written about it. Pure.

``running_on`` is where it comes from until it has arrived: wherever anything fails, that is where it goes on. Unless it is
stopped there on purpose, nothing is changed there before.

* The new copy first: MIGRATING until the new copy is ready; then the old one is asked to get ready (WAITING_FOR_CLEANING,
  READY_FOR_ACTION) if it wants to be, and goes.
* The old copy first, or with volumes: the old copy is asked first. It is stopped while MIGRATING; then there is a new one.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto

from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.application.health import Verdict
from krake.controller.kubernetes.application.lifecycle import (
    MOVING,
    Outcome,
    State,
    conclude,
    discarded,
    migration_limit,
    places_of,
    reason_of,
    with_place,
)
from krake.controller.kubernetes.application.volumes.plan import has_claims
from krake.data.kubernetes import Application, ApplicationStatus, VolumeCopy
from krake.data.metadata import Reason, ReasonCode, ResourceRef

LONGEST_PAUSE = timedelta(days=1)
"""After a migration that failed."""


class Manner(Enum):
    """In which order an application is moved."""

    CREATE_FIRST = auto()
    DELETE_FIRST = auto()
    WITH_VOLUMES = auto()
    """It is stopped, its data is copied, and then the new copy is created; the old one goes at last."""


class Move(Enum):
    """How a migration goes on."""

    WAIT = auto()
    SWITCH = auto()
    """The new copy is ready: it is the application from now on, and the old one goes."""
    GIVE_UP = auto()
    """The new copy goes, and the old one stays."""


def manner_of(app: Application) -> Manner:
    """Return in which order an application is moved, by what there may be of it."""
    if app.spec.storage_migration == "copy" and has_claims(app.status.last_applied_manifest):
        return Manner.WITH_VOLUMES
    return Manner.DELETE_FIRST if app.spec.migration_strategy == "delete_first" else Manner.CREATE_FIRST


def is_stopped(app: Application) -> bool:
    """Whether the copy where an application on its way runs is stopped, or about to be: nobody there answers any more."""
    status = app.status
    if status.scheduled_to in (None, status.running_on) or status.scheduled_to not in status.placed_on:
        return False
    return status.running_on not in status.placed_on or any(volume.state != "failed" for volume in status.volumes)


def may_be_stopped(app: Application) -> bool:
    """Whether an application that is stopped before there is a new copy has been asked to get ready for it."""
    return app.status.state is State.MIGRATING and app.status.shutdown_attempts > 0


def start(app: Application, manner: Manner, now: datetime, limit: timedelta) -> ApplicationStatus:
    """What to write before a migration begins, or turns to another target; one that has begun goes on as it is.

    An application that is stopped first has been asked before this.
    """
    status, target = app.status, app.status.scheduled_to
    assert target is not None
    asked = is_asked(status) and manner is Manner.CREATE_FIRST
    if target in status.placed_on and (asked or status.state is State.MIGRATING):
        return status
    begun = replace(
        status,
        placed_on=with_place(target, places_of(app)),
        migration_timeout=int((now + limit).timestamp()),
        volumes=[replace(volume, state="pending", bytes_done=0, message=None) for volume in status.volumes],
    )
    if asked:
        return begun
    attempts = status.shutdown_attempts if manner is Manner.CREATE_FIRST else max(status.shutdown_attempts, 1)
    return replace(begun, state=State.MIGRATING, reason=None, shutdown_attempts=attempts)


def is_asked(status: ApplicationStatus) -> bool:
    """Whether the old copy is asked to get ready to be stopped, has answered, or is stuck because it did not."""
    gave_up = status.state is State.DEGRADED and status.shutdown_attempts > 0 and status.shutdown_grace_period is None
    return gave_up or status.state in (State.WAITING_FOR_CLEANING, State.READY_FOR_ACTION)


def wait_for_shutdown(before: ApplicationStatus, asked: ApplicationStatus, limit: timedelta) -> ApplicationStatus:
    """What to write while the old copy gets ready to be stopped, so that the new one is not given up meanwhile.

    :param asked: what is to be written anyway.
    """
    grace = asked.shutdown_grace_period
    if asked.state is State.DEGRADED:
        return replace(asked, migration_timeout=0)
    if grace is None or grace == before.shutdown_grace_period:
        return asked
    return replace(asked, migration_timeout=int((grace + limit).timestamp()))


def judge(app: Application, outcome: Outcome, now: datetime, *, can_return: bool) -> Move:
    """Return how a migration goes on. Until the new copy is ready, the old one is left as it is.

    :param can_return: whether the cluster where the application comes from answers, and is there to stay.
    """
    if outcome.complete and outcome.health is not None and outcome.health.verdict in (Verdict.READY, Verdict.COMPLETED):
        return Move.SWITCH
    failed = outcome.health is not None and outcome.health.verdict is Verdict.FAILED
    rejected = outcome.problem is not None and not (outcome.unreachable or outcome.passing)
    late = migration_limit(app, now) <= 0 and app.status.state in MOVING
    return Move.GIVE_UP if can_return and (failed or rejected or late) else Move.WAIT


def copying(
    app: Application, volumes: list[VolumeCopy], problem: Reason | None, now: datetime, limit: timedelta
) -> ApplicationStatus:
    """What to write while the data of volumes is copied: the time limit counts from when something happened last."""
    if volumes == app.status.volumes:
        return replace(app.status, reason=problem)
    return replace(app.status, volumes=volumes, reason=problem, migration_timeout=int((now + limit).timestamp()))


def other_copies(app: Application) -> list[ResourceRef]:
    """Where there may be a copy of an application that must be gone before there is one where it is bound to.

    There are never two of what is deleted first, wherever it turned to on its way. What is left behind once it has settled
    elsewhere is none.
    """
    status = app.status
    settled = status.state is not State.MIGRATING and status.scheduled_to in status.placed_on
    if settled or manner_of(app) is not Manner.DELETE_FIRST:
        return []
    return [place for place in status.placed_on if place != status.scheduled_to]


def other_copies_gone(app: Application, gone: Iterable[ResourceRef], now: datetime, limit: timedelta) -> ApplicationStatus:
    """What to write once the other copies are gone and before there is a new one."""
    gone = list(gone)
    placed_on = [place for place in app.status.placed_on if place not in gone]
    return replace(app.status, placed_on=placed_on, reason=None, migration_timeout=int((now + limit).timestamp()))


def wait(app: Application, outcome: Outcome) -> ApplicationStatus:
    """What to write while the new copy is not ready."""
    health, problem = outcome.health, outcome.problem
    if problem is None and health is not None and health.verdict is not Verdict.STARTING:
        problem = reason_of(health)
    return replace(app.status, reason=problem)


def switch(app: Application, outcome: Outcome, declared: Iterable[Declared], now: datetime) -> ApplicationStatus:
    """What to write once the new copy is the application."""
    return replace(conclude(app, outcome, declared, now), migration_retries=0, migration_timeout=0)


def give_up(app: Application, outcome: Outcome, now: datetime, pause: timedelta) -> ApplicationStatus:
    """What to write about a migration that failed; the next one may begin after a pause that grows with each failure."""
    said = outcome.problem.message if outcome.problem else (outcome.health.message if outcome.health else None)
    said = (said or "its copy there did not become ready in time").rstrip(".")
    retries = app.status.migration_retries + 1
    return replace(
        app.status,
        state=State.RECONCILING if is_stopped(app) else State.RUNNING,
        reason=Reason(
            code=ReasonCode.RECONCILE_FAILED,
            message=f"The application stays where it is; moving it to {app.status.scheduled_to} failed: {said}.",
        ),
        migration_retries=retries,
        migration_timeout=int((now + min(pause * retries, LONGEST_PAUSE)).timestamp()),
        shutdown_attempts=0,
        shutdown_grace_period=None,
        volumes=discarded(app.status.volumes),
    )


def has_given_up(app: Application, now: datetime) -> bool:
    """Whether a migration was given up, and the binding is not taken back yet."""
    waits = app.status.state not in MOVING and migration_limit(app, now) > 0
    return waits and app.status.scheduled_to in app.status.placed_on
