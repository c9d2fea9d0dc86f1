"""Random worlds for the scheduler: applications and clusters of which some fit and some do not."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Settings, Snapshot
from krake.data import Key, Metadata, Reason, ReasonCode
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationState,
    ApplicationStatus,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterConstraints,
    ClusterSpec,
    ClusterState,
    ClusterStatus,
    Constraints,
)
from krake.data.taints import Taint, Toleration

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLUSTERS = ("east", "north", "south", "west")
ZONES = ("a", "b")
RESOURCES = ("crontabs.example.com", "queues.example.com")
METRICS = ("load", "latency")


def make_cluster(name: str, *, labels: dict[str, str] | None = None, namespace: str = "red", **more: Any) -> Cluster:
    """A cluster that is ONLINE unless said otherwise."""
    return Cluster(
        metadata=Metadata(name=name, namespace=namespace, labels=labels or {}, deleted=more.get("deleted")),
        spec=ClusterSpec(
            custom_resources=more.get("custom_resources", []),
            constraints=ClusterCloudConstraints(cloud=CloudConstraints()),
            metrics=more.get("metrics", []),
            unschedulable=more.get("unschedulable", False),
            drain=more.get("drain", False),
            taints=[read_taint(text) for text in more.get("taints", [])],
        ),
        status=ClusterStatus(state=more.get("state", ClusterState.ONLINE)),
    )


def read_taint(text: str) -> Taint:
    """A taint, as ``key=value:Effect``."""
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    return Taint(key=key, value=value, effect=effect)


def make_candidate(name: str, readings: dict[str, tuple[float, float]] | None = None, **more: Any) -> Candidate:
    """A cluster with readings of 0..1, each as value and weight."""
    measured = tuple(Reading(metric, value, value, weight) for metric, (value, weight) in (readings or {}).items())
    measurement = Measurement(measured, more.get("failures", {}), more.get("excluded", False))
    return Candidate(make_cluster(name, **more), measurement, more.get("awaited", False), more.get("steady_from"))


def make_app(*, current: str | None = None, age: float | None = None, **more: Any) -> Application:
    """An application; *age* is how many seconds ago it was placed on *current*."""
    asks = ClusterConstraints(
        labels=[LabelConstraint.parse(text) for text in more.get("labels", [])],
        custom_resources=more.get("custom_resources", []),
        metrics=[MetricConstraint.parse(text) for text in more.get("metrics", [])],
    )
    return Application(
        metadata=Metadata(name="app", namespace="red", modified=NOW),
        spec=ApplicationSpec(
            manifest=[],
            constraints=Constraints(cluster=asks, migration=more.get("migration", True)),
            backoff=more.get("backoff", 1),
            backoff_delay=more.get("backoff_delay", 1),
            backoff_limit=more.get("backoff_limit", -1),
            tolerations=[Toleration(**each) for each in more.get("tolerations", [])],
        ),
        status=ApplicationStatus(
            scheduled_to=Cluster.definition.ref(Key("red", current)) if current else None,
            running_on=Cluster.definition.ref(Key("red", more["running_on"])) if more.get("running_on") else None,
            scheduled=None if age is None else NOW - timedelta(seconds=age),
            migration_timeout=more.get("migration_timeout", 0),
            state=more.get("state", ApplicationState.PENDING),
            kube_controller_triggered=more.get("triggered"),
            retries=more.get("retries"),
        ),
    )


TAINTS = ("gpu=yes:NoSchedule", "old:PreferNoSchedule", "fire:NoExecute")
TOLERATIONS: tuple[dict[str, str], ...] = (
    {"key": "gpu", "value": "yes"},
    {"key": "fire", "operator": "Exists"},
    {"operator": "Exists", "effect": "PreferNoSchedule"},
)

weights = st.floats(0, 10) | st.sampled_from([0.0, 1.0, -1.0, 1e308])
readings = st.dictionaries(st.sampled_from(METRICS), st.tuples(st.floats(0, 1), weights))
NO_COST = {"cost": Reason(code=ReasonCode.INVALID_METRIC, message="no value")}
failures = st.just({}) | st.just(NO_COST)


@st.composite
def candidates(draw: st.DrawFn, name: str) -> Candidate:
    return make_candidate(
        name,
        draw(readings),
        labels=draw(st.dictionaries(st.just("zone"), st.sampled_from(ZONES))),
        namespace=draw(st.sampled_from(["red", "red", "red", "blue"])),
        custom_resources=draw(st.lists(st.sampled_from(RESOURCES), unique=True)),
        state=draw(
            st.sampled_from([ClusterState.ONLINE, ClusterState.ONLINE, ClusterState.FAILING_METRICS, ClusterState.OFFLINE])
        ),
        deleted=draw(st.sampled_from([None, None, None, NOW])),
        failures=draw(failures),
        unschedulable=draw(st.sampled_from([False, False, True])),
        drain=draw(st.sampled_from([False, False, True])),
        taints=draw(st.lists(st.sampled_from(TAINTS), max_size=2)),
        excluded=draw(st.sampled_from([False, False, False, True])),
        steady_from=draw(st.sampled_from([None, None, NOW, NOW + timedelta(seconds=9)])),
        awaited=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    names = draw(st.lists(st.sampled_from(CLUSTERS), unique=True))
    stickiness = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return Snapshot(NOW, tuple(draw(candidates(name)) for name in names), Settings(stickiness, timedelta(seconds=60)))


@st.composite
def apps(draw: st.DrawFn) -> Application:
    return make_app(
        current=draw(st.sampled_from([None, *CLUSTERS])),
        running_on=draw(st.sampled_from([None, *CLUSTERS])),
        tolerations=draw(st.lists(st.sampled_from(TOLERATIONS), max_size=2)),
        age=draw(st.sampled_from([None, 0, 59, 61, -3600, 1e6])),
        labels=draw(st.lists(st.sampled_from(["zone is a", "zone in (a, b)", "zone is not b", "rack is 1"]), max_size=1)),
        custom_resources=draw(st.lists(st.sampled_from(RESOURCES), max_size=1)),
        metrics=draw(st.lists(st.sampled_from(["load > 0.5", "latency <= 0.9", "load is 0.7", "cost < 1"]), max_size=1)),
        migration=draw(st.sampled_from([True, True, False])),
        state=draw(st.sampled_from([ApplicationState.RUNNING, ApplicationState.MIGRATING])),
        migration_timeout=draw(st.sampled_from([0, 0, int(NOW.timestamp()) + 30, 10**30])),
    )
