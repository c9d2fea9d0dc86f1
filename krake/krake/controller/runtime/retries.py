"""When something that failed is tried again, by the back-off that its user has declared. Pure.

This is a safety net: every change of what an attempt rests on leads to another one at once, however many are left.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class Declared(Protocol):
    """What the user declares, as in the spec of applications and clusters."""

    @property
    def backoff(self) -> int: ...

    @property
    def backoff_delay(self) -> int: ...

    @property
    def backoff_limit(self) -> int: ...


@dataclass(frozen=True)
class Retry:
    """What is left after a failed attempt.

    :param retries: the attempts left by the limit; ``None`` without a limit.
    :param due: when the next one is made; ``None`` if only a change leads to another one.
    """

    retries: int | None
    due: datetime | None


def plan_retry(declared: Declared, left: int | None, now: datetime, *, failures: int, longest: timedelta) -> Retry:
    """Return what is left after an attempt that failed now.

    The wait is ``backoff_delay * backoff ** failures``, at most *longest*. Without a limit it at least doubles, and so it does
    after many failures in any case: what never gives up, or not for long, must not ask for ever at a high rate.

    :param left: by the limit, after the attempt before; ``None`` if that is not known.
    :param failures: attempts before this one that failed since something changed; 0 starts with the full limit.
    """
    if declared.backoff_limit < 0:
        return Retry(None, now + _wait(declared.backoff_delay, max(declared.backoff, 2), failures, longest))
    left = declared.backoff_limit if failures == 0 or left is None else left
    if left <= 0:
        return Retry(0, None)
    return Retry(left - 1, now + _wait(declared.backoff_delay, declared.backoff, failures, longest))


def _wait(delay: int, factor: int, failures: int, longest: timedelta) -> timedelta:
    # The exponent is cut, because a whole number to the power of a million takes its time.
    shortest = _SHORTEST * 2 ** min(max(failures - _MANY, 0), 20)
    seconds = min(max(delay * min(factor, 1000) ** min(failures, 20), shortest), longest.total_seconds())
    return timedelta(seconds=seconds)


_SHORTEST = 0.1
"""Seconds. A delay of 0 is allowed, a busy loop is not."""
_MANY = 10
"""So many failures are passing, maybe, and their user may want the next attempts soon."""
