"""What the workloads of an application and their Pods say about how it is. Pure.

Nothing that a status holds is taken for granted: what makes no sense counts as absent.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from krake.controller.kubernetes.application.pods import delay_of, end_of, restart_of, trouble_of
from krake.controller.kubernetes.fields import Fields, condition, count, mapping, mappings, name_of, said, text
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


def assess(objects: Iterable[Object], made: Iterable[Object]) -> Health:
    """Return how an application is.

    :param objects: that were declared.
    :param made: Pods of the application, declared or made for its workloads, and Jobs that were made for CronJobs.
    """
    objects, made = list(objects), list(made)
    findings = [finding for obj in objects if (finding := _examine(obj, made)) is not None]
    total = _sum(each.pods for each in findings)
    if not findings:
        return Health(Verdict.READY, None, total)
    worst = min(findings, key=lambda each: each.verdict.value)
    message = worst.message
    if worst.verdict in (Verdict.DEGRADED, Verdict.STARTING) and (waiting := _waiting_claims(objects)):
        message = f"{message}; {waiting}"
    return Health(worst.verdict, message[:WORDS] if message else None, total)


def _sum(parts: Iterable[ContainerHealth]) -> ContainerHealth:
    parts = list(parts)
    return ContainerHealth(
        desired_pods=count(sum(each.desired_pods for each in parts)),
        running_pods=count(sum(each.running_pods for each in parts)),
        completed_pods=count(sum(each.completed_pods for each in parts)),
        failed_pods=count(sum(each.failed_pods for each in parts)),
    )


def _examine(obj: Object, made: list[Object]) -> _Finding | None:
    examine = _EXAMINERS.get((text(obj.get("apiVersion")), text(obj.get("kind"))))
    return None if examine is None else examine(obj, [each for each in made if _is_made_for(each, obj)])


# -- workloads that keep Pods running ----------------------------------------------------------------------------------


def _examine_deployment(obj: Object, pods: list[Object]) -> _Finding:
    spec, status = mapping(obj, "spec"), mapping(obj, "status")
    wanted, updated = count(spec.get("replicas"), 1), count(status.get("updatedReplicas"))
    ready = count(status.get("readyReplicas"))
    rolled_out = updated >= wanted and count(status.get("replicas")) <= updated
    done = _is_current(obj) and ready >= wanted and (rolled_out or spec.get("paused") is True)
    trouble = condition(status, "ReplicaFailure", "True") or condition(status, "Progressing", "False")
    return _judge(obj, wanted, ready, _of_latest_rollout(pods), done=done, trouble=trouble)


def _examine_replicas(obj: Object, pods: list[Object]) -> _Finding:
    wanted, status = count(mapping(obj, "spec").get("replicas"), 1), mapping(obj, "status")
    ready = count(status.get("readyReplicas"))
    done = _is_current(obj) and ready >= wanted
    return _judge(obj, wanted, ready, pods, done=done, trouble=condition(status, "ReplicaFailure", "True"))


def _examine_stateful_set(obj: Object, pods: list[Object]) -> _Finding:
    spec, status = mapping(obj, "spec"), mapping(obj, "status")
    wanted, ready = count(spec.get("replicas"), 1), count(status.get("readyReplicas"))
    strategy, revision = mapping(spec, "updateStrategy"), text(status.get("updateRevision"))
    rolled_out = True
    if revision and revision != status.get("currentRevision") and strategy.get("type") != "OnDelete":
        kept = count(mapping(strategy, "rollingUpdate").get("partition"))
        rolled_out = count(status.get("updatedReplicas")) >= wanted - kept
    done = _is_current(obj) and ready >= wanted and rolled_out
    finding = _judge(obj, wanted, ready, pods, done=done, trouble={})
    troubled = [pod for pod in pods if not _is_leaving(pod) and trouble_of(pod)]
    revisions = {mapping(mapping(pod, "metadata"), "labels").get("controller-revision-hash") for pod in troubled}
    if finding.verdict is Verdict.DEGRADED and revision and troubled and revision not in revisions:
        # Kubernetes waits for it to become ready, though it never will.
        hint = "it is of an earlier version, and holds up the new one until it is deleted"
        return replace(finding, message=f"{finding.message}; {hint}")
    return finding


def _examine_daemon_set(obj: Object, pods: list[Object]) -> _Finding:
    status = mapping(obj, "status")
    wanted, ready = count(status.get("desiredNumberScheduled")), count(status.get("numberReady"))
    known = "desiredNumberScheduled" in status and _is_current(obj)
    on_delete = mapping(mapping(obj, "spec"), "updateStrategy").get("type") == "OnDelete"
    updated = wanted if on_delete else count(status.get("updatedNumberScheduled"), wanted)
    return _judge(obj, wanted, ready, pods, done=known and ready >= wanted and updated >= wanted, trouble={})


def _judge(obj: Object, wanted: int, ready: int, pods: list[Object], *, done: bool, trouble: Fields) -> _Finding:
    """Judge a workload that is not done by what its Pods say, and, if they say nothing, by its own word."""
    health = ContainerHealth(desired_pods=wanted, running_pods=ready)
    if done:
        return _Finding(Verdict.READY, health)
    title = _title(obj)
    missing = f"{min(ready, wanted)} of {wanted} Pods of {title} are ready"
    if not _is_current(obj):
        return _Finding(Verdict.STARTING, health, missing)  # whatever is told is about what was declared before
    staying = [pod for pod in pods if not _is_leaving(pod)]
    if found := _first(trouble_of, staying):
        return _Finding(Verdict.DEGRADED, health, found)
    if trouble:
        return _Finding(Verdict.DEGRADED, health, f"{title}: {said(trouble)}")
    if found := _first(restart_of, staying):
        return _Finding(Verdict.RESTARTING, health, found)
    delay = _first(delay_of, staying)
    if delay is None and len(staying) < wanted and len(staying) < len(pods):
        delay = f"Pod {name_of(next(pod for pod in pods if _is_leaving(pod)))} is still being stopped"
    return _Finding(Verdict.STARTING, health, f"{missing}: {delay}" if delay else missing)


# -- workloads that come to an end -------------------------------------------------------------------------------------


def _examine_job(obj: Object, pods: list[Object]) -> _Finding:
    spec, status = mapping(obj, "spec"), mapping(obj, "status")
    health = ContainerHealth(
        desired_pods=count(spec.get("completions"), count(spec.get("parallelism"), 1)),
        running_pods=count(status.get("active")),
        completed_pods=count(status.get("succeeded")),
        failed_pods=count(status.get("failed")),
    )
    if condition(status, "Failed", "True"):
        return _Finding(Verdict.FAILED, health, _failure_of_job(obj, pods))
    if condition(status, "Complete", "True"):
        return _Finding(Verdict.COMPLETED, health)
    if spec.get("suspend") is True:
        return _Finding(Verdict.READY, health)
    alive = [pod for pod in pods if mapping(pod, "status").get("phase") not in ("Succeeded", "Failed") and not _is_leaving(pod)]
    if found := _first(trouble_of, alive):
        return _Finding(Verdict.DEGRADED, health, found)
    if found := _first(restart_of, alive):
        return _Finding(Verdict.RESTARTING, health, found)
    if not health.running_pods:
        failed = [pod for pod in pods if mapping(pod, "status").get("phase") == "Failed"]
        if health.failed_pods and failed:
            return _Finding(Verdict.RESTARTING, health, f"{_first(trouble_of, failed)}; {_title(obj)} tries it again")
        return _Finding(Verdict.STARTING, health, f"{_title(obj)} has not started yet")
    if alive and all(mapping(pod, "status").get("phase") == "Pending" for pod in alive):
        return _Finding(Verdict.STARTING, health, _first(delay_of, alive) or f"{_title(obj)} has not started yet")
    return _Finding(Verdict.READY, health)


def _failure_of_job(job: Object, pods: list[Object]) -> str:
    why = said(condition(mapping(job, "status"), "Failed", "True"))
    failed = [pod for pod in pods if mapping(pod, "status").get("phase") == "Failed"]
    last = _first(trouble_of, failed)
    return f"{_title(job)} failed: {why}" + (f"; {last}" if last else "")


def _examine_cron_job(obj: Object, made: list[Object]) -> _Finding:
    """Judge a CronJob by its latest Job: it is well while that runs or once it has succeeded, and between two."""
    jobs = [each for each in made if each.get("kind") == "Job"]
    active = len(mappings(mapping(obj, "status"), "active"))
    health = ContainerHealth(desired_pods=active, running_pods=active)
    if not jobs or mapping(obj, "spec").get("suspend") is True:
        return _Finding(Verdict.READY, health)
    latest = max(jobs, key=_age_of)
    found = _examine_job(latest, [each for each in made if each.get("kind") == "Pod" and _is_made_for(each, latest)])
    health = replace(health, running_pods=min(active, found.pods.running_pods))
    if found.verdict is Verdict.FAILED:
        return _Finding(Verdict.DEGRADED, health, found.message)
    bad = found.verdict in (Verdict.DEGRADED, Verdict.RESTARTING)
    return _Finding(found.verdict if bad else Verdict.READY, health, found.message if bad else None)


def _examine_pod(obj: Object, _: list[Object]) -> _Finding:
    status, name = mapping(obj, "status"), name_of(obj)
    phase = status.get("phase")
    ready = phase == "Running" and bool(condition(status, "Ready", "True"))
    health = ContainerHealth(
        desired_pods=1, running_pods=int(ready), completed_pods=int(phase == "Succeeded"), failed_pods=int(phase == "Failed")
    )
    if phase == "Failed":
        return _Finding(Verdict.FAILED, health, f"Pod {name} failed: {end_of(obj)}")
    if phase == "Succeeded":
        return _Finding(Verdict.COMPLETED, health)
    if ready:
        return _Finding(Verdict.READY, health)
    if trouble := trouble_of(obj):
        return _Finding(Verdict.DEGRADED, health, trouble)
    if restart := restart_of(obj):
        return _Finding(Verdict.RESTARTING, health, restart)
    return _Finding(Verdict.STARTING, health, delay_of(obj) or f"Pod {name} is not ready yet")


# -- volumes -----------------------------------------------------------------------------------------------------------


def _examine_claim(obj: Object, _: list[Object]) -> _Finding | None:
    """Find a claim that has lost its volume; one without a volume is not wrong by itself, it may wait for its first Pod."""
    if mapping(obj, "status").get("phase") != "Lost":
        return None
    message = f"{_title(obj)} has lost its volume {text(mapping(obj, 'spec').get('volumeName'))}".rstrip()
    return _Finding(Verdict.DEGRADED, ContainerHealth(), message)


def _waiting_claims(objects: Iterable[Object]) -> str | None:
    """Which claims have no volume yet: Pods that use them wait for that."""
    claims = [each for each in objects if (each.get("apiVersion"), each.get("kind")) == ("v1", "PersistentVolumeClaim")]
    waiting = [claim for claim in claims if mapping(claim, "status").get("phase") == "Pending"]
    if not waiting:
        return None
    storage = text(mapping(waiting[0], "spec").get("storageClassName"))
    where = f"of storage class {storage}" if storage else "of the default storage class"
    return f"{_title(waiting[0])} has no volume yet ({where})"


_EXAMINERS: dict[tuple[Any, Any], Callable[[Object, list[Object]], _Finding | None]] = {
    ("apps/v1", "Deployment"): _examine_deployment,
    ("apps/v1", "ReplicaSet"): _examine_replicas,
    ("apps/v1", "StatefulSet"): _examine_stateful_set,
    ("v1", "ReplicationController"): _examine_replicas,
    ("apps/v1", "DaemonSet"): _examine_daemon_set,
    ("batch/v1", "Job"): _examine_job,
    ("batch/v1", "CronJob"): _examine_cron_job,
    ("v1", "Pod"): _examine_pod,
    ("v1", "PersistentVolumeClaim"): _examine_claim,
}


# -- what belongs to what ----------------------------------------------------------------------------------------------


def _is_made_for(made: Object, obj: Object) -> bool:
    """Whether a Pod or a Job was made for a workload."""
    inner, outer = mapping(made, "metadata"), mapping(obj, "metadata")
    if inner.get("namespace") != outer.get("namespace"):
        return False
    name, kind = name_of(obj), obj.get("kind")
    return any(_leads_to(owner, inner, text(kind), name) for owner in mappings(inner, "ownerReferences"))


def _leads_to(owner: Fields, metadata: Fields, kind: str, name: str) -> bool:
    between = name_of(owner)
    match owner.get("kind"), kind:
        case "ReplicaSet", "Deployment":
            return between == f"{name}-{text(mapping(metadata, 'labels').get('pod-template-hash'))}"
        case "Job", "CronJob":
            stem, _, number = between.rpartition("-")
            return stem == name and number.isdecimal()
        case found, _:
            return found == kind and between == name


def _of_latest_rollout(pods: list[Object]) -> list[Object]:
    """The Pods of a Deployment as it is declared now: those like the ones that were made in the last second."""
    latest = max((_age_of(pod)[0] for pod in pods), default="")
    revisions = {_revision(pod) for pod in pods if _age_of(pod)[0] == latest}
    return [pod for pod in pods if _revision(pod) in revisions]


def _revision(pod: Object) -> str:
    return text(mapping(mapping(pod, "metadata"), "labels").get("pod-template-hash"))


def _age_of(obj: Object) -> tuple[str, str]:
    return text(mapping(obj, "metadata").get("creationTimestamp")), name_of(obj)


def _first(look: Callable[[Object], str | None], pods: Iterable[Object]) -> str | None:
    """What is said first, those that were made last and have not ended before all others."""
    ordered = sorted(pods, key=_age_of, reverse=True)
    ordered.sort(key=lambda pod: mapping(pod, "status").get("phase") == "Failed")
    return next((found for pod in ordered if (found := look(pod))), None)


def _is_leaving(obj: Object) -> bool:
    return bool(mapping(obj, "metadata").get("deletionTimestamp"))


def _is_current(obj: Object) -> bool:
    """Whether the status is about the latest declaration."""
    return count(mapping(obj, "status").get("observedGeneration")) >= count(mapping(obj, "metadata").get("generation"))


def _title(obj: Object) -> str:
    return f"{text(obj.get('kind'))} {name_of(obj)}"
