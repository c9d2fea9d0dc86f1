"""Makes readings of what metrics providers answer, or says what is wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from krake.controller.scheduler.snapshot import Measurement, Reading
from krake.data import Key, Reason, ReasonCode
from krake.data.core import GlobalMetric, GlobalMetricsProvider, Metric, MetricRef, MetricSpec, MetricsProvider
from krake.data.kubernetes import ClusterState, ClusterStatus
from krake.ports.metrics import MetricError, ProviderError


@dataclass(frozen=True)
class Catalog:
    """All metrics and providers that are declared."""

    metrics: Mapping[Key, Metric]
    providers: Mapping[Key, MetricsProvider]
    global_metrics: Mapping[Key, GlobalMetric]
    global_providers: Mapping[Key, GlobalMetricsProvider]


@dataclass(frozen=True)
class Query:
    """A metric that a provider is asked for on behalf of a reference."""

    ref: MetricRef
    metric: MetricSpec
    provider: MetricsProvider | GlobalMetricsProvider


Answer = Mapping[str, float | MetricError] | ProviderError
"""What came of asking a provider: values by its own names, or why it could not be asked."""


def find_query(namespace: str | None, ref: MetricRef, catalog: Catalog) -> Query | Reason:
    """Return what to ask whom for a reference made in *namespace*, or what is missing for it."""
    metric: Metric | GlobalMetric | None
    provider: MetricsProvider | GlobalMetricsProvider | None
    if ref.namespaced:
        metric = catalog.metrics.get(Key(namespace, ref.name))
        provider = catalog.providers.get(Key(namespace, metric.spec.provider.name)) if metric else None
    else:
        metric = catalog.global_metrics.get(Key(None, ref.name))
        provider = catalog.global_providers.get(Key(None, metric.spec.provider.name)) if metric else None
    if metric is None:
        return Reason(code=ReasonCode.UNKNOWN_METRIC, message=f"The metric '{ref.name}' was not found in the Krake database.")
    if provider is None:
        message = f"The metrics provider '{metric.spec.provider.name}' was not found in the Krake database."
        return Reason(code=ReasonCode.UNKNOWN_METRICS_PROVIDER, message=message)
    return Query(ref, metric.spec, provider)


def measure(queries: Mapping[MetricRef, Query | Reason], answers: Mapping[str, Answer]) -> Measurement:
    """Return the readings of a cluster.

    :param queries: by reference, in the order of the cluster.
    :param answers: by the uid of the provider.
    """
    readings: list[Reading] = []
    failures: dict[str, Reason] = {}
    for ref, query in queries.items():
        finding = query if isinstance(query, Reason) else _read(query, answers[query.provider.metadata.uid])
        if isinstance(finding, Reason):
            failures[ref.name] = finding
        else:
            readings.append(finding)
    return Measurement(tuple(readings), failures)


def _read(query: Query, answer: Answer) -> Reading | Reason:
    if isinstance(answer, ProviderError):
        return Reason(code=ReasonCode.UNREACHABLE_METRICS_PROVIDER, message=str(answer))
    try:
        raw = _value_of(query, answer)
        value = normalise(query.metric, raw)
    except MetricError as error:
        return Reason(code=ReasonCode.INVALID_METRIC, message=str(error))
    return Reading(query.ref.name, raw, value, query.ref.weight)


def _value_of(query: Query, values: Mapping[str, float | MetricError]) -> float:
    name, provider = query.metric.provider.metric, query.provider.metadata.name
    value = values.get(name, MetricError(f"The metrics provider '{provider}' has no value of '{name}'."))
    if isinstance(value, MetricError):
        raise value
    return value


def normalise(metric: MetricSpec, raw: float) -> float:
    """Return ``(raw - min) / (max - min)``.

    :raises MetricError: *raw* is not a valid value of the metric.
    """
    if not metric.min <= raw <= metric.max:
        raise MetricError(f"The value {raw:g} is outside of the range from {metric.min:g} to {metric.max:g}.")
    if metric.allowed_values and raw not in metric.allowed_values:
        allowed = ", ".join(map(str, metric.allowed_values))
        raise MetricError(f"The value {raw:g} is none of the allowed ones: {allowed}.")
    # Halved, so that the difference of two huge numbers is still a number.
    extent = metric.max / 2 - metric.min / 2
    value = (raw / 2 - metric.min / 2) / extent if extent > 0 else math.nan
    if not math.isfinite(value):
        raise MetricError(f"The range from {metric.min:g} to {metric.max:g} is empty.")
    return value


def report(status: ClusterStatus, failures: Mapping[str, Reason]) -> ClusterStatus:
    """Return the status of a cluster whose metrics were measured.

    The state belongs to the cluster controller; it is only moved between ONLINE and FAILING_METRICS, so that nothing that is
    said of a cluster out of order is lost.
    """
    before, after = ClusterState.FAILING_METRICS, ClusterState.ONLINE
    if failures:
        before, after = after, before
    return replace(status, metrics_reasons=dict(failures), state=after if status.state is before else status.state)
