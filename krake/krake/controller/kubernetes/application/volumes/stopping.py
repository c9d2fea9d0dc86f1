"""Stops the workloads of an application without losing what they are, and starts them again."""

from collections.abc import Iterable
from typing import Any

from krake.controller.kubernetes.application.site import Site
from krake.ports.cluster import POD, Identity, Object, ObjectType, identify, owner_of

STOPPED = "krake.cloud/stopped"
"""Annotation of what was stopped: how many Pods it had, if that is what was changed."""
NOWHERE = {"krake.cloud/stopped": "true"}
"""A node selector that no node fits."""
JOB = ObjectType("batch/v1", "Job")
_SCALED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")


async def stop(site: Site, workloads: Iterable[Identity], owner: str) -> list[str]:
    """Stop workloads; returns what is still running, empty once nothing is. Raises `ClusterError`."""
    running = []
    for identity in workloads:
        obj = await site.look(identity)
        if obj is None or owner_of(obj) != owner:
            continue  # whatever is declared, it is somebody else's
        if patch := stop_patch(obj):
            obj = await site.connection.change(identity, patch) or obj
            site.note(obj)
        elif must_be_deleted(obj):
            await site.connection.delete(identity, owner)
        if not is_still(obj):
            running.append(str(identity))
    if not site.knows(POD):
        return running or ["the Pods, which are not known yet"]
    pods = [pod for pod in site.pods_of(owner) if not has_ended(pod)]
    for job in {job for pod in pods for job in _jobs_of(pod)}:
        await site.connection.delete(job, owner)  # that a CronJob has started; a Job of its own is gone already
    return running or [f"Pod {pod['metadata']['name']}" for pod in pods]


async def start(site: Site, workloads: Iterable[Identity], owner: str) -> None:
    """Start what was stopped. What was deleted is left to the next deployment. Raises `ClusterError`."""
    for identity in workloads:
        obj = await site.look(identity)
        if obj is not None and owner_of(obj) == owner and (patch := start_patch(obj)):
            changed = await site.connection.change(identity, patch)
            if changed is not None:
                site.note(changed)


def stop_patch(obj: Object) -> dict[str, Any] | None:
    """Return what stops an object; ``None`` if that is so already, or can not be."""
    kind, spec, before = obj["kind"], obj.get("spec") or {}, "true"
    if kind in _SCALED and spec.get("replicas", 1) != 0:
        before, change = str(spec.get("replicas", 1)), {"replicas": 0}
    elif kind == "CronJob" and not spec.get("suspend"):
        change = {"suspend": True}
    elif kind == "DaemonSet" and not _is_nowhere(spec):
        change = _selecting(NOWHERE)
    else:
        return None
    known = _annotation(obj)
    return {"metadata": {"annotations": {STOPPED: before if known is None else known}}, "spec": change}


def start_patch(obj: Object) -> dict[str, Any] | None:
    """Return what starts an object that was stopped; ``None`` if it was not."""
    if _annotation(obj) is None:
        return None
    kind, change = obj["kind"], {}
    if kind in _SCALED:
        change = {"replicas": replicas_of(obj)}
    elif kind == "CronJob":
        change = {"suspend": False}
    elif kind == "DaemonSet":
        change = _selecting(dict.fromkeys(NOWHERE))
    return {"metadata": {"annotations": {STOPPED: None}}, "spec": change}


def replicas_of(obj: Object) -> int:
    """How many Pods a workload has when it is not stopped."""
    before, now = _annotation(obj) or "", (obj.get("spec") or {}).get("replicas", 1)
    return int(before) if before.isdecimal() else int(now)


def must_be_deleted(obj: Object) -> bool:
    """Whether an object can be stopped by deleting it only: it is made anew as it was declared."""
    if obj["kind"] == "Pod":
        return not has_ended(obj)
    return obj["kind"] == "Job" and not _has_condition(obj, "Complete", "Failed")


def is_still(obj: Object) -> bool:
    """Whether Kubernetes has stopped what it was told to stop."""
    kind, status = obj["kind"], obj.get("status") or {}
    current = (status.get("observedGeneration") or 0) >= (obj["metadata"].get("generation") or 0)
    if kind in _SCALED:
        return current and not status.get("replicas")
    if kind == "DaemonSet":
        return current and not status.get("currentNumberScheduled")
    return not must_be_deleted(obj)


def has_ended(pod: Object) -> bool:
    """Whether a Pod does not run any more."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _annotation(obj: Object) -> str | None:
    return (obj["metadata"].get("annotations") or {}).get(STOPPED)


def _selecting(selector: dict[str, Any]) -> dict[str, Any]:
    return {"template": {"spec": {"nodeSelector": selector}}}


def _is_nowhere(spec: dict[str, Any]) -> bool:
    pod = (spec.get("template") or {}).get("spec") or {}
    return NOWHERE.items() <= (pod.get("nodeSelector") or {}).items()


def _jobs_of(pod: Object) -> list[Identity]:
    owners = pod["metadata"].get("ownerReferences") or ()
    namespace = identify({"apiVersion": "v1", "kind": "Pod", **pod}).namespace
    return [Identity(JOB, namespace, owner["name"]) for owner in owners if owner.get("kind") == "Job"]


def _has_condition(obj: Object, *types: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(each.get("type") in types and each.get("status") == "True" for each in conditions)
