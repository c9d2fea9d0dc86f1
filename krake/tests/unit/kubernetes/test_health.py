"""What workloads and Pods say about how an application is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.kubernetes.application.health import WORDS, Verdict, assess
from krake.data.kubernetes import ApplicationStatus, ContainerHealth

NEW, OLD = "2026-01-01T00:00:09Z", "2026-01-01T00:00:00Z"
API = {"Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1", "ReplicationController": "v1", "PersistentVolumeClaim": "v1"}


def workload(kind: str = "Deployment", spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    status = {"observedGeneration": 1, **status} if kind not in ("Pod", "PersistentVolumeClaim") else status
    return {
        "apiVersion": API.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": "x", "generation": 1},
        "spec": spec or {},
        "status": status,
    }


def deployment(wanted: int, ready: int, updated: int | None = None, total: int | None = None, **status: Any) -> dict[str, Any]:
    updated = wanted if updated is None else updated
    total = updated if total is None else total
    return workload(spec={"replicas": wanted}, replicas=total, readyReplicas=ready, updatedReplicas=updated, **status)


def stateful_set(ready: int, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return workload("StatefulSet", {"replicas": 3, **(spec or {})}, readyReplicas=ready, **status)


def rollout(updated: int, **strategy: Any) -> dict[str, Any]:
    revisions = {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": updated}
    return stateful_set(3, {"updateStrategy": strategy} if strategy else None, **revisions)


def pod(
    phase: str = "Pending",
    name: str = "x-hash-1",
    owner: str = "ReplicaSet/x-hash",
    made: str = OLD,
    spec: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    **status: Any,
) -> dict[str, Any]:
    kind, _, owner_name = owner.partition("/")
    metadata = {
        "name": name,
        "creationTimestamp": made,
        "labels": {"pod-template-hash": owner_name.rpartition("-")[2], **(labels or {})},
        "ownerReferences": [{"kind": kind, "name": owner_name}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec or {}, "status": {"phase": phase, **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]}


def ended(code: int = 1, reason: str = "Error") -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": code, "reason": reason}}}]}


def condition(type_: str, status: str, message: str = "why", reason: str = "Because") -> dict[str, Any]:
    return {"conditions": [{"type": type_, "status": status, "reason": reason, "message": message}]}


STUCK = pod(**waiting("CrashLoopBackOff"))


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
        (deployment(2, 0, observedGeneration=0, **condition("ReplicaFailure", "True")), Verdict.STARTING, (2, 0, 0, 0)),
        (workload(spec={"paused": True}, replicas=1, readyReplicas=1), Verdict.READY, (1, 1, 0, 0)),
        (workload(), Verdict.STARTING, (1, 0, 0, 0)),
        (stateful_set(3), Verdict.READY, (3, 3, 0, 0)),
        (stateful_set(2), Verdict.STARTING, (3, 2, 0, 0)),
        (rollout(1), Verdict.STARTING, (3, 3, 0, 0)),
        (rollout(3), Verdict.READY, (3, 3, 0, 0)),
        (rollout(1, rollingUpdate={"partition": 2}), Verdict.READY, (3, 3, 0, 0)),
        (rollout(0, type="OnDelete"), Verdict.READY, (3, 3, 0, 0)),
        (workload("ReplicaSet", {"replicas": 3}, readyReplicas=1), Verdict.STARTING, (3, 1, 0, 0)),
        (workload("ReplicationController", {"replicas": 2}, readyReplicas=2), Verdict.READY, (2, 2, 0, 0)),
        (workload("DaemonSet", desiredNumberScheduled=2, numberReady=2), Verdict.READY, (2, 2, 0, 0)),
        (workload("DaemonSet", desiredNumberScheduled=2, numberReady=1), Verdict.STARTING, (2, 1, 0, 0)),
        (
            workload("DaemonSet", desiredNumberScheduled=2, numberReady=2, updatedNumberScheduled=1),
            Verdict.STARTING,
            (2, 2, 0, 0),
        ),
        (workload("DaemonSet"), Verdict.STARTING, (0, 0, 0, 0)),
        (workload("Job", active=1), Verdict.READY, (1, 1, 0, 0)),
        (workload("Job"), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("Job", {"suspend": True}), Verdict.READY, (1, 0, 0, 0)),
        (workload("Job", {"completions": 2}, succeeded=2, **condition("Complete", "True")), Verdict.COMPLETED, (2, 0, 2, 0)),
        (workload("Job", failed=3, **condition("Failed", "True")), Verdict.FAILED, (1, 0, 0, 3)),
        (workload("CronJob"), Verdict.READY, (0, 0, 0, 0)),
        (workload("CronJob", active=[{"name": "x-1"}]), Verdict.READY, (1, 1, 0, 0)),
        (workload("Pod", phase="Running", **condition("Ready", "True")), Verdict.READY, (1, 1, 0, 0)),
        (workload("Pod", phase="Running", **condition("Ready", "False")), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("Pod"), Verdict.STARTING, (1, 0, 0, 0)),
        (workload("Pod", phase="Succeeded"), Verdict.COMPLETED, (1, 0, 1, 0)),
        (workload("Pod", phase="Failed"), Verdict.FAILED, (1, 0, 0, 1)),
        (workload("Pod", **waiting("ImagePullBackOff")), Verdict.DEGRADED, (1, 0, 0, 0)),
        (workload("Pod", phase="Running", **ended()), Verdict.RESTARTING, (1, 0, 0, 0)),
        (workload("PersistentVolumeClaim", phase="Bound"), Verdict.READY, (0, 0, 0, 0)),
        (workload("PersistentVolumeClaim", phase="Pending"), Verdict.READY, (0, 0, 0, 0)),
        (workload("PersistentVolumeClaim", phase="Lost"), Verdict.DEGRADED, (0, 0, 0, 0)),
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


def test_a_pod_says_why_its_workload_is_not_ready() -> None:
    troubled = pod(**waiting("ImagePullBackOff", "no such image"))
    health = assess([deployment(1, 0)], [pod(name="other"), troubled])
    assert health.verdict is Verdict.DEGRADED
    assert health.message == "Pod x-hash-1, container main: ImagePullBackOff: its image can not be pulled: no such image"
    assert assess([deployment(1, 1)], [troubled]).verdict is Verdict.READY


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"])
def test_all_workloads_know_their_pods(kind: str) -> None:
    unready = workload(kind, desiredNumberScheduled=1)
    assert assess([unready], [pod(owner=f"{kind}/x", **waiting("CrashLoopBackOff"))]).verdict is Verdict.DEGRADED
    assert assess([unready], [pod(owner=f"{kind}/y", **waiting("CrashLoopBackOff"))]).verdict is Verdict.STARTING
    assert assess([unready], [pod(owner="Job/x", **waiting("CrashLoopBackOff"))]).verdict is Verdict.STARTING


def test_a_container_that_has_ended_is_started_again() -> None:
    assert assess([deployment(1, 0)], [pod("Running", **ended())]).verdict is Verdict.RESTARTING


def test_pods_on_their_way_out_say_nothing() -> None:
    leaving = pod(**waiting("CrashLoopBackOff"))
    leaving["metadata"]["deletionTimestamp"] = NEW
    health = assess([deployment(1, 0)], [leaving])
    assert (health.verdict, health.message) == (
        Verdict.STARTING,
        "0 of 1 Pods of Deployment x are ready: Pod x-hash-1 is still being stopped",
    )


def test_pods_of_an_earlier_rollout_say_nothing_once_there_are_new_ones() -> None:
    new = pod(name="x-next-1", owner="ReplicaSet/x-next", made=NEW)
    assert assess([deployment(1, 0)], [STUCK, new]).verdict is Verdict.STARTING
    assert assess([deployment(1, 0)], [STUCK]).verdict is Verdict.DEGRADED
    assert assess([deployment(1, 0, observedGeneration=0)], [STUCK]).verdict is Verdict.STARTING


def test_rollouts_that_follow_each_other_within_a_second_are_not_told_apart() -> None:
    new = pod(name="a-1", owner="ReplicaSet/x-next", **waiting("ImagePullBackOff"))
    assert assess([deployment(1, 0)], [pod("Running", name="z"), new]).verdict is Verdict.DEGRADED


def test_a_rollout_that_is_stuck_is_told_though_the_old_pods_still_serve() -> None:
    new = pod(name="x-next-1", owner="ReplicaSet/x-next", made=NEW, **waiting("ImagePullBackOff"))
    health = assess([deployment(2, 2, updated=1, total=3)], [pod("Running"), new])
    assert health.verdict is Verdict.DEGRADED
    assert "x-next-1" in str(health.message)


def test_an_earlier_pod_of_a_stateful_set_holds_up_the_new_version() -> None:
    old = pod(owner="StatefulSet/x", labels={"controller-revision-hash": "a"}, **waiting("CrashLoopBackOff"))
    health = assess([stateful_set(2, updateRevision="b", currentRevision="a")], [old])
    assert health.verdict is Verdict.DEGRADED
    assert "holds up the new one until it is deleted" in str(health.message)


def test_a_quota_is_told() -> None:
    quota = condition("ReplicaFailure", "True", 'pods "x" is forbidden: exceeded quota: tight', "FailedCreate")
    health = assess([deployment(2, 0, **quota)], [])
    assert health.message == 'Deployment x: FailedCreate: pods "x" is forbidden: exceeded quota: tight'


def test_a_claim_without_a_volume_is_told_to_those_who_wait() -> None:
    claim = workload("PersistentVolumeClaim", {"storageClassName": "fast"}, phase="Pending")
    health = assess([deployment(1, 0), claim], [])
    assert health.verdict is Verdict.STARTING
    assert str(health.message).endswith("PersistentVolumeClaim x has no volume yet (of storage class fast)")
    assert assess([deployment(1, 1), claim], []).verdict is Verdict.READY


@pytest.mark.parametrize(
    ("pods", "status", "verdict", "said"),
    [
        ([pod(owner="Job/x", **waiting("ImagePullBackOff"))], {"active": 1}, Verdict.DEGRADED, "ImagePullBackOff"),
        ([pod(owner="Job/x", **waiting("ContainerCreating"))], {"active": 1}, Verdict.STARTING, "is being created"),
        ([pod("Running", owner="Job/x")], {"active": 1}, Verdict.READY, None),
        ([pod("Failed", owner="Job/x", **ended(3)), pod("Running", owner="Job/x")], {"active": 1}, Verdict.READY, None),
        ([pod("Failed", owner="Job/x", **ended(3))], {"failed": 1}, Verdict.RESTARTING, "exit code 3 (Error); Job x tries"),
        (
            [pod("Failed", owner="Job/x", **ended(3))],
            {"failed": 7, **condition("Failed", "True", "limit reached", "BackoffLimitExceeded")},
            Verdict.FAILED,
            "Job x failed: BackoffLimitExceeded: limit reached; Pod x-hash-1 failed: container main ended with exit code 3",
        ),
        (
            [],
            condition("Failed", "True", "Job was active longer than specified deadline", "DeadlineExceeded"),
            Verdict.FAILED,
            "DeadlineExceeded",
        ),
    ],
)
def test_jobs(pods: list[dict[str, Any]], status: dict[str, Any], verdict: Verdict, said: str | None) -> None:
    health = assess([workload("Job", **status)], pods)
    assert health.verdict is verdict
    assert health.message is None if said is None else said in str(health.message)


def test_the_latest_job_of_a_cron_job_counts() -> None:
    def job(name: str, made: str, **status: Any) -> dict[str, Any]:
        references = [{"kind": "CronJob", "name": "x"}]
        return {
            **workload("Job", **status),
            "metadata": {"name": name, "creationTimestamp": made, "ownerReferences": references},
        }

    failed = condition("Failed", "True")
    done = condition("Complete", "True")
    cron = workload("CronJob")
    assert assess([cron], [job("x-1", OLD, **failed), job("x-2", NEW, **done)]).verdict is Verdict.READY
    health = assess([cron], [job("x-1", OLD, **done), job("x-2", NEW, **failed)])
    assert (health.verdict, health.message) == (Verdict.DEGRADED, "Job x-2 failed: Because: why")
    stuck = pod(owner="Job/x-2", **waiting("ImagePullBackOff"))
    assert assess([cron], [job("x-2", NEW, active=1), stuck]).verdict is Verdict.DEGRADED
    assert assess([workload("CronJob", {"suspend": True})], [job("x-2", NEW, **failed)]).verdict is Verdict.READY


KEYS = [
    "conditions", "type", "status", "state", "waiting", "terminated", "reason", "message", "exitCode", "replicas",
    "active", "phase", "containerStatuses", "initContainerStatuses", "name", "ownerReferences", "kind",
    "labels", "generation", "deletionTimestamp", "creationTimestamp", "restartPolicy", "updateStrategy", "updateRevision",
]  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["True", "Failed", "Pending"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)
states = st.dictionaries(st.sampled_from(["waiting", "terminated", "running"]), anything)
containers = st.lists(st.fixed_dictionaries({"state": states | anything}, optional={"name": anything, "lastState": states}))
statuses = anything | st.fixed_dictionaries(
    {"phase": st.sampled_from(["Pending", "Running", "Failed"]) | anything},
    optional={"containerStatuses": containers, "initContainerStatuses": containers, "conditions": anything},
)
metadata = st.fixed_dictionaries(
    {"name": st.just("x")},
    optional={
        "ownerReferences": st.lists(st.fixed_dictionaries({"kind": st.sampled_from(list(API))}, optional={"name": anything})),
        "labels": anything,
        "generation": anything,
        "creationTimestamp": anything,
        "namespace": anything,
    },
)
KINDS = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", *API]


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), metadata, anything, statuses), min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from(["Pod", "Job"]), metadata, anything, statuses), max_size=3),
)
def test_no_status_is_too_strange(objects: list[Any], made: list[Any]) -> None:
    def build(kind: str, metadata: Any, spec: Any, status: Any) -> dict[str, Any]:
        return {"apiVersion": API.get(kind, "apps/v1"), "kind": kind, "metadata": metadata, "spec": spec, "status": status}

    health = assess([build(*each) for each in objects], [build(*each) for each in made])
    assert health.verdict in Verdict
    assert len(health.message or "") <= WORDS
    assert "\n" not in (health.message or "")
    assert ApplicationStatus.deserialize(json.loads(json.dumps({"container_health": health.pods.serialize()})))
