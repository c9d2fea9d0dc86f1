"""When an application that fits nowhere is tried again.

This is a safety net: every change of what the decision rests on leads to a new decision at once, however many attempts are
left.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from krake.data.kubernetes import Application


@dataclass(frozen=True)
class Retry:
    """What is left after a failed attempt.

    :param retries: the attempts left by the limit; ``None`` without a limit.
    :param due: when the next one is made; ``None`` if only a change leads to another one.
    """

    retries: int | None
    due: datetime | None


def plan_retry(app: Application, now: datetime, *, failures: int, longest: timedelta) -> Retry:
    """Return what is left after an attempt that failed now.

    The wait is ``backoff_delay * backoff ** failures``, at most *longest*. Without a limit it at least doubles: an application
    that never gives up must not ask for ever at a high rate.

    :param failures: attempts before this one that failed since the application changed; 0 starts with the full limit.
    """
    spec, status = app.spec, app.status
    if spec.backoff_limit < 0:
        return Retry(None, now + _wait(spec.backoff_delay, max(spec.backoff, 2), failures, longest))
    left = spec.backoff_limit if failures == 0 or status.retries is None else status.retries
    if left <= 0:
        return Retry(0, None)
    return Retry(left - 1, now + _wait(spec.backoff_delay, spec.backoff, failures, longest))


def _wait(delay: int, factor: int, failures: int, longest: timedelta) -> timedelta:
    # The exponent is cut, because a whole number to the power of a million takes its time.
    seconds = min(max(delay * min(factor, 1000) ** min(failures, 20), _SHORTEST), longest.total_seconds())
    return timedelta(seconds=seconds)


_SHORTEST = 0.1
"""Seconds. A delay of 0 is allowed, a busy loop is not."""
