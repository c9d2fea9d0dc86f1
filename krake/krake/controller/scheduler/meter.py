"""Measures clusters: asks the metrics providers, keeps what they said, and tells who fails."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from krake.adapters.static import StaticMetrics
from krake.client import Client
from krake.controller.runtime import Informer, Result, patch_status
from krake.controller.scheduler.filters import USABLE_STATES
from krake.controller.scheduler.measuring import Answer, Catalog, Query, find_query, measure, report
from krake.controller.scheduler.snapshot import Measurement
from krake.data import Key
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    Metric,
    MetricRef,
    MetricsProvider,
    MetricsProviderSpec,
    StaticSpec,
)
from krake.data.kubernetes import Cluster
from krake.ports.metrics import MetricsSource, ProviderError

log = logging.getLogger(__name__)

TIME_LIMIT = 20.0
"""Seconds that a provider has to answer."""

Connect = Callable[[MetricsProviderSpec], MetricsSource]


def connect(spec: MetricsProviderSpec) -> MetricsSource:
    """Return the source that a provider declares.

    :raises ProviderError: there is no adapter for it.
    """
    match spec.value:
        case StaticSpec() as static:
            return StaticMetrics(static)
    raise ProviderError(f"Metrics providers of the type '{spec.type}' are not supported yet.")


@dataclass(frozen=True)
class Sight:
    """The informers by which the meter sees the world."""

    clusters: Informer[Cluster]
    metrics: Informer[Metric]
    providers: Informer[MetricsProvider]
    global_metrics: Informer[GlobalMetric]
    global_providers: Informer[GlobalMetricsProvider]

    @property
    def catalog(self) -> Catalog:
        """The metrics and providers as they are now."""
        return Catalog(self.metrics.objects, self.providers.objects, self.global_metrics.objects, self.global_providers.objects)


class Meter:
    """Keeps a measurement of each cluster that can be used and has metrics.

    Measuring is apart from placing, so that a provider that hangs holds up neither the applications nor other clusters.

    :param enqueue: has a cluster measured.
    :param measured: is told which cluster is measured to another result than before.
    :param interval: seconds after which a cluster is measured anew; what Krake itself knows of is measured at once.
    """

    def __init__(
        self,
        client: Client,
        sight: Sight,
        *,
        enqueue: Callable[[Key], None],
        measured: Callable[[Key], None],
        interval: float,
        connect: Connect = connect,
    ) -> None:
        self._client = client
        self._sight = sight
        self._enqueue = enqueue
        self._measured = measured
        self._interval = interval
        self._connect = connect
        self._measurements: dict[Key, tuple[Measurand, Measurement]] = {}
        sight.clusters.on_change(self._follow_cluster)
        for metrics in (sight.metrics, sight.global_metrics):
            metrics.on_change(self._follow_metric)
        for providers in (sight.providers, sight.global_providers):
            providers.on_change(self._follow_provider)

    def measurement(self, cluster: Cluster) -> Measurement | None:
        """Return what is known of the metrics of a cluster; ``None`` if it has yet to be measured."""
        if not _measurable(cluster):
            return Measurement()
        measurand, measurement = self._measurements.get(cluster.key, (None, None))
        return measurement if measurand == _measurand(cluster) else None

    async def reconcile(self, key: Key) -> Result | None:
        """Measure a cluster."""
        cluster = self._sight.clusters.get(key)
        if cluster is None or not _measurable(cluster):
            self._measurements.pop(key, None)
            if cluster is not None and cluster.metadata.deleted is None and not cluster.spec.metrics:
                await self._tell(cluster, Measurement())
            return None
        queries = {ref: find_query(key.namespace, ref, self._sight.catalog) for ref in cluster.spec.metrics}
        measurement = measure(queries, await self._ask([each for each in queries.values() if isinstance(each, Query)]))
        before = self._measurements.get(key)
        self._measurements[key] = after = (_measurand(cluster), measurement)
        if before != after:
            self._measured(key)
        await self._tell(cluster, measurement)
        return Result(requeue_after=self._interval)

    async def _tell(self, cluster: Cluster, measurement: Measurement) -> None:
        status = report(cluster.status, measurement.failures)
        await patch_status(self._client, cluster, status, informer=self._sight.clusters)

    async def _ask(self, queries: Iterable[Query]) -> dict[str, Answer]:
        names: dict[str, set[str]] = {}
        providers: dict[str, MetricsProvider | GlobalMetricsProvider] = {}
        for query in queries:
            providers[query.provider.metadata.uid] = query.provider
            names.setdefault(query.provider.metadata.uid, set()).add(query.metric.provider.metric)
        answers = await asyncio.gather(*(self._ask_one(providers[uid], asked) for uid, asked in names.items()))
        return dict(zip(names, answers, strict=True))

    async def _ask_one(self, provider: MetricsProvider | GlobalMetricsProvider, names: set[str]) -> Answer:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                return await self._connect(provider.spec).fetch(names)
        except ProviderError as error:
            return error
        except TimeoutError:
            name = provider.metadata.name
            return ProviderError(f"The metrics provider '{name}' did not answer within {TIME_LIMIT:g} s.")
        except Exception:
            # A cluster must not stay unmeasured for ever because of an answer that nobody has thought of.
            log.exception("Asking %s failed.", provider.ref)
            return ProviderError(f"The metrics provider '{provider.metadata.name}' answered something that can not be read.")

    def _follow_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or _measurand(old) != _measurand(new) or _measurable(old) != _measurable(new):
            self._enqueue(obj.key)

    def _follow_metric(self, old: Metric | GlobalMetric | None, new: Metric | GlobalMetric | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or old.spec != new.spec:
            self._enqueue_users({obj.key})

    def _follow_provider(
        self, old: MetricsProvider | GlobalMetricsProvider | None, new: MetricsProvider | GlobalMetricsProvider | None
    ) -> None:
        obj = new or old
        assert obj is not None
        if old is not None and new is not None and old.spec == new.spec:
            return
        metrics: Informer[Metric] | Informer[GlobalMetric]
        metrics = self._sight.metrics if isinstance(obj, MetricsProvider) else self._sight.global_metrics
        named = Key(obj.metadata.namespace, obj.metadata.name)
        self._enqueue_users(
            {each.key for each in metrics.objects.values() if Key(each.key.namespace, each.spec.provider.name) == named}
        )

    def _enqueue_users(self, metrics: set[Key]) -> None:
        for key, cluster in self._sight.clusters.objects.items():
            if any(_metric_key(key.namespace, ref) in metrics for ref in cluster.spec.metrics):
                self._enqueue(key)


Measurand = tuple[str, tuple[MetricRef, ...]]
"""What is measured: the uid of a cluster and its metrics."""


def _measurand(cluster: Cluster) -> Measurand:
    return cluster.metadata.uid, tuple(cluster.spec.metrics)


def _measurable(cluster: Cluster) -> bool:
    usable = cluster.metadata.deleted is None and cluster.status.state in USABLE_STATES
    return usable and bool(cluster.spec.metrics)


def _metric_key(namespace: str | None, ref: MetricRef) -> Key:
    return Key(namespace if ref.namespaced else None, ref.name)
