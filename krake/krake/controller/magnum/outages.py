"""What does not work at the moment, so that it is asked less often, and that of one project is in nobody else's way."""

import random
import time
from collections.abc import Callable

from krake.data.metadata import Key
from krake.lib.backoff import Backoff
from krake.ports.infrastructure import InfrastructureError, Refused, Unavailable

_LONGEST = 300.0


class Outages:
    """Remembers which projects do not answer, and how often clusters have failed in a row.

    :param interval: seconds between two looks at what works; the shortest wait after a failure is not longer.
    :param patience: seconds after which whoever asks has an answer, or none.
    """

    def __init__(self, interval: float, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        shortest = min(interval, 5.0)
        self._backoff = Backoff(shortest, max(_LONGEST, shortest))
        self._clock = clock
        self._closed: dict[Key, tuple[float, int, InfrastructureError]] = {}
        self._failures: dict[Key, int] = {}

    def note(self, project: Key, error: InfrastructureError) -> None:
        """Leave a project alone for a while if the error is not about one of its clusters."""
        if isinstance(error, Unavailable | Refused):
            failures = self._closed[project][1] + 1 if project in self._closed else 1
            self._closed[project] = self._clock() + self._backoff.limit(failures), failures, error

    def of(self, project: Key) -> InfrastructureError | None:
        """Return why a project is left alone; ``None`` if it may be asked, which after an outage only one is told at a time."""
        if project not in self._closed:
            return None
        until, failures, error = self._closed[project]
        if self._clock() < until:
            return error
        self._closed[project] = self._clock() + self._patience, failures, error
        return None

    def recover(self, project: Key) -> None:
        """Note that a project has answered."""
        self._closed.pop(project, None)

    reopen = recover

    def delay(self, cluster: Key) -> float:
        """Count a failure of a cluster; returns in how many seconds it is tried again."""
        self._failures[cluster] = failures = self._failures.get(cluster, 0) + 1
        return self._backoff.limit(failures) * random.uniform(0.5, 1.0)

    def forget(self, cluster: Key) -> None:
        """Forget the failures of a cluster."""
        self._failures.pop(cluster, None)
