"""Metrics that are written into their provider's declaration."""

from collections.abc import Collection, Mapping

from krake.data.core import StaticSpec
from krake.ports.metrics import MetricError


class StaticMetrics:
    """A source that answers what its declaration says."""

    def __init__(self, spec: StaticSpec) -> None:
        self._values = spec.metrics

    async def fetch(self, names: Collection[str]) -> Mapping[str, float | MetricError]:
        """Return the declared values of *names*."""
        return {name: self._values[name] for name in names if name in self._values}
