"""What the API counts about itself, for Prometheus."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from krake.api.cache import Cache

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Figures:
    """Counts requests; tells the size of the cache and the number of watchers."""

    def __init__(self, cache: Cache) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "krake_api_requests", "Requests answered.", ("method", "route", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "krake_api_request_seconds",
            "Time until requests were answered; of watches, until they ended.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        # Looking up labelled figures takes longer than many a request.
        self._known: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._registry.register(_CacheFigures(cache))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the pattern of its path."""
        known = self._known.get((method, route, status))
        if known is None:
            # Methods are free text from the client, and each label costs memory for ever.
            label = method if method in _METHODS else "other"
            counter, histogram = self._requests.labels(label, route, status), self._seconds.labels(label, route)
            known = counter.inc, histogram.observe
            if label == method:
                self._known[method, route, status] = known
        increment, observe = known
        increment()
        observe(seconds)

    def expose(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        return generate_latest(self._registry)


class _CacheFigures(Collector):
    """Asks the cache only when someone wants to know."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        watchers = GaugeMetricFamily("krake_api_watchers", "Open watches.", labels=["kind"])
        objects = GaugeMetricFamily("krake_api_objects", "Objects in the cache.", labels=["kind"])
        for collection in self._cache.collections:
            watchers.add_metric([collection.kind.kind], len(collection.subscriptions))
            objects.add_metric([collection.kind.kind], len(collection))
        yield watchers
        yield objects
        yield GaugeMetricFamily("krake_api_revision", "Store revision that the cache has reached.", value=self._cache.revision)
