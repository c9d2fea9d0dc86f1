"""What state a cluster is in."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import NOW

from krake.controller.kubernetes.cluster.condition import Observation, Outage, conclude, explain, explain_error, judge
from krake.data import Metadata, Reason, ReasonCode, ResourceRef
from krake.data.infrastructure import InfrastructureStatus
from krake.data.kubernetes import (
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterSpec,
    ClusterState,
    ClusterStatus,
)
from krake.ports.cluster import ClusterError, Rejected, Unreachable

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


def see(*nodes: dict[str, Any], **rest: Any) -> Observation:
    return Observation(nodes, judge(nodes), **rest)


def others(count: int, **conditions: str) -> list[dict[str, Any]]:
    return [node(f"other-{number}", **(conditions or {"Ready": "True"})) for number in range(count)]


def tainted(key: str, *, effect: str = "NoSchedule", name: str = "t", **conditions: str) -> dict[str, Any]:
    return {**node(name, **conditions), "spec": {"taints": [{"key": key, "effect": effect}]}}


@pytest.mark.parametrize(
    "before", [State.PENDING, State.ONLINE, State.OFFLINE, State.CONNECTING, State.NOTREADY, State.DEGRADED]
)
@pytest.mark.parametrize(
    ("nodes", "after", "said"),
    [
        ([GOOD], State.ONLINE, None),
        ([], State.NOTREADY, "has no nodes"),
        ([node(Ready="False")], State.NOTREADY, "Node n is not ready: Ready is False."),
        ([node(Ready="Unknown")], State.NOTREADY, "Node n is not ready: Ready is Unknown."),
        ([node(MemoryPressure="False")], State.NOTREADY, "does not say that it is ready"),
        ([GOOD, node("z", DiskPressure="True", Ready="True")], State.UNHEALTHY, "Node z is under DiskPressure"),
        ([node("b", Ready="False"), node("a", PIDPressure="True")], State.UNHEALTHY, "Node a is under PIDPressure"),
        ([node("bad", Ready="False"), *others(2)], State.ONLINE, "Node bad is not ready: Ready is False (1 of 3 nodes are not"),
        ([node("bad", Ready="False"), *others(1)], State.NOTREADY, "1 of 2"),
        ([*others(4, Ready="False"), *others(5)], State.ONLINE, "4 of 9"),
        ([GOOD, tainted("node-role.kubernetes.io/control-plane", Ready="False")], State.ONLINE, None),
        ([GOOD, {**node("c", Ready="False"), "spec": {"unschedulable": True}}], State.ONLINE, None),
        ([GOOD, tainted("node.kubernetes.io/not-ready", Ready="False")], State.NOTREADY, "Node t is not ready"),
        ([{**GOOD, "spec": {"unschedulable": True}}], State.ONLINE, None),
    ],
)
def test_the_nodes_decide(before: State, nodes: list[dict[str, Any]], after: State, said: str | None) -> None:
    status = conclude(cluster(before, LOST), see(*nodes))
    assert status.state is after
    assert (status.reason is None) if said is None else said in str(status.reason)
    assert [each.metadata.name for each in status.nodes] == sorted(each["metadata"]["name"] for each in nodes)


def test_what_a_cluster_has_is_told() -> None:
    size = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    nodes = [{**node(name, Ready="True"), "status": {**GOOD["status"], "capacity": size, "allocatable": size}} for name in "ab"]
    nodes[1]["spec"] = {"unschedulable": True}
    status = conclude(cluster(State.PENDING), see(*nodes, version="v1.31.2", requested={"cpu": "1500m"}))
    assert status.kubernetes_version == "v1.31.2"
    assert status.capacity == {"cpu": "8", "memory": "16Gi", "pods": "220"}
    assert status.allocatable == {"cpu": "4", "memory": "8Gi", "pods": "110"}
    assert status.requested == {"cpu": "1500m"}


def test_a_cluster_that_does_not_answer_is_offline_and_keeps_its_nodes() -> None:
    online = replace(cluster(State.ONLINE), status=conclude(cluster(State.PENDING), see(GOOD, version="v1")))
    status = conclude(online, Outage(LOST, -1))
    assert (status.state, status.reason, status.retries, status.scheduled_retry) == (State.OFFLINE, LOST, -1, None)
    assert ([each.metadata.name for each in status.nodes], status.kubernetes_version) == (["n"], "v1")


def test_a_cluster_is_degraded_until_its_attempts_are_used_up() -> None:
    status = conclude(cluster(State.ONLINE), Outage(LOST, 2, NOW))
    assert (status.state, status.retries, status.scheduled_retry) == (State.DEGRADED, 2, NOW)
    status = conclude(replace(cluster(State.ONLINE), status=status), Outage(LOST, 0))
    assert (status.state, status.retries, status.scheduled_retry) == (State.OFFLINE, 0, None)
    status = conclude(replace(cluster(State.ONLINE), status=status), see(GOOD))
    assert (status.state, status.retries, status.scheduled_retry, status.reason) == (State.ONLINE, -1, None, None)


@pytest.mark.parametrize("before", [State.OFFLINE, State.CONNECTING, State.DEGRADED])
def test_a_cluster_that_is_back_is_not_believed_at_once(before: State) -> None:
    status = conclude(cluster(before, LOST), see(GOOD, settled=False))
    assert (status.state, status.reason) == (State.CONNECTING, None)


SIGHTS = [see(GOOD), see(GOOD, settled=False), see(node(Ready="False")), Outage(LOST, 0), Outage(LOST, 3, NOW)]


@pytest.mark.parametrize("seen", SIGHTS)
@pytest.mark.parametrize("before", [State.ONLINE, State.OFFLINE, State.FAILING_METRICS])
def test_the_state_tells_of_what_is_registered_now(before: State, seen: Observation | Outage) -> None:
    changed = cluster(before)
    changed = replace(changed, metadata=replace(changed.metadata, generation=3))
    assert conclude(changed, seen).observed_generation == 3


@pytest.mark.parametrize(("applied", "observed"), [({"size": 2}, 3), ({"size": 1}, 0)])
def test_the_state_does_not_tell_of_a_change_before_its_infrastructure(applied: dict[str, int], observed: int) -> None:
    provider = ResourceRef(api="infrastructure", kind="InfrastructureProvider", namespace="ns", name="im")
    changed = cluster(State.ONLINE, tosca=True)
    changed = replace(
        changed,
        metadata=replace(changed.metadata, generation=3),
        spec=replace(changed.spec, tosca={"size": 2, "description": None}),
        status=replace(changed.status, infrastructure=InfrastructureStatus(provider=provider), last_applied_tosca=applied),
    )
    assert conclude(changed, see(GOOD)).observed_generation == observed


@pytest.mark.parametrize("seen", SIGHTS)
@pytest.mark.parametrize("tosca", [False, True])
@pytest.mark.parametrize("before", State)
def test_what_was_written_is_not_written_again(before: State, seen: Observation | Outage, tosca: bool) -> None:
    once = conclude(cluster(before, tosca=tosca), seen)
    assert conclude(replace(cluster(before, tosca=tosca), status=once), seen) == once


def test_failing_metrics_stay_unless_something_is_worse() -> None:
    failing = cluster(State.FAILING_METRICS)
    assert conclude(failing, see(GOOD)).state is State.FAILING_METRICS
    assert conclude(failing, see(node(Ready="False"))).state is State.NOTREADY
    assert conclude(failing, Outage(LOST, -1)).state is State.OFFLINE


@pytest.mark.parametrize(
    "state", [State.CREATING, State.RECONCILING, State.DELETING, State.FAILING_RECONCILIATION, State.FAILED]
)
def test_the_infrastructure_controller_is_not_interrupted(state: State) -> None:
    busy = cluster(state, tosca=True)
    assert conclude(busy, see(GOOD)) == busy.status
    assert conclude(cluster(state), see(GOOD)).state is State.ONLINE


def test_a_cluster_that_is_being_deleted_is_left_alone() -> None:
    leaving = cluster(State.ONLINE)
    leaving = replace(leaving, metadata=replace(leaving.metadata, deleted=NOW))
    assert conclude(leaving, Outage(LOST, -1)) == leaving.status


def test_reasons_of_others_stay() -> None:
    theirs = Reason(code=ReasonCode.UNKNOWN_METRIC, message="x")
    assert conclude(cluster(State.ONLINE, theirs), see(GOOD)).reason == theirs


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Unreachable("It does not answer."), ReasonCode.CLUSTER_NOT_REACHABLE, "It does not answer."),
        (Rejected(401, "Unauthorized", "Unauthorized"), ReasonCode.KUBERNETES_ERROR, "Unauthorized; update the cluster with a"),
        (
            Rejected(403, "Forbidden", "nodes is forbidden"),
            ReasonCode.KUBERNETES_ERROR,
            "let its user get, list and watch nodes",
        ),
        (Rejected(500, "InternalError", "etcd is gone"), ReasonCode.KUBERNETES_ERROR, "etcd is gone"),
        (ClusterError("odd"), ReasonCode.KUBERNETES_ERROR, "odd"),
    ],
)
def test_errors_say_what_to_do(error: ClusterError, code: ReasonCode, said: str) -> None:
    reason = explain_error(error)
    assert reason.code is code
    assert said in reason.message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["conditions", "type", "status", "capacity", "allocatable", "cpu", "taints", "effect"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.lists(st.tuples(anything, anything), max_size=4))
def test_no_node_is_too_strange(parts: list[tuple[Any, Any]]) -> None:
    nodes = [{"metadata": {"name": f"n{i}"}, "spec": spec, "status": status} for i, (spec, status) in enumerate(parts)]
    status = conclude(cluster(State.PENDING), see(*nodes))
    assert ClusterStatus.deserialize(json.loads(json.dumps(status.serialize()))) == status
    assert (status.state is State.ONLINE) or explain(nodes) is not None


healths = st.sampled_from([{"Ready": "True"}, {"Ready": "False"}, {"Ready": "True", "DiskPressure": "True"}])


@given(st.lists(healths, min_size=1, max_size=9))
def test_a_cluster_is_online_as_long_as_more_than_half_of_its_nodes_are_well(conditions: list[dict[str, str]]) -> None:
    nodes = [node(f"n{number}", **each) for number, each in enumerate(conditions)]
    well = conditions.count({"Ready": "True"})
    assert (judge(nodes) is State.ONLINE) is (2 * well > len(nodes))
    assert judge(nodes) is judge(nodes[::-1])
