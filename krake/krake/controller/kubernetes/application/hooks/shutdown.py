"""When an application is asked to get ready to be stopped, and what becomes of one that does not. Pure.

An application that is about to be stopped is asked, and has a time of grace to answer by calling back, which makes its state
READY_FOR_ACTION. Each attempt is written down before the call is made: how many there were in ``shutdown_attempts``, until when
the last one counts in ``shutdown_grace_period``. So whoever continues after a restart goes on with the same attempt.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from krake.controller.kubernetes.application.settings import ShutdownHookConfig
from krake.data.events import Said, normal, warning
from krake.data.kubernetes import Application, ApplicationSpec, ApplicationState, ApplicationStatus
from krake.data.metadata import Reason, ReasonCode

SHUTDOWN = "shutdown"
SHORTEST_GRACE = timedelta(seconds=1)
"""An application can not answer in no time at all."""

State = ApplicationState


class Stage(Enum):
    """What to do about an application that is to be stopped."""

    PROCEED = auto()
    """Stop it: it is ready, does not want to be asked, or had all its time."""
    ASK = auto()
    """Have it asked, unless it has been in this attempt; then wait."""
    GIVE_UP = auto()
    """Leave everything as it is until somebody asks for another try."""


@dataclass(frozen=True)
class Terms:
    """How an application is asked.

    :param grace: the time that it has to answer, for each attempt.
    :param attempts: how often it is asked at most.
    :param strategy: what becomes of it if it does not answer: ``delete`` or ``give_up``.
    """

    grace: timedelta
    attempts: int
    strategy: str


@dataclass(frozen=True)
class Shutdown:
    """What is decided about an application that is to be stopped.

    :param status: to be written before anything else is done, if it differs from what is there.
    :param wait: with ASK: seconds until the next look, if nothing happens before.
    :param said: what is worth telling of it.
    """

    stage: Stage
    status: ApplicationStatus
    wait: float = 0.0
    said: tuple[Said, ...] = ()


def terms_of(spec: ApplicationSpec, settings: ShutdownHookConfig) -> Terms:
    """Return the terms of an application: its own, where it has some, else those of the controller."""
    grace = settings.timeout if spec.shutdown_grace_time is None else spec.shutdown_grace_time
    retries = settings.failure_retry_count if spec.shutdown_retry_count is None else spec.shutdown_retry_count
    return Terms(
        grace=max(SHORTEST_GRACE, timedelta(seconds=grace)),
        attempts=1 + retries,
        strategy=spec.shutdown_failure_strategy or settings.failure_strategy,
    )


def judge_shutdown(app: Application, terms: Terms, now: datetime, trouble: str | None = None) -> Shutdown:
    """Decide about an application whose copy on ``running_on`` is about to be stopped.

    :param trouble: why the last call did not get through, if it did not.
    """
    status = app.status
    if SHUTDOWN not in app.spec.hooks or status.running_on is None:
        return Shutdown(Stage.PROCEED, status)  # nothing to ask, or nobody who could answer
    if status.state in (State.READY_FOR_ACTION, State.DELETING):
        return Shutdown(Stage.PROCEED, status)
    attempts, deadline = _progress(status)
    if deadline is not None and now < deadline:
        # Nobody is waited for longer than agreed, whatever stands in the status.
        deadline = min(deadline, now + terms.grace)
        status = replace(status, shutdown_grace_period=deadline, reason=_reason_of(trouble) if trouble else status.reason)
        return Shutdown(Stage.ASK, status, (deadline - now).total_seconds())
    if attempts < terms.attempts:
        return _ask(status, attempts + 1, terms, now)
    return _fail(status, attempts, terms)


def _progress(status: ApplicationStatus) -> tuple[int, datetime | None]:
    """How many attempts there were, and until when the last one counts; all that is from earlier shutdowns is left out."""
    if status.state is State.WAITING_FOR_CLEANING or _gave_up(status):
        return max(0, status.shutdown_attempts), status.shutdown_grace_period
    return 0, None


def _gave_up(status: ApplicationStatus) -> bool:
    # Applications are DEGRADED for other reasons as well.
    return status.state is State.DEGRADED and status.shutdown_attempts > 0 and status.shutdown_grace_period is None


def _ask(status: ApplicationStatus, attempt: int, terms: Terms, now: datetime) -> Shutdown:
    asked = replace(
        status,
        state=State.WAITING_FOR_CLEANING,
        reason=None,
        shutdown_attempts=attempt,
        shutdown_grace_period=now + terms.grace,
    )
    grace = terms.grace.total_seconds()
    times = f" (attempt {attempt} of {terms.attempts})" if terms.attempts > 1 else ""
    said = normal("ShutdownRequested", f"It is asked to get ready to be stopped within {grace:g} s{times}.")
    return Shutdown(Stage.ASK, asked, grace, (said,))


def _fail(status: ApplicationStatus, attempts: int, terms: Terms) -> Shutdown:
    times = "once" if attempts == 1 else f"{attempts} times"
    why = f" {status.reason.message}" if status.reason and status.state is State.WAITING_FOR_CLEANING else ""
    message = f"The application was asked {times} to get ready to be stopped, and did not say in time that it is.{why}"
    if terms.strategy == "delete":
        return Shutdown(Stage.PROCEED, status, said=(warning("ShutdownOverdue", f"{message} It is stopped all the same."),))
    if _gave_up(status):
        return Shutdown(Stage.GIVE_UP, status)
    message += " It is left as it is; `rok kube app retry` asks it once more."
    reason = Reason(code=ReasonCode.DELETE_FAILED, message=message)
    gave_up = replace(status, state=State.DEGRADED, reason=reason, shutdown_attempts=attempts, shutdown_grace_period=None)
    return Shutdown(Stage.GIVE_UP, gave_up, said=(warning("ShutdownFailed", message),))


def released(status: ApplicationStatus) -> ApplicationStatus:
    """What to write, besides other things, once an application is past its shutdown and goes on elsewhere, or stays."""
    return replace(status, shutdown_attempts=0, shutdown_grace_period=None)


def _reason_of(trouble: str) -> Reason:
    return Reason(code=ReasonCode.KUBERNETES_ERROR, message=trouble)
