"""What workloads and Pods say about how an application is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.kubernetes.application.health import Verdict, assess, pod_restarts, pod_trouble
from krake.data.kubernetes import ContainerHealth


def workload(kind: str = "Deployment", spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    api_version = {"Job": "batch/v1", "Pod": "v1"}.get(kind, "apps/v1")
    status = {"observedGeneration": 1, **status} if kind != "Pod" else status
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "generation": 1},
        "spec": spec or {},
        "status": status,
    }


def deployment(wanted: int, ready: int, updated: int | None = None, total: int | None = None, **status: Any) -> dict[str, Any]:
    updated = wanted if updated is None else updated
    total = updated if total is None else total
    return workload(spec={"replicas": wanted}, replicas=total, readyReplicas=ready, updatedReplicas=updated, **status)


def pod(phase: str = "Pending", policy: str = "Always", owner: str | None = None, **state: Any) -> dict[str, Any]:
    statuses = [{"name": "main", "state": state}] if state else []
    owners = [{"kind": owner}] if owner else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x-1", "ownerReferences": owners},
        "spec": {"restartPolicy": policy},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


def condition(type_: str, status: str, message: str = "why") -> dict[str, Any]:
    return {"conditions": [{"type": type_, "status": status, "reason": "Because", "message": message}]}


@pytest.mark.parametrize(
    ("obj", "verdict", "pods"),
    [
        (deployment(2, 2), Verdict.READY, (2, 2, 0, 0)),
        (deployment(2, 1), Verdict.STARTING, (2, 1, 0, 0)),
        (deployment(0, 0), Verdict.READY, (0, 0, 0, 0)),
        (deployment(2, 2, updated=1, total=2), Verdict.STARTING, (2, 2, 0, 0)),
        (deployment(1, 1, updated=1, total=2), Verdict.STARTING, (1, 1, 0, 0)),
        (deployment(2, 2, observedGeneration=0), Verdict.STARTING, (2, 2, 0, 0)),
        (deployment(2, 0, **condition("ReplicaFailure", "True")), Verdict.DEGRADED, (2, 0, 0, 0)),
        (deployment(2, 1, **condition("Progressing", "False")), Verdict.DEGRADED, (2, 1, 0, 0)),
        (workload(), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("StatefulSet", {"replicas": 3}, readyReplicas=3), Verdict.READY, (3, 3, 0, 0)),
        (workload("ReplicaSet", {"replicas": 3}, readyReplicas=1), Verdict.STARTING, (3, 1, 0, 0)),
        (workload("DaemonSet", desiredNumberScheduled=2, numberReady=2), Verdict.READY, (2, 2, 0, 0)),
        (workload("DaemonSet", desiredNumberScheduled=2, numberReady=1), Verdict.STARTING, (2, 1, 0, 0)),
        (workload("DaemonSet"), Verdict.STARTING, (0, 0, 0, 0)),
        (workload("Job", active=1), Verdict.READY, (1, 1, 0, 0)),
        (workload("Job"), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("Job", {"suspend": True}), Verdict.READY, (1, 0, 0, 0)),
        (workload("Job", {"completions": 2}, succeeded=2, **condition("Complete", "True")), Verdict.COMPLETED, (2, 0, 2, 0)),
        (workload("Job", failed=3, **condition("Failed", "True")), Verdict.FAILED, (1, 0, 0, 3)),
        (workload("Pod", phase="Running", **condition("Ready", "True")), Verdict.READY, (1, 1, 0, 0)),
        (workload("Pod", phase="Running", **condition("Ready", "False")), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("Pod"), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("Pod", phase="Succeeded"), Verdict.COMPLETED, (1, 0, 1, 0)),
        (workload("Pod", phase="Failed"), Verdict.FAILED, (1, 0, 0, 1)),
        (workload("ConfigMap"), Verdict.READY, (0, 0, 0, 0)),
    ],
)
def test_one_workload(obj: dict[str, Any], verdict: Verdict, pods: tuple[int, int, int, int]) -> None:
    health = assess([obj], [])
    assert health.verdict is verdict
    names = ("desired_pods", "running_pods", "completed_pods", "failed_pods")
    assert health.pods == ContainerHealth(**dict(zip(names, pods, strict=True)))
    assert (health.message is None) is (verdict in (Verdict.READY, Verdict.COMPLETED))


def test_pods_are_summed_and_the_worst_workload_counts() -> None:
    job = workload("Job", succeeded=1, **condition("Complete", "True"))
    health = assess([deployment(2, 2), job, deployment(3, 1)], [])
    assert health.verdict is Verdict.STARTING
    assert health.message == "1 of 3 Pods of Deployment x are ready"
    assert (health.pods.desired_pods, health.pods.running_pods, health.pods.completed_pods) == (6, 3, 1)
    assert assess([deployment(2, 2), job], []).verdict is Verdict.READY
    assert assess([job, workload("ConfigMap")], []).verdict is Verdict.COMPLETED


def test_a_pod_says_why_a_workload_is_not_ready() -> None:
    troubled = pod(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"})
    health = assess([deployment(1, 0)], [pod(), troubled])
    assert health.verdict is Verdict.DEGRADED
    assert health.message == "Pod x-1, container main: ImagePullBackOff: Back-off pulling image"
    assert assess([deployment(1, 1)], [troubled]).verdict is Verdict.READY


def test_a_container_that_has_ended_is_started_again() -> None:
    ended = pod("Running", terminated={"exitCode": 1})
    assert assess([deployment(1, 0)], [ended]).verdict is Verdict.RESTARTING
    assert pod_restarts(pod("Running", "Never", terminated={"exitCode": 1})) is None


def test_pods_on_their_way_out_say_nothing() -> None:
    leaving = pod(waiting={"reason": "CrashLoopBackOff"})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert assess([deployment(1, 0)], [leaving]).verdict is Verdict.STARTING


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(waiting={"reason": "CrashLoopBackOff"}), "CrashLoopBackOff"),
        (pod(waiting={"reason": "ErrImagePull"}), "ErrImagePull"),
        (pod(waiting={"reason": "CreateContainerConfigError", "message": "no such secret"}), "no such secret"),
        (pod(waiting={"reason": "InvalidImageName"}), "InvalidImageName"),
        (pod("Failed", terminated={"exitCode": 3, "reason": "Error"}), "exit code 3"),
        (pod(waiting={"reason": "ContainerCreating"}), None),
        (pod("Failed", owner="Job"), None),
        (pod("Running", running={}), None),
    ],
)
def test_pods_and_their_troubles(found: dict[str, Any], said: str | None) -> None:
    trouble = pod_trouble(found)
    assert trouble is None if said is None else said in str(trouble)


def test_a_pod_that_fits_on_no_node() -> None:
    waiting = pod()
    waiting["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    ]
    assert pod_trouble(waiting) == "Pod x-1: Unschedulable: 0/1 nodes are available"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["conditions", "state", "replicas"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(["Deployment", "DaemonSet", "Job", "Pod"]), json, json)
def test_no_status_is_too_strange(kind: str, spec: Any, status: Any) -> None:
    obj = {**workload(kind), "spec": spec, "status": status}
    assert assess([obj], [{**obj, "kind": "Pod"}]).verdict in Verdict
