"""Says in the status of clusters, clouds and projects which of their metrics can not be read."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from krake.client import Client
from krake.controller.runtime import Controller, Informer, Recorder, Result, patch_status
from krake.controller.scheduler.metrics.measuring import metric_key, report
from krake.controller.scheduler.metrics.meter import Meter
from krake.data import Key, Reason
from krake.data.core import MetricRef
from krake.data.events import normal, warning
from krake.data.kinds import Resource

R = TypeVar("R", bound=Resource)

METRICS = "metrics"
"""Index of whatever has metrics, by their keys."""

INTERVAL = 60.0
"""Seconds after which a resource is looked at again, and within which a message is not written for its numbers only."""


class Reporter(Generic[R]):
    """Keeps the state and the reasons of all resources of a kind in line with what the meter knows.

    :param metrics: returns the metrics of a resource.
    """

    def __init__(
        self,
        client: Client,
        informer: Informer[R],
        meter: Meter,
        recorder: Recorder,
        metrics: Callable[[R], Sequence[MetricRef]],
        workers: int = 5,
    ) -> None:
        self._client = client
        self._informer = informer
        self._meter = meter
        self._recorder = recorder
        self._metrics = metrics
        self._written: dict[Key, float] = {}
        name = f"metrics of {informer.kind.definition.plural}"
        self.controller: Controller[Key] = Controller(name, self.reconcile, workers, reads=[informer])
        informer.index(METRICS, self._keys)
        informer.on_change(self._follow)
        meter.on_change(self._follow_metrics)

    def users(self, metrics: frozenset[Key]) -> set[Key]:
        """Return the keys of those that have one of some metrics."""
        return {obj.key for metric in metrics for obj in self._informer.lookup(METRICS, metric)}

    async def reconcile(self, key: Key) -> Result | None:
        """Write what is wrong with the metrics of a resource."""
        obj = self._informer.get(key)
        if obj is None or obj.metadata.deleted is not None:
            self._written.pop(key, None)
            return None
        refs = self._metrics(obj)
        measurement = self._meter.measure(obj.metadata.namespace, refs)
        if measurement is None:
            return Result(INTERVAL)  # or as soon as the meter knows
        status: Any = getattr(obj, "status")  # noqa: B009 (not every kind has one)
        told, found = status.metrics_reasons, measurement.failures
        after = report(status, found)
        if after == status:
            return Result(INTERVAL) if refs else None
        now = time.monotonic()
        news = after.state is not status.state or _codes(told) != _codes(found)
        if not news and (wait := self._written.get(key, -INTERVAL) + INTERVAL - now) > 0:
            return Result(wait)
        await patch_status(self._client, obj, after, informer=self._informer)
        self._written[key] = now
        self._tell(obj, told, found)
        return Result(INTERVAL)

    def _tell(self, obj: R, told: Mapping[str, Reason], found: Mapping[str, Reason]) -> None:
        new = {name: reason for name, reason in found.items() if _codes(told).get(name) is not reason.code}
        if new:
            listed = "; ".join(f"{name}: {reason.message}" for name, reason in sorted(new.items()))
            self._recorder.record(obj, warning("FailingMetrics", listed))
        elif told and not found:
            self._recorder.record(obj, normal("MetricsRecovered", "All of its metrics can be read again."))

    def _keys(self, obj: R) -> Sequence[Key]:
        return [metric_key(obj.metadata.namespace, ref) for ref in self._metrics(obj)]

    def _follow(self, old: R | None, new: R | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or self._concerns(old) != self._concerns(new):
            self.controller.enqueue(obj.key)

    def _concerns(self, obj: R) -> object:
        status: Any = getattr(obj, "status")  # noqa: B009
        return obj.metadata.uid, obj.metadata.deleted, self._metrics(obj), status.state, status.metrics_reasons

    def _follow_metrics(self, metrics: frozenset[Key]) -> None:
        for key in self.users(metrics):
            self.controller.enqueue(key)


def _codes(reasons: Mapping[str, Reason]) -> dict[str, object]:
    return {name: reason.code for name, reason in reasons.items()}
