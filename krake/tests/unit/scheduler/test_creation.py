"""When an application had better wait for a cluster that is yet to be created."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.clouds import make_cloud, refs
from unit.scheduler.worlds import NOW, make_app, make_candidate, make_cluster

from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Snapshot
from krake.controller.scheduler.provisioning.creation import (
    FAILED_RETENTION,
    Template,
    as_online,
    find_better,
    is_coming,
    is_new,
    name_of,
    remaining,
    stand_in,
)
from krake.controller.scheduler.provisioning.creation import (
    make_cluster as make_new,
)
from krake.data.infrastructure import CloudState, CloudStatus
from krake.data.kubernetes import Application, Cluster, ClusterState

TEMPLATE = Template({"tosca_definitions_version": "tosca_simple_yaml_1_0"}, ["queues.example.com"])
PATIENCE = timedelta(seconds=600)
State = ClusterState


def created(name: str = "cluster-1", state: State = State.PENDING, **status: Any) -> Cluster:
    cluster = make_new(make_app(), name, TEMPLATE)
    return replace(cluster, status=replace(cluster.status, state=state, **status))


def new(load: float | None = None, app: Application | None = None, **labels: str) -> Candidate:
    cluster = stand_in(app or make_app(), make_cloud("cloud", labels=labels, metrics=refs("load")), TEMPLATE)
    return Candidate(cluster, Measurement(() if load is None else (Reading("load", load, load, 1.0),)))


def coming(load: float | None = None, name: str = "cluster-1") -> Candidate:
    return Candidate(as_online(created(name)), Measurement(() if load is None else (Reading("load", load, load, 1.0),)))


def choose(app: Application, present: list[Candidate], *imagined: Candidate) -> str | None:
    snapshot = Snapshot(NOW, tuple(present))
    found = find_better(app, decide(app, snapshot), snapshot, imagined)
    return None if found is None else "new" if is_new(found) else found.name


@pytest.mark.parametrize(
    ("reason", "present", "imagined", "chosen"),
    [
        ("nothing is there", [], [new()], "new"),
        ("nothing can be made", [], [], None),
        ("what is there is as good", [make_candidate("here")], [new()], None),
        ("what is there is better", [make_candidate("here", {"load": (0.9, 1)})], [new(0.5)], None),
        ("the cloud is better", [make_candidate("here", {"load": (0.5, 1)})], [new(0.9)], "new"),
        ("one is coming that is as good", [], [coming(0.5), new(0.5)], "cluster-1"),
        ("one is coming, but a new one is better", [], [coming(0.4), new(0.5)], "new"),
        ("two are coming", [], [coming(name="cluster-2"), coming(name="cluster-1")], "cluster-1"),
        ("what is there is out of order", [make_candidate("here", state=State.OFFLINE)], [new()], "new"),
    ],
)
def test_the_choice(reason: str, present: list[Candidate], imagined: list[Candidate], chosen: str | None) -> None:
    assert choose(make_app(), present, *imagined) == chosen


def test_only_what_will_fit_is_waited_for() -> None:
    picky = make_app(labels=["zone is a"])
    assert choose(picky, [], new(zone="b")) is None
    assert choose(picky, [], new(zone="a")) == "new"
    assert choose(make_app(custom_resources=["queues.example.com"]), [], new()) == "new"
    assert choose(make_app(custom_resources=["crontabs.example.com"]), [], new()) is None


def test_a_stand_in_can_not_be_mistaken_for_a_cluster() -> None:
    assert is_new(new().ref)
    assert not is_new(coming().ref)


def test_a_created_cluster_asks_its_cloud_for_what_the_application_asks_for() -> None:
    app = make_app(labels=["zone is a"], metrics=["load < 0.5"])
    cluster = make_new(app, "cluster-1", TEMPLATE)
    wanted = cluster.spec.constraints.cloud
    assert [str(each) for each in (*(wanted.labels or ()), *(wanted.metrics or ()))] == ["zone is a", "load < 0.5"]
    assert (cluster.metadata.inherit_labels, cluster.spec.inherit_metrics, cluster.spec.auto_generated) == (True, True, True)
    assert cluster.key.namespace == app.key.namespace
    hasty = make_new(app, "cluster-1", replace(TEMPLATE, backoff_limit=1, backoff_delay=5)).spec
    assert (hasty.backoff, hasty.backoff_delay, hasty.backoff_limit) == (2, 5, 1)


@given(st.integers(0, 5))
def test_names_are_the_same_every_time_and_never_taken(number: int) -> None:
    app, taken = make_app(), set[str]()
    for _ in range(number):
        taken.add(name_of(app, taken))
    assert len(taken) == number
    assert name_of(app, taken) == name_of(app, taken) not in taken


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (created(state=State.PENDING), True),
        (created(state=State.CREATING), True),
        (created(state=State.CONNECTING), True),
        (created(state=State.ONLINE), False),
        (created(state=State.FAILED), True),
        (created(state=State.FAILED, scheduled_to=make_cloud("c").ref), False),
        (created(state=State.OFFLINE, state_changed=NOW - PATIENCE / 2), True),
        (created(state=State.OFFLINE, state_changed=NOW - PATIENCE * 2), False),
        (make_cluster("registered", state=State.PENDING), False),
    ],
)
def test_what_is_worth_waiting_for(cluster: Cluster, expected: bool) -> None:
    assert is_coming(cluster, make_cloud("c"), NOW, PATIENCE) == expected
    assert is_coming(cluster, None, NOW, PATIENCE) == expected
    assert not is_coming(replace(cluster, metadata=replace(cluster.metadata, deleted=NOW)), None, NOW, PATIENCE)


@pytest.mark.parametrize(
    ("checked", "state", "expected"),
    [
        (NOW - PATIENCE / 2, State.CREATING, True),
        (NOW - PATIENCE * 2, State.CREATING, False),
        (NOW - PATIENCE * 2, State.PENDING, False),
        (NOW - PATIENCE * 2, State.ONLINE, False),
    ],
)
def test_a_cloud_that_is_offline_is_not_waited_for_long(checked: datetime, state: State, expected: bool) -> None:
    cloud = make_cloud("c")
    offline = replace(cloud, status=CloudStatus(state=CloudState.OFFLINE, checked=checked))
    cluster = created(state=state, scheduled_to=cloud.ref)
    cluster = replace(cluster, metadata=replace(cluster.metadata, created=NOW - PATIENCE * 3))
    assert is_coming(cluster, offline, NOW, PATIENCE) == expected
    assert is_coming(cluster, cloud, NOW, PATIENCE) == (state is not State.ONLINE)


@pytest.mark.parametrize(
    ("idle", "state", "retention", "rest"),
    [
        (None, State.ONLINE, 600, None),
        (0, State.ONLINE, 600, 600),
        (400, State.ONLINE, 600, 200),
        (900, State.ONLINE, 600, 0),
        (0, State.ONLINE, 0, 0),
        (0, State.FAILED, 0, FAILED_RETENTION.total_seconds()),
        (0, State.FAILED, 600, 600),
    ],
)
def test_how_long_an_idle_cluster_is_kept(idle: int | None, state: State, retention: int, rest: float | None) -> None:
    since = None if idle is None else NOW - timedelta(seconds=idle)
    found = remaining(created(state=state, idle_since=since), NOW, timedelta(seconds=retention))
    assert (None if found is None else found.total_seconds()) == rest
