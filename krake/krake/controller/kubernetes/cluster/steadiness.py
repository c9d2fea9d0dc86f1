"""Keeps short changes from counting. Pure: the time, in seconds of any clock, is an argument of each call."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Steady(Generic[T]):
    """A value whose changes count only once they have lasted; the first one counts at once.

    :param patience: seconds that a change must last.
    :param value: what counts before anything is seen.
    """

    def __init__(self, patience: float, value: T | None = None) -> None:
        self.value = value
        """What counts; ``None`` until anything was seen."""
        self._patience = patience
        self._other: T | None = None
        self._since = 0.0

    def see(self, value: T, now: float) -> float | None:
        """Take over what is seen now; returns in how many seconds to look again, ``None`` for not before it changes."""
        if self.value is None:
            self.value = value
        if value == self.value:
            self._other = None
            return None
        if value != self._other:
            self._other, self._since = value, now
        rest = self._since + self._patience - now
        if rest > 0:
            return rest
        self.value, self._other = value, None
        return None
