"""Says what an error of gRPC or etcd means for the caller, and whether to try again. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

from grpc import StatusCode

from krake.ports.store import Denied, Full, StoreError, TooLarge, Unavailable


class Remedy(Enum):
    """What may help after a failure."""

    NONE = auto()
    REPEAT = auto()
    """The same call again, perhaps at another member: it was a read, or surely not applied."""
    LOG_IN = auto()
    """A new login: the session has expired. Nothing was applied."""


@dataclass(frozen=True, slots=True)
class Failure:
    error: StoreError
    remedy: Remedy


class OutOfRange(StoreError):
    """The revision asked for is forgotten, or ahead of the store."""

    def __init__(self, message: str, *, ahead: bool) -> None:
        super().__init__(message)
        self.ahead = ahead


class NoLease(StoreError):
    """A lease that an entry was to be written with is over. Nothing was written."""


_EXPIRED = ("invalid auth token", "revision of auth store is old", "user name is empty")
_TOO_LARGE = ("request is too large", "larger than max")
_FULL = "database space exceeded"
_BUSY = "too many requests"
_NO_LEASE = "requested lease not found"


def diagnose(code: StatusCode, details: str, endpoint: str, *, write: bool) -> Failure:
    """What a failed call to `endpoint` means; `write` if it would have changed the store."""
    said = f"etcd at {endpoint} says: {details}."
    if recognised := _recognise(details, said):
        return recognised
    match code:
        case StatusCode.OUT_OF_RANGE:
            return Failure(OutOfRange(said, ahead="future" in details), Remedy.NONE)
        case StatusCode.PERMISSION_DENIED | StatusCode.UNAUTHENTICATED:
            return Failure(Denied(f"The store denies access. {said}"), Remedy.NONE)
        case StatusCode.INVALID_ARGUMENT if "authentication failed" in details:
            return Failure(Denied(f"The store does not accept this user and password. {said}"), Remedy.NONE)
        case StatusCode.INVALID_ARGUMENT | StatusCode.UNIMPLEMENTED | StatusCode.FAILED_PRECONDITION:
            return Failure(StoreError(f"The store refuses the request. {said}"), Remedy.NONE)
        case StatusCode.DEADLINE_EXCEEDED:
            return _interrupted(f"etcd at {endpoint} did not answer in time", write)
    return _interrupted(f"etcd at {endpoint} cannot be reached or cannot serve: {details or code.name}", write)


def _recognise(details: str, said: str) -> Failure | None:
    """What the words of etcd alone tell, whatever its code is."""
    if any(text in details for text in _TOO_LARGE):
        return Failure(TooLarge(f"The write is too large for the store. {said}"), Remedy.NONE)
    if any(text in details for text in _EXPIRED):
        return Failure(Denied(f"The store wants a valid user and password. {said}"), Remedy.LOG_IN)
    if _FULL in details:
        advice = "compact and defragment it, then disarm its alarm, or raise its quota"
        return Failure(Full(f"The store is full and takes no writes; {advice}. {said}"), Remedy.NONE)
    if _NO_LEASE in details:
        return Failure(NoLease(f"The store knows no such lease (any more). {said}"), Remedy.NONE)
    return Failure(Unavailable(f"The store is overloaded. {said}"), Remedy.REPEAT) if _BUSY in details else None


def _interrupted(problem: str, write: bool) -> Failure:
    if not write:
        return Failure(Unavailable(f"{problem}."), Remedy.REPEAT)
    message = f"{problem}; the write may have been applied, read the entry to find out."
    return Failure(Unavailable(message, outcome_unknown=True), Remedy.NONE)
