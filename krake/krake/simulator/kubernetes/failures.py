"""Ways in which a simulated cluster can fail on demand."""

from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["none", "unreachable", "hanging", "garbage", "slow", "errors"]

MODES: tuple[str, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a cluster answers at present.

    `unreachable` cuts every connection, `hanging` accepts and never answers, `garbage` answers with bytes that are no
    JSON, `slow` waits `delay` seconds before each answer, `errors` answers this share (`rate`, 0 to 1) of requests with 500.
    """

    mode: Mode = "none"
    delay: float = 5.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"{self.mode!r} is no failure mode; choose one of {', '.join(MODES)}")
        if self.delay < 0 or not 0 <= self.rate <= 1:
            raise ValueError("a delay must not be negative and a rate must be between 0 and 1")


GARBAGE = b"<html><body>Everything is fine, but this is \x00\xff not JSON {[</body></html>\n"
