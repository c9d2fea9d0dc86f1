"""How etcd serves this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import Histogram

from krake.adapters.etcd.errors import OutOfRange
from krake.ports.store import Denied, Full, StoreError, TooLarge, Unavailable

SECONDS = Histogram(
    "krake_store_request_seconds",
    "How long calls to the store took, with all repetitions.",
    ("operation", "outcome"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)


@contextmanager
def measured(path: str) -> Iterator[None]:
    """Measure the call of a remote procedure. (That a guard of a transaction was not fulfilled is a success of the store.)"""
    started = time.perf_counter()
    outcome = "cancelled"
    try:
        yield
        outcome = "success"
    except StoreError as error:
        outcome = _outcome_of(error)
        raise
    finally:
        _observer(path, outcome)(time.perf_counter() - started)


@cache
def _observer(path: str, outcome: str) -> Callable[[float], None]:
    return SECONDS.labels(path.rpartition("/")[2].lower(), outcome).observe


def _outcome_of(error: StoreError) -> str:
    match error:
        case Full():
            return "full"
        case Unavailable():
            return "unavailable"
        case Denied():
            return "denied"
        case TooLarge():
            return "too_large"
        case OutOfRange():
            return "compacted"
    return "refused"
