"""What Krake needs from a source of metrics: the present values of some names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


class MetricError(Exception):
    """The value of one metric is missing or can not be used; the message says why, for the owner of the metric."""


class ProviderError(Exception):
    """The source can not be asked: it is unreachable, too slow, or answers something else than metrics."""


@dataclass(frozen=True)
class Sample:
    """What a source has for a name.

    :param value: a finite number.
    :param note: what whoever relies on it should know, for example that there was more than one.
    """

    value: float
    note: str | None = None


Answers = Mapping[str, Sample | MetricError | ProviderError]
"""What a source says by its own names. A ``ProviderError`` is about this name only: others could be asked for."""


class MetricsSource(Protocol):
    """A source of metrics."""

    async def fetch(self, names: Collection[str]) -> Answers:
        """Return for each of *names* (as the source knows them) its present value or what is wrong with it.

        The call ends within the source's time limit, or little later. A name that is not in the answer has no value.

        :raises ProviderError: nothing can be said about any of them.
        """
