"""What the workloads of an application and their Pods say about how it is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from krake.data.kubernetes import ContainerHealth
from krake.ports.cluster import Object

WORDS = 500
"""So many characters of a message are kept."""


class Verdict(Enum):
    """How an application is, the worst first: what is said of one workload holds for all."""

    FAILED = 1
    """A Job, or a Pod that is not started again, has failed."""
    DEGRADED = 2
    """Something keeps Pods from becoming ready."""
    RESTARTING = 3
    """A container has ended and is started again."""
    STARTING = 4
    """Not all Pods are ready, for no reason that could be seen."""
    READY = 5
    COMPLETED = 6
    """Everything that was to run has run."""


@dataclass(frozen=True)
class Health:
    """What was found.

    :param message: why it is not better.
    """

    verdict: Verdict
    message: str | None
    pods: ContainerHealth


@dataclass(frozen=True)
class _Finding:
    verdict: Verdict
    pods: ContainerHealth
    message: str | None = None


def assess(objects: Iterable[Object], pods: Iterable[Object]) -> Health:
    """Return how an application is.

    :param objects: that were declared.
    :param pods: of the application, declared or made for its workloads.
    """
    pods = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    findings = [finding for obj in objects if (finding := _examine(obj, pods)) is not None]
    total = ContainerHealth(
        desired_pods=sum(each.pods.desired_pods for each in findings),
        running_pods=sum(each.pods.running_pods for each in findings),
        completed_pods=sum(each.pods.completed_pods for each in findings),
        failed_pods=sum(each.pods.failed_pods for each in findings),
    )
    if not findings:
        return Health(Verdict.READY, None, total)
    worst = min(findings, key=lambda each: each.verdict.value)
    if worst.verdict not in (Verdict.DEGRADED, Verdict.STARTING):
        return Health(worst.verdict, worst.message, total)
    if trouble := next((text for pod in pods if (text := pod_trouble(pod))), None):
        return Health(Verdict.DEGRADED, trouble[:WORDS], total)
    if worst.verdict is Verdict.DEGRADED:
        return Health(worst.verdict, worst.message, total)
    if restarting := next((text for pod in pods if (text := pod_restarts(pod))), None):
        return Health(Verdict.RESTARTING, restarting, total)
    return Health(Verdict.STARTING, worst.message, total)


def pod_trouble(pod: Object) -> str | None:
    """Why a Pod does not become ready, in Kubernetes's words; ``None`` if nothing is wrong so far."""
    name, status = pod["metadata"]["name"], _map(pod, "status")
    for container in _containers(status):
        waiting = _map(_map(container, "state"), "waiting")
        reason = str(waiting.get("reason") or "")
        if reason.endswith(("BackOff", "Error")) or reason.startswith(("Err", "Invalid")):
            return f"Pod {name}, container {container.get('name')}: {_join(reason, waiting.get('message'))}"
    if status.get("phase") == "Failed" and not _belongs_to_job(pod):
        return f"Pod {name} failed: {_join(status.get('reason'), status.get('message') or _exit_of(status))}"
    unscheduled = _condition(status, "PodScheduled")
    if unscheduled.get("status") == "False" and unscheduled.get("reason") == "Unschedulable":
        return f"Pod {name}: {_join('Unschedulable', unscheduled.get('message'))}"
    return None


def pod_restarts(pod: Object) -> str | None:
    """Which container of a Pod has ended and is about to be started again; ``None`` if none is."""
    status = _map(pod, "status")
    if _map(pod, "spec").get("restartPolicy") == "Never" or status.get("phase") in ("Succeeded", "Failed"):
        return None
    for container in _list(status, "containerStatuses"):
        terminated = _map(_map(container, "state"), "terminated")
        if terminated:
            text = f"Pod {pod['metadata']['name']}, container {container.get('name')}"
            return f"{text} ended with exit code {terminated.get('exitCode')} and is started again"
    return None


def _examine(obj: Object, pods: list[Object]) -> _Finding | None:
    examine = _EXAMINERS.get((obj.get("apiVersion"), obj.get("kind")))
    return None if examine is None else examine(obj, pods)


def _examine_deployment(obj: Object, _: list[Object]) -> _Finding:
    spec, status = _map(obj, "spec"), _map(obj, "status")
    wanted, updated = _count(spec.get("replicas"), 1), _count(status.get("updatedReplicas"))
    ready = _count(status.get("readyReplicas"))
    done = _is_current(obj) and updated >= wanted and _count(status.get("replicas")) <= updated and ready >= wanted
    trouble = _condition(status, "ReplicaFailure", "True") or _condition(status, "Progressing", "False")
    return _finding(obj, wanted, ready, done=done, trouble=trouble if _is_current(obj) else {})


def _examine_replicas(obj: Object, _: list[Object]) -> _Finding:
    wanted, status = _count(_map(obj, "spec").get("replicas"), 1), _map(obj, "status")
    ready = _count(status.get("readyReplicas"))
    done = _is_current(obj) and ready >= wanted
    return _finding(obj, wanted, ready, done=done, trouble=_condition(status, "ReplicaFailure", "True"))


def _examine_daemon_set(obj: Object, _: list[Object]) -> _Finding:
    status = _map(obj, "status")
    wanted, ready = _count(status.get("desiredNumberScheduled")), _count(status.get("numberReady"))
    known = "desiredNumberScheduled" in status and _is_current(obj)
    done = known and ready >= wanted and _count(status.get("updatedNumberScheduled"), wanted) >= wanted
    return _finding(obj, wanted, ready, done=done, trouble={})


def _examine_job(obj: Object, _: list[Object]) -> _Finding:
    spec, status = _map(obj, "spec"), _map(obj, "status")
    health = ContainerHealth(
        desired_pods=_count(spec.get("completions"), _count(spec.get("parallelism"), 1)),
        running_pods=_count(status.get("active")),
        completed_pods=_count(status.get("succeeded")),
        failed_pods=_count(status.get("failed")),
    )
    if failure := _condition(status, "Failed", "True"):
        text = f"Job {obj['metadata']['name']} failed: {_join(failure.get('reason'), failure.get('message'))}"
        return _Finding(Verdict.FAILED, health, text[:WORDS])
    if _condition(status, "Complete", "True"):
        return _Finding(Verdict.COMPLETED, health)
    if health.running_pods or spec.get("suspend"):
        return _Finding(Verdict.READY, health)
    return _Finding(Verdict.STARTING, health, f"Job {obj['metadata']['name']} has not started yet")


def _examine_pod(obj: Object, _: list[Object]) -> _Finding:
    status = _map(obj, "status")
    phase, name = status.get("phase"), obj["metadata"]["name"]
    ready = phase == "Running" and _condition(status, "Ready", "True") != {}
    health = ContainerHealth(
        desired_pods=1, running_pods=int(ready), completed_pods=int(phase == "Succeeded"), failed_pods=int(phase == "Failed")
    )
    if phase == "Failed":
        text = _join(status.get("reason"), status.get("message") or _exit_of(status))
        return _Finding(Verdict.FAILED, health, f"Pod {name} failed: {text}"[:WORDS])
    if phase == "Succeeded":
        return _Finding(Verdict.COMPLETED, health)
    return _Finding(Verdict.READY if ready else Verdict.STARTING, health, None if ready else f"Pod {name} is not ready yet")


_EXAMINERS: dict[tuple[Any, Any], Callable[[Object, list[Object]], _Finding]] = {
    ("apps/v1", "Deployment"): _examine_deployment,
    ("apps/v1", "ReplicaSet"): _examine_replicas,
    ("apps/v1", "StatefulSet"): _examine_replicas,
    ("v1", "ReplicationController"): _examine_replicas,
    ("apps/v1", "DaemonSet"): _examine_daemon_set,
    ("batch/v1", "Job"): _examine_job,
    ("v1", "Pod"): _examine_pod,
}


def _finding(obj: Object, wanted: int, ready: int, *, done: bool, trouble: Mapping[str, Any]) -> _Finding:
    health = ContainerHealth(desired_pods=wanted, running_pods=ready)
    name = f"{obj['kind']} {obj['metadata']['name']}"
    if done:
        return _Finding(Verdict.READY, health)
    if trouble:
        return _Finding(Verdict.DEGRADED, health, f"{name}: {_join(trouble.get('reason'), trouble.get('message'))}"[:WORDS])
    return _Finding(Verdict.STARTING, health, f"{min(ready, wanted)} of {wanted} Pods of {name} are ready")


def _is_current(obj: Object) -> bool:
    """Whether the status is about the latest declaration."""
    return _count(_map(obj, "status").get("observedGeneration")) >= _count(obj["metadata"].get("generation"))


def _belongs_to_job(pod: Object) -> bool:
    return any(owner.get("kind") == "Job" for owner in _list(pod["metadata"], "ownerReferences"))


def _exit_of(status: Mapping[str, Any]) -> str:
    for container in _containers(status):
        terminated = _map(_map(container, "state"), "terminated")
        if terminated.get("exitCode"):
            said = _join(terminated.get("reason"), terminated.get("message"))
            return f"container {container.get('name')} ended with exit code {terminated['exitCode']} ({said})"
    return "its containers have ended"


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _list(status, "initContainerStatuses")
    yield from _list(status, "containerStatuses")


def _condition(status: Mapping[str, Any], type_: str, value: str | None = None) -> Mapping[str, Any]:
    for condition in _list(status, "conditions"):
        if condition.get("type") == type_ and (value is None or condition.get("status") == value):
            return condition
    return {}


def _join(reason: Any, message: Any) -> str:
    return ": ".join(str(part) for part in (reason, message) if part) or "for no reason given"


def _map(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = holder.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _count(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
