"""What the API counts about itself, for Prometheus. What is said in docs/admin/monitoring.md is all there is."""

import asyncio
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from krake import exposition
from krake.api.cache import Cache
from krake.api.operations.sink import Sink

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_REST = 5.0
"""After figures were written, so many times as long as that has taken nothing is written."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Figures:
    """Counts requests; tells the state of the cache, and the number of watchers."""

    def __init__(self, cache: Cache, audit: Sink | None = None) -> None:
        self.in_flight = 0
        """How many requests are being served."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "krake_api_requests", "Requests answered.", ("method", "route", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "krake_api_request_seconds",
            "Time until requests were answered; of watches, until they ended.",
            ("method", "route", "code"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._authentications = Counter(
            "krake_api_authentications", "Attempts to know who is asking.", ("way", "outcome"), registry=self._registry
        )
        self._limited = Counter(
            "krake_api_limited_requests", "Requests refused because of a limit.", ("limit",), registry=self._registry
        )
        # Looking up labelled figures takes longer than many a request.
        self._known: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._known_ways: dict[tuple[str, str], Callable[[], None]] = {}
        self._writing: asyncio.Task[bytes] | None = None
        self._rested_at = 0.0
        self._registry.register(_State(cache, audit, lambda: self.in_flight))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the pattern of its path."""
        known = self._known.get((method, route, status))
        if known is None:
            # Methods are free text from the client, and each label costs memory for ever.
            label = method if method in _METHODS else "other"
            counter, histogram = self._requests.labels(label, route, status), self._seconds.labels(label, route, status)
            known = counter.inc, histogram.observe
            if label == method:
                self._known[method, route, status] = known
        increment, observe = known
        increment()
        observe(seconds)

    def count_authentication(self, way: str, outcome: str) -> None:
        """Count an attempt to know a user: *way* is empty if none has."""
        known = self._known_ways.get((way, outcome))
        if known is None:
            known = self._known_ways[way, outcome] = self._authentications.labels(way, outcome).inc
        known()

    def count_limited(self, limit: str) -> None:
        """Count a request that was refused: because of its *user*, failed *logins* or the number of *watches*."""
        self._limited.labels(limit).inc()

    async def expose(self) -> bytes:
        """Return all figures in the text format of Prometheus, those of the process and the adapters as well.

        Anybody may ask, and it takes some ten milliseconds in which nothing else happens: who asks too soon waits for the next
        text, together with all others who do.
        """
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await asyncio.shield(self._writing)

    async def _write(self) -> bytes:
        await asyncio.sleep(max(0.0, self._rested_at - time.monotonic()))
        self._writing = None
        started = time.monotonic()
        text = generate_latest(self._registry) + exposition.expose()
        self._rested_at = time.monotonic() + _REST * (time.monotonic() - started)
        return text


class _State(Collector):
    """Asks only when someone wants to know."""

    def __init__(self, cache: Cache, audit: Sink | None, in_flight: Callable[[], int]) -> None:
        self._cache = cache
        self._audit = audit
        self._in_flight = in_flight

    def collect(self) -> Iterator[Metric]:
        cache = self._cache
        yield GaugeMetricFamily("krake_api_requests_in_flight", "Requests being served, watches too.", value=self._in_flight())
        watchers = GaugeMetricFamily("krake_api_watchers", "Open watches.", labels=["kind"])
        objects = GaugeMetricFamily("krake_api_objects", "Objects in the cache.", labels=["kind"])
        unreadable = GaugeMetricFamily("krake_api_unreadable_objects", "Entries that are no objects.", labels=["kind"])
        for collection in cache.collections:
            name = [collection.kind.kind]
            watchers.add_metric(name, len(collection.subscriptions))
            objects.add_metric(name, len(collection))
            unreadable.add_metric(name, len(collection.unreadable))
        yield from (watchers, objects, unreadable)
        yield GaugeMetricFamily("krake_api_revision", "Store revision that the cache has reached.", value=cache.revision)
        lag = max(0, cache.store_revision - cache.revision)
        yield GaugeMetricFamily("krake_api_cache_lag_revisions", "Revisions of the store that the cache misses.", value=lag)
        yield GaugeMetricFamily("krake_api_store_contact_age_seconds", "Time since the store was reached.", value=cache.age)
        if self._audit is not None:
            lost = CounterMetricFamily("krake_api_audit_lost_lines", "Lines of the audit log that could not be written.")
            lost.add_metric([], self._audit.lost)
            yield lost
            failing = int(self._audit.failing)
            yield GaugeMetricFamily("krake_api_audit_failing", "1 while the audit log cannot be written.", value=failing)
