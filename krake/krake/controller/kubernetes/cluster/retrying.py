"""When a cluster that does not do what it is asked for is tried again, and when it counts as lost. Pure."""

from dataclasses import dataclass

SECOND_TRY = 0.2
"""Seconds after which a cluster that was there is tried once more: many interruptions are over by then."""
SHORTEST, LONGEST = 0.5, 300.0
"""Seconds between two attempts, whatever the settings of the cluster say."""
AFTERWARDS = 60.0
"""Seconds between two looks at a cluster whose attempts are used up, whether it has come back all the same."""
LONG = 10.0
"""An attempt that is so many seconds away is worth telling of."""


@dataclass(frozen=True)
class Attempt:
    """What follows from an attempt that failed.

    :param delay: seconds until the next one.
    :param lost: whether the cluster counts as lost.
    :param left: attempts before it is given up; -1 are endlessly many.
    """

    delay: float
    lost: bool
    left: int

    @property
    def is_worth_telling(self) -> bool:
        """Whether people want to know when the next one is. That is not written for ever, several times a minute."""
        return self.left > 0 or self.delay >= LONG


class Retrying:
    """Counts attempts that failed in a row.

    :param factor: by which the *delay* in seconds is multiplied after each.
    :param limit: attempts before the cluster is given up; with -1 it is tried endlessly.
    :param patience: seconds for which a cluster that was there may be away before it counts as lost.
    :param used: attempts that have failed before.
    """

    def __init__(self, factor: float, delay: float, limit: int, patience: float, used: int = 0) -> None:
        self._factor = factor
        self._delay = delay
        self._limit = limit
        self._patience = patience
        self._used = used
        self._since: float | None = None

    def succeed(self) -> None:
        """Forget all failures."""
        self._used, self._since = 0, None

    def fail(self, now: float, *, known: bool) -> Attempt:
        """Return what follows from another failure.

        :param known: whether the cluster was there, and does not count as lost yet.
        """
        if known and self._since is None:
            self._since = now
            return Attempt(SECOND_TRY, False, self._limit)
        if known and self._limit <= 0 and self._since is not None and (rest := self._since + self._patience - now) > 0:
            return Attempt(min(self._pause(1), rest), False, self._limit)
        self._used += 1
        pause = self._pause(self._used)
        if self._limit <= 0:
            return Attempt(pause, True, self._limit)
        left = max(self._limit - self._used, 0)
        return Attempt(pause if left else max(pause, AFTERWARDS), True, left)

    def _pause(self, failures: int) -> float:
        try:
            pause = self._delay * float(self._factor) ** (failures - 1)
        except OverflowError:
            pause = LONGEST
        return min(max(pause, SHORTEST), LONGEST)
