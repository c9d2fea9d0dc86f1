"""What follows for a provider, a cloud or a project from whether it answers. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from krake.data import Reason, ReasonCode
from krake.data.events import Said, normal, warning
from krake.data.metadata import Status
from krake.lib.backoff import Backoff
from krake.ports.infrastructure import Busy, InfrastructureError, NotFound, Refused, Rejected, Unavailable

S = TypeVar("S", bound=Status)

BLIPS = 2
"""So many times in a row something that was well may not answer until that is told."""


class ProviderOffline(InfrastructureError):
    """A cloud is of no use now, as its infrastructure provider is not."""


@dataclass(frozen=True)
class Pace:
    """When something is asked.

    :param interval: seconds from one check to the next of what is well.
    :param timeout: seconds that a check may take.
    """

    interval: float = 60.0
    timeout: float = 15.0

    def wait(self, failures: int) -> float:
        """Return in how many seconds to ask again after so many failures in a row; 0 if it is well."""
        if not failures:
            return self.interval
        return Backoff(min(5.0, self.interval), 2 * self.interval).limit(failures)


def is_blip(failure: InfrastructureError, failures: int) -> bool:
    """Whether a failure of what has answered before need not mean anything.

    :param failures: how many there were in a row, with this one.
    """
    return isinstance(failure, Unavailable | Busy) and failures <= BLIPS


def conclude(status: S, failure: InfrastructureError | None, now: datetime, *, anew: bool = False) -> S:
    """Return the status of something that was asked.

    That metrics fail is the word of the scheduler: it is neither said here nor taken back, but comes back after an outage.

    :param failure: ``None`` if it answers, and accepts the credentials.
    :param anew: it was changed since it was asked last, so that the same answer is news.
    """
    seen: Any = status
    states = type(seen.state)
    if failure is not None:
        after = replace(seen, state=states.OFFLINE, reason=explain(failure))
    else:
        failing = getattr(states, "FAILING_METRICS", None)
        state = failing if failing and seen.metrics_reasons else states.ONLINE
        after = replace(seen, state=state, reason=None)
    # What is the same as before is not written: a thousand clouds would have everybody who watches them busy.
    if after == seen and seen.checked is not None and not anew:
        return status
    changed: S = replace(after, checked=now)
    return changed


def explain(failure: InfrastructureError) -> Reason:
    """Return the reason of a failure."""
    match failure:
        case Refused():
            code = ReasonCode.INVALID_CREDENTIALS
        case Rejected() | NotFound():
            code = ReasonCode.INVALID_RESOURCE
        case _:
            code = ReasonCode.INFRASTRUCTURE_NOT_REACHABLE
    return Reason(code=code, message=str(failure))


def tell(before: Status, after: Status) -> Said | None:
    """Return what to tell of a change, if it is one that matters to people."""
    was: Any = before
    if after.reason is not None:
        same = before.reason is not None and before.reason.code is after.reason.code
        return None if same else warning("Offline", after.reason.message)
    if before.reason is None and was.checked is not None:
        return None
    return normal("Online", "It answers, and accepts the credentials.")
