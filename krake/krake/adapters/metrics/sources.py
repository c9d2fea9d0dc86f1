"""From the declaration of a provider to its source."""

from contextlib import AsyncExitStack
from typing import Self

from krake.adapters.metrics.influx import InfluxMetrics
from krake.adapters.metrics.ksql import KsqlMetrics
from krake.adapters.metrics.prometheus import PrometheusMetrics
from krake.adapters.metrics.static import StaticMetrics
from krake.adapters.metrics.web import Server, Web
from krake.data.core import (
    GlobalMetricsProvider,
    InfluxSpec,
    KafkaSpec,
    Login,
    MetricsProvider,
    PrometheusSpec,
    StaticSpec,
)
from krake.data.destinations import Destinations
from krake.ports.metrics import MetricsSource, ProviderError


class Sources:
    """Makes sources, and holds their connections; an asynchronous context manager, inside which they work.

    :param destinations: where providers of namespaces may lead. Global ones may lead anywhere: administrators declare them.
    :param timeout: seconds that a source may take.
    :param forbidden: an endpoint that providers of namespaces never lead to: the API of Krake.
    """

    def __init__(self, destinations: Destinations, timeout: float, forbidden: str | None = None) -> None:
        self._of_namespaces = Web(destinations, timeout, forbidden)
        self._of_all = Web(Destinations(deny=()), timeout)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for web in (self._of_namespaces, self._of_all):
                await stack.enter_async_context(web)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def connect(self, provider: MetricsProvider | GlobalMetricsProvider) -> MetricsSource:
        """Return the source that a provider declares.

        :raises ProviderError: it can not be asked as it is declared.
        """
        web = self._of_namespaces if isinstance(provider, MetricsProvider) else self._of_all
        name = provider.metadata.name
        match provider.spec.value:
            case StaticSpec() as static:
                return StaticMetrics(static)
            case PrometheusSpec() as prometheus:
                return PrometheusMetrics(Server(web, name, prometheus.url, prometheus))
            case InfluxSpec() as influx:
                server = Server(web, name, influx.url, Login(ca=influx.ca), f"Token {influx.token}")
                return InfluxMetrics(server, influx.org, influx.bucket)
            case KafkaSpec() as kafka:
                return KsqlMetrics(Server(web, name, kafka.url, kafka), kafka)
        raise ProviderError(f"Metrics providers of the type '{provider.spec.type}' are not supported.")
