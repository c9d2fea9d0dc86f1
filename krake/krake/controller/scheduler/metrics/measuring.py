"""Makes readings of what metrics providers answer, or says what is wrong. Pure.

What is known of a metric is a `Track`: its last valid value, and what is wrong since then. `advance` adds an answer to it, and
`measure` makes of the tracks what counts for a resource with some metrics, by the rules that the metrics have for failures.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from krake.controller.scheduler.deciding.snapshot import Measurement, Reading
from krake.data import Key, Reason, ReasonCode
from krake.data.core import GlobalMetric, GlobalMetricsProvider, Metric, MetricRef, MetricSpec, MetricsProvider
from krake.data.record import Record
from krake.ports.metrics import MetricError, ProviderError, Sample

Provider = MetricsProvider | GlobalMetricsProvider

AnyMetric = Metric | GlobalMetric

Answer = Sample | MetricError | ProviderError | None
"""What came of asking a provider for a name; ``None`` if it knows none of it."""


@dataclass(frozen=True)
class Catalog:
    """All metrics and providers that are declared; those that are global under keys without a namespace."""

    metrics: Mapping[Key, Metric]
    providers: Mapping[Key, MetricsProvider]
    global_metrics: Mapping[Key, GlobalMetric]
    global_providers: Mapping[Key, GlobalMetricsProvider]

    def metric(self, key: Key) -> AnyMetric | None:
        """The metric of a key."""
        return self.global_metrics.get(key) if key.namespace is None else self.metrics.get(key)

    def provider(self, key: Key) -> Provider | None:
        """The provider of a key."""
        return self.global_providers.get(key) if key.namespace is None else self.providers.get(key)


@dataclass(frozen=True)
class Track:
    """What is known of a metric that its provider was asked for.

    :param source: the uid of the provider, and the name it knows the metric by.
    :param sample: the last valid value.
    :param at: when that came, in seconds of a clock that only goes forward.
    :param failure: what is wrong since then.
    """

    source: tuple[str, str]
    sample: Sample | None = None
    at: float = 0.0
    failure: Reason | None = None


def metric_key(namespace: str | None, ref: MetricRef) -> Key:
    """Return the key of the metric that a reference made in *namespace* means."""
    return Key(namespace if ref.namespaced else None, ref.name)


def provider_key(metric: AnyMetric) -> Key:
    """Return the key of the provider of a metric: it is where the metric is."""
    return Key(metric.metadata.namespace, metric.spec.provider.name)


def source_of(metric: AnyMetric, provider: Provider) -> tuple[str, str]:
    """Return the `Track.source` of a metric as it is declared now."""
    return provider.metadata.uid, metric.spec.provider.metric


def advance(track: Track | None, metric: AnyMetric, provider: Provider, answer: Answer, now: float) -> Track:
    """Return what is known of a metric after its provider has answered; what was known of another source is forgotten."""
    source = source_of(metric, provider)
    known = track if track is not None and track.source == source else Track(source)
    if isinstance(answer, ProviderError):
        return replace(known, failure=Reason(code=ReasonCode.UNREACHABLE_METRICS_PROVIDER, message=str(answer)))
    try:
        if answer is None:
            name = metric.spec.provider.metric
            raise MetricError(f"The metrics provider '{provider.metadata.name}' has no value of '{name}'.")
        if isinstance(answer, MetricError):
            raise answer
        normalise(metric.spec, answer.value)
    except MetricError as error:
        return replace(known, failure=Reason(code=ReasonCode.INVALID_METRIC, message=str(error)))
    return Track(source, answer, now)


def measure(
    namespace: str | None, refs: Iterable[MetricRef], catalog: Catalog, tracks: Mapping[Key, Track], now: float
) -> Measurement | None:
    """Return what counts for a resource with metrics; ``None`` while a provider of one of them has yet to be asked.

    :param namespace: of the resource.
    :param tracks: by the keys of the metrics.
    """
    readings: list[Reading] = []
    failures: dict[str, Reason] = {}
    excluded = False
    for ref in refs:
        finding = find(metric_key(namespace, ref), catalog, tracks, now)
        if finding is None:
            return None
        excluded = excluded or finding.excludes
        if finding.failure is not None:
            failures[ref.name] = finding.failure
        if finding.reading is not None:
            readings.append(replace(finding.reading, weight=ref.weight))
    return Measurement(tuple(readings), failures, excluded)


@dataclass(frozen=True)
class Finding:
    """What is to be said of a metric: its reading, with a weight of 0, or what is wrong, or both."""

    reading: Reading | None = None
    failure: Reason | None = None
    excludes: bool = False

    @property
    def gist(self) -> object:
        """What is the same as long as nothing has changed but the time, except for the minutes that a last value is old."""
        if self.reading is None:
            return None, self.failure, self.excludes
        minutes = 0.0 if self.failure is None else self.reading.age // 60
        return replace(self.reading, age=60 * minutes), self.failure, self.excludes


def find(key: Key, catalog: Catalog, tracks: Mapping[Key, Track], now: float) -> Finding | None:
    """Return what is to be said of a metric now; ``None`` if its provider has yet to be asked."""
    metric = catalog.metric(key)
    if metric is None:
        message = f"The metric '{key.name}' was not found in the Krake database."
        return Finding(failure=Reason(code=ReasonCode.UNKNOWN_METRIC, message=message))
    track = tracks.get(key)
    if catalog.provider(provider_key(metric)) is None:
        message = f"The metrics provider '{metric.spec.provider.name}' was not found in the Krake database."
        failure = Reason(code=ReasonCode.UNKNOWN_METRICS_PROVIDER, message=message)
        return _judge(key.name, metric.spec, replace(track or Track(("", "")), failure=failure), now)
    return None if track is None else _judge(key.name, metric.spec, track, now)


def _judge(name: str, metric: MetricSpec, track: Track, now: float) -> Finding:
    sample, failure = track.sample, track.failure
    if failure is not None:
        if metric.on_failure == "exclude":
            return Finding(None, failure, excludes=True)
        if metric.on_failure == "ignore" or (expiry := expiry_of(metric, track)) is None or expiry <= now:
            return Finding(None, failure)
    if sample is None:
        return Finding()
    try:
        value = normalise(metric, sample.value)
    except MetricError as error:
        # The range of the metric was changed after the value came.
        return Finding(None, failure or Reason(code=ReasonCode.INVALID_METRIC, message=str(error)))
    lasting = None if failure is None else f"the last valid value, as there is no newer one: {failure.message}"
    remarks = [sample.note, _remark_range(metric, sample.value), lasting]
    note = "; ".join(filter(None, remarks)) or None
    age = max(now - track.at, 0.0)
    return Finding(Reading(name, sample.value, value, 0.0, age, note, metric.min, metric.max), failure)


def expiry_of(metric: MetricSpec, track: Track) -> float | None:
    """Return when the last value ceases to count; ``None`` if there is none that counts until something else happens."""
    if track.failure is None or track.sample is None or metric.on_failure != "last_value":
        return None
    return track.at + metric.max_age


def normalise(metric: MetricSpec, raw: float) -> float:
    """Return ``(raw - min) / (max - min)``; where the metric says so, a value outside of the range counts as its nearest end.

    :raises MetricError: *raw* is not a valid value of the metric.
    """
    if not math.isfinite(raw):
        raise MetricError(f"The value {raw:g} is no number to compare by.")
    if metric.out_of_range != "clamp" and not metric.min <= raw <= metric.max:
        raise MetricError(f"The value {raw:g} is outside of the range from {metric.min:g} to {metric.max:g}.")
    if metric.allowed_values and raw not in metric.allowed_values:
        allowed = ", ".join(map(str, metric.allowed_values))
        raise MetricError(f"The value {raw:g} is none of the allowed ones: {allowed}.")
    # Halved, so that the difference of two huge numbers is still a number.
    extent = metric.max / 2 - metric.min / 2
    nearest = min(max(raw, metric.min), metric.max)
    value = (nearest / 2 - metric.min / 2) / extent if extent > 0 else math.nan
    if not math.isfinite(value):
        raise MetricError(f"The range from {metric.min:g} to {metric.max:g} is empty.")
    return value


def _remark_range(metric: MetricSpec, raw: float) -> str | None:
    if metric.min <= raw <= metric.max:
        return None
    end, limit = ("below the minimum", metric.min) if raw < metric.min else ("above the maximum", metric.max)
    return f"{end} of {limit:g}, as which it counts"


S = TypeVar("S", bound=Record)


def report(status: S, failures: Mapping[str, Reason]) -> S:
    """Return the status of a resource whose metrics were measured: of a cluster, a cloud or a project.

    The state belongs to whoever looks after the resource; it is only moved between ONLINE and FAILING_METRICS, so that nothing
    that is said of it out of order is lost.
    """
    seen: Any = status
    states = type(seen.state)
    before, after = states.FAILING_METRICS, states.ONLINE
    if failures:
        before, after = after, before
    state = after if seen.state is before else seen.state
    return replace(status, **{"metrics_reasons": dict(failures), "state": state})
