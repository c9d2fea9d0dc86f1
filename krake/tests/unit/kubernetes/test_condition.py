"""What state a cluster is in."""

from dataclasses import replace
from typing import Any

import pytest
from unit.kubernetes.applications import NOW

from krake.controller.kubernetes.cluster.condition import Observation, conclude
from krake.data import Metadata, Reason, ReasonCode
from krake.data.kubernetes import (
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterSpec,
    ClusterState,
    ClusterStatus,
)

State = ClusterState
LOST = Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message="It does not answer.")


def node(name: str = "n", **conditions: str) -> dict[str, Any]:
    told = [
        {"type": type_, "status": status, "reason": "r", "message": f"{type_} is {status}"}
        for type_, status in conditions.items()
    ]
    return {"metadata": {"name": name}, "status": {"conditions": told}}


def cluster(state: State, reason: Reason | None = None, tosca: bool = False) -> Cluster:
    constraints = ClusterCloudConstraints(cloud=CloudConstraints())
    return Cluster(
        metadata=Metadata(name="c", namespace="red"),
        spec=ClusterSpec(constraints=constraints, tosca={"x": 1} if tosca else {}),
        status=ClusterStatus(state=state, reason=reason),
    )


GOOD = node(Ready="True", MemoryPressure="False")


@pytest.mark.parametrize(
    "before", [State.PENDING, State.ONLINE, State.OFFLINE, State.CONNECTING, State.NOTREADY, State.DEGRADED]
)
@pytest.mark.parametrize(
    ("nodes", "after", "said"),
    [
        ([GOOD], State.ONLINE, None),
        ([], State.ONLINE, None),
        ([node(Ready="False")], State.NOTREADY, "Node n is not ready: Ready is False."),
        ([node(Ready="Unknown")], State.NOTREADY, "Node n is not ready: Ready is Unknown."),
        ([GOOD, node("z", DiskPressure="True", Ready="True")], State.UNHEALTHY, "Node z is under DiskPressure"),
        ([node("b", Ready="False"), node("a", PIDPressure="True")], State.UNHEALTHY, "Node a is under PIDPressure"),
    ],
)
def test_the_nodes_decide(before: State, nodes: list[dict[str, Any]], after: State, said: str | None) -> None:
    status = conclude(cluster(before, LOST), Observation(tuple(nodes)))
    assert status.state is after
    assert (status.reason is None) if said is None else said in str(status.reason)
    assert [each.metadata.name for each in status.nodes] == sorted(each["metadata"]["name"] for each in nodes)


def test_a_cluster_that_does_not_answer_is_offline_and_keeps_its_nodes() -> None:
    online = replace(cluster(State.ONLINE), status=conclude(cluster(State.PENDING), Observation((GOOD,))))
    status = conclude(online, Observation(None, LOST))
    assert (status.state, status.reason) == (State.OFFLINE, LOST)
    assert [each.metadata.name for each in status.nodes] == ["n"]


@pytest.mark.parametrize(("before", "after"), [(State.OFFLINE, State.CONNECTING), (State.CONNECTING, State.CONNECTING)])
def test_a_cluster_that_is_back_is_not_believed_at_once(before: State, after: State) -> None:
    status = conclude(cluster(before, LOST), Observation((GOOD,), settled=False))
    assert (status.state, status.reason) == (after, None)


@pytest.mark.parametrize("seen", [Observation((GOOD,)), Observation((GOOD,), settled=False), Observation(None, LOST)])
@pytest.mark.parametrize("before", [State.ONLINE, State.OFFLINE, State.FAILING_METRICS])
def test_the_state_tells_of_what_is_registered_now(before: State, seen: Observation) -> None:
    changed = cluster(before)
    changed = replace(changed, metadata=replace(changed.metadata, generation=3))
    assert conclude(changed, seen).observed_generation == 3


def test_failing_metrics_stay_unless_something_is_worse() -> None:
    failing = cluster(State.FAILING_METRICS)
    assert conclude(failing, Observation((GOOD,))).state is State.FAILING_METRICS
    assert conclude(failing, Observation((node(Ready="False"),))).state is State.NOTREADY
    assert conclude(failing, Observation(None, LOST)).state is State.OFFLINE


@pytest.mark.parametrize(
    "state", [State.CREATING, State.RECONCILING, State.DELETING, State.FAILING_RECONCILIATION, State.FAILED]
)
def test_the_infrastructure_controller_is_not_interrupted(state: State) -> None:
    busy = cluster(state, tosca=True)
    assert conclude(busy, Observation((GOOD,))) == busy.status
    assert conclude(cluster(state), Observation((GOOD,))).state is State.ONLINE


def test_a_cluster_that_is_being_deleted_is_left_alone() -> None:
    leaving = cluster(State.ONLINE)
    leaving = replace(leaving, metadata=replace(leaving.metadata, deleted=NOW))
    assert conclude(leaving, Observation(None, LOST)) == leaving.status


def test_reasons_of_others_stay() -> None:
    theirs = Reason(code=ReasonCode.UNKNOWN_METRIC, message="x")
    assert conclude(cluster(State.ONLINE, theirs), Observation((GOOD,))).reason == theirs


@pytest.mark.parametrize("status", [None, [], {"conditions": None}, {"conditions": [None, {}]}, {"conditions": 3}])
def test_no_node_is_too_strange(status: Any) -> None:
    strange = {"metadata": {"name": "n"}, "status": status}
    assert conclude(cluster(State.PENDING), Observation((strange,))).state is State.ONLINE
