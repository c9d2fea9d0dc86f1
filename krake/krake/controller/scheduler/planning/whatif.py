"""What the scheduler would see if something were different: another situation, made of the present one by changes. Pure."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Snapshot
from krake.controller.scheduler.metrics.measuring import Catalog, metric_key, normalise
from krake.data import Metadata
from krake.data.core import MetricRef
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    Cluster,
    ClusterConstraints,
    ClusterState,
    Constraints,
)
from krake.data.plans import (
    ConstraintChange,
    LabelChange,
    MetricChange,
    PlannedApplication,
    PlanSpec,
    WeightChange,
)
from krake.ports.metrics import MetricError

T = TypeVar("T")

_NAMED = 5
"""So many names are offered to someone who has got one wrong."""


class Impossible(Exception):
    """There can be no such situation; the message says to the user why."""


@dataclass(frozen=True)
class Situation:
    """What the scheduler knows of a namespace.

    :param apps: all applications, by name.
    :param catalog: the metrics that are declared.
    """

    namespace: str | None
    snapshot: Snapshot
    apps: Mapping[str, Application]
    catalog: Catalog


def imagine(situation: Situation, spec: PlanSpec) -> Situation:
    """Return the situation with the changes that *spec* names; its ledger is one of its own.

    :raises Impossible: a name is wrong, or a change can not be.
    """
    steps = imagine_slowly(situation, spec)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: Situation = ended.value
            return found


def imagine_slowly(situation: Situation, spec: PlanSpec) -> Generator[None, None, Situation]:
    """Do the same step by step, so that others may have their turn: there may be a thousand changes of a thousand clusters."""
    changed = _Changes(situation)
    changes: tuple[tuple[Callable[[Any], object], Iterable[Any]], ...] = (
        (changed.apply_application, spec.applications),
        (changed.apply_constraint, spec.constraints),
        (changed.apply_label, spec.labels),
        (changed.apply_weight, spec.weights),
        (changed.apply_metric, spec.metrics),
        (changed.drain, spec.drain),
        (changed.lose, spec.lose),
        (changed.find_app, spec.explain),
    )
    for apply, wanted in changes:
        for each in wanted:
            apply(each)
            yield
    return changed.result()


class _Changes:
    """A situation that is being changed."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        # Before anything else: meanwhile the ledger goes on, and the applications are those of now.
        self._snapshot = situation.snapshot.fork()
        self._apps = dict(situation.apps)
        self._candidates = {each.ref.name: each for each in situation.snapshot.candidates}
        self._changed: set[str] = set()

    def result(self) -> Situation:
        """The situation as it is by now."""
        snapshot = self._snapshot
        if self._changed:
            snapshot = snapshot.changed(self._candidates[name] for name in self._changed)
        return replace(self._situation, snapshot=snapshot, apps=self._apps)

    def find_app(self, name: str) -> Application:
        """Return an application."""
        return _find("application", name, self._apps)

    def apply_application(self, change: PlannedApplication) -> None:
        """Let an application be as a user would have declared it just now."""
        app = self._apps.get(change.name)
        if app is None:
            metadata = Metadata(name=change.name, namespace=self._situation.namespace, created=self._now)
            constraints = Constraints(cluster=ClusterConstraints())
            app = Application(metadata=metadata, spec=ApplicationSpec(manifest=[], constraints=constraints))
        given = {name: getattr(change, name) for name in _DECLARED if getattr(change, name) is not None}
        if change.labels is not None:
            app = replace(app, metadata=replace(app.metadata, labels=change.labels))
        self._declare(replace(app, spec=replace(app.spec, **given)))

    def apply_constraint(self, change: ConstraintChange) -> None:
        """Let an application have other constraints."""
        app = self.find_app(change.application)
        given = {name: getattr(change, name) for name in ("labels", "metrics") if getattr(change, name) is not None}
        constraints = replace(app.spec.constraints, cluster=replace(app.spec.constraints.cluster, **given))
        self._declare(replace(app, spec=replace(app.spec, constraints=constraints)))

    def apply_label(self, change: LabelChange) -> None:
        """Let a cluster have another label."""
        cluster = self._find_candidate(change.cluster).cluster
        labels = {key: value for key, value in cluster.metadata.labels.items() if key != change.key}
        if change.value is not None:
            labels[change.key] = change.value
        self._put(replace(cluster, metadata=replace(cluster.metadata, labels=labels)))

    def apply_weight(self, change: WeightChange) -> None:
        """Let a metric count more or less at a cluster."""
        candidate = self._find_candidate(change.cluster)
        cluster, measurement = candidate.cluster, candidate.measurement
        refs = list(cluster.spec.metrics)
        position = next((index for index, ref in enumerate(refs) if ref.name == change.metric), None)
        if position is not None:
            refs[position] = replace(refs[position], weight=change.weight)
            readings = [
                replace(each, weight=change.weight) if each.name == change.metric else each for each in measurement.readings
            ]
        else:
            ref, reading = self._find_measured(change)
            refs.append(replace(ref, weight=change.weight))
            readings = [*measurement.readings, replace(reading, weight=change.weight)]
        cluster = replace(cluster, spec=replace(cluster.spec, metrics=refs))
        self._put(cluster, replace(measurement, readings=tuple(readings)))

    def _find_measured(self, change: WeightChange) -> tuple[MetricRef, Reading]:
        """Return a metric as it is measured for another cluster: it has the same value wherever it counts."""
        for each in self._candidates.values():
            ref = next((ref for ref in each.cluster.spec.metrics if ref.name == change.metric), None)
            reading = next((found for found in each.measurement.readings if found.name == change.metric), None)
            if ref is not None and reading is not None:
                return ref, reading
        raise Impossible(
            f"The cluster '{change.cluster}' has no metric '{change.metric}', and no other cluster has it with a value: "
            "plan with a metric that one of them has."
        )

    def apply_metric(self, change: MetricChange) -> None:
        """Let a metric have another value."""
        named = [self._find_candidate(change.cluster)] if change.cluster is not None else list(self._candidates.values())
        having = [each for each in named if any(ref.name == change.metric for ref in each.cluster.spec.metrics)]
        if not having:
            known = {ref.name for each in named for ref in each.cluster.spec.metrics}
            raise Impossible(
                _unknown("metric" if change.cluster is None else f"metric of '{change.cluster}'", change.metric, known)
            )
        for each in having:
            self._put(each.cluster, self._remeasure(each, change))

    def _remeasure(self, candidate: Candidate, change: MetricChange) -> Measurement:
        before, refs = candidate.measurement, candidate.cluster.spec.metrics
        found = {each.name: each for each in before.readings}
        ref = next(ref for ref in refs if ref.name == change.metric)
        found[change.metric] = self._read(ref, change.value)
        failures = {name: reason for name, reason in before.failures.items() if name != change.metric}
        excluded = before.excluded and any(ref.name in failures and self._excludes(ref) for ref in refs)
        readings = tuple(found[ref.name] for ref in refs if ref.name in found)
        return replace(before, readings=readings, failures=failures, excluded=excluded)

    def _read(self, ref: MetricRef, raw: float) -> Reading:
        metric = self._situation.catalog.metric(metric_key(self._situation.namespace, ref))
        if metric is None:
            raise Impossible(f"The metric '{ref.name}' is not declared: create it before you plan with it.")
        try:
            value = normalise(metric.spec, raw)
        except MetricError as error:
            raise Impossible(f"The metric '{ref.name}' can not be {raw:g}: {error}") from None
        return Reading(ref.name, raw, value, ref.weight, low=metric.spec.min, high=metric.spec.max)

    def _excludes(self, ref: MetricRef) -> bool:
        metric = self._situation.catalog.metric(metric_key(self._situation.namespace, ref))
        return metric is not None and metric.spec.on_failure == "exclude"

    def drain(self, name: str) -> None:
        """Let a cluster be drained."""
        cluster = self._find_candidate(name).cluster
        self._put(replace(cluster, spec=replace(cluster.spec, unschedulable=True, drain=True)))

    def lose(self, name: str) -> None:
        """Let a cluster, or those of a cloud, answer no more, for so long that nobody waits for them."""
        for each in self._find_lost(name):
            status = replace(each.cluster.status, state=ClusterState.OFFLINE)
            self._put(replace(each.cluster, status=status))

    def _find_lost(self, name: str) -> list[Candidate]:
        kind, _, rest = name.rpartition("/")
        on_cloud = [each for each in self._candidates.values() if rest in _clouds_of(each.cluster)]
        clusters = [each for each in self._candidates.values() if each.ref.name == rest]
        if kind == "cloud" and on_cloud:
            return on_cloud
        if kind == "cluster" and clusters:
            return clusters
        if kind or not (clusters or on_cloud):
            clouds = {cloud for each in self._candidates.values() for cloud in _clouds_of(each.cluster)}
            offered = {"cluster": self._candidates.keys(), "cloud": clouds}.get(kind, {*self._candidates, *clouds})
            raise Impossible(_unknown(kind or "cluster or cloud with clusters", rest if kind else name, offered))
        if clusters and on_cloud:
            raise Impossible(f"'{name}' is a cluster and a cloud: say cluster/{name} or cloud/{name}.")
        return clusters or on_cloud

    @property
    def _now(self) -> datetime:
        return self._situation.snapshot.now

    def _declare(self, app: Application) -> None:
        metadata = replace(app.metadata, modified=self._now, generation=app.metadata.generation + 1)
        self._apps[app.metadata.name] = replace(app, metadata=metadata)

    def _find_candidate(self, name: str) -> Candidate:
        return _find("cluster", name, self._candidates)

    def _put(self, cluster: Cluster, measurement: Measurement | None = None) -> None:
        before = self._candidates[cluster.metadata.name]
        after = replace(before, cluster=cluster, measurement=before.measurement if measurement is None else measurement)
        self._candidates[cluster.metadata.name] = after
        self._changed.add(cluster.metadata.name)


_DECLARED = ("manifest", "constraints", "tolerations", "priority")
"""The fields of a planned application that are those of a specification."""


def _clouds_of(cluster: Cluster) -> Iterator[str]:
    """Yield the names of the clouds that a cluster is on, or is to be on."""
    for place in (cluster.status.running_on, cluster.status.scheduled_to):
        if place is not None:
            yield place.name


def _find(what: str, name: str, known: Mapping[str, T]) -> T:
    try:
        return known[name]
    except KeyError:
        raise Impossible(_unknown(what, name, known)) from None


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    offered = ", ".join(sorted(known)[:_NAMED]) + (" …" if len(known) > _NAMED else "")
    return f"There is no {what} '{name}' in the namespace: " + (f"choose {offered}." if known else "there is none at all.")
