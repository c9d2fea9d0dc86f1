"""How long to wait before the next attempt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow with each failure up to a ceiling, spread over their whole range (full jitter), in seconds.

    The spread keeps many that failed together from coming back together.
    """

    initial: float
    ceiling: float
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not (0 < self.initial <= self.ceiling and self.factor >= 1):
            raise ValueError(f"{self} needs 0 < initial <= ceiling and a factor of at least 1.")

    def limit(self, failures: int) -> float:
        """The longest wait after so many failures in a row (1 for the first)."""
        if failures < 1:
            return 0.0
        try:
            return min(self.ceiling, self.initial * self.factor ** (failures - 1))
        except OverflowError:
            return self.ceiling

    def delay(self, failures: int, chance: float) -> float:
        """The wait after so many failures in a row; `chance` is a random number from 0 to 1."""
        return self.limit(failures) * chance
