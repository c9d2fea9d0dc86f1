"""Metrics that are written into their provider's declaration."""

from collections.abc import Collection

from krake.data.core import StaticSpec
from krake.ports.metrics import Answers, Sample


class StaticMetrics:
    """A source that answers what its declaration says."""

    def __init__(self, spec: StaticSpec) -> None:
        self._values = spec.metrics

    async def fetch(self, names: Collection[str]) -> Answers:
        """Return the declared values of *names*."""
        return {name: Sample(self._values[name]) for name in names if name in self._values}
