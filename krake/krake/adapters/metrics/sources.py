"""From the declaration of a provider to its source."""

from krake.adapters.metrics.static import StaticMetrics
from krake.data.core import GlobalMetricsProvider, MetricsProvider, StaticSpec
from krake.ports.metrics import MetricsSource, ProviderError


class Sources:
    """Makes sources."""

    def connect(self, provider: MetricsProvider | GlobalMetricsProvider) -> MetricsSource:
        """Return the source that a provider declares.

        :raises ProviderError: there is no adapter for it.
        """
        match provider.spec.value:
            case StaticSpec() as static:
                return StaticMetrics(static)
        raise ProviderError(f"Metrics providers of the type '{provider.spec.type}' are not supported yet.")
