"""What the simulated node does next with a Pod: a pure decision on the Pod and the time.

A Pod behaves by the name of its images: ``missing`` in it stays in ImagePullBackOff, ``crash`` in it in CrashLoopBackOff,
anything else runs. The annotation ``fake-node/outcome`` (``run``, ``missing``, ``crash``) decides instead where it is set.
Pods that may end (those of Jobs) complete after half a second, or after ``fake-node/completes-after`` seconds;
``never`` keeps them running.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

OUTCOME = "fake-node/outcome"
COMPLETES_AFTER = "fake-node/completes-after"
_COMPLETES_AFTER_SECONDS = 0.5

Object = Mapping[str, Any]
Outcome = Literal["run", "missing", "crash"]


@dataclass(frozen=True)
class Bind:
    """Place the Pod on the node."""


@dataclass(frozen=True)
class Report:
    """Write this as the Pod's status."""

    status: dict[str, Any]


@dataclass(frozen=True)
class Remove:
    """Everything of the Pod has ended: let the API server forget it."""


@dataclass(frozen=True)
class Wait:
    """Look at the Pod again after so many seconds."""

    seconds: float


Step = Bind | Report | Remove | Wait | None


def decide(pod: Object, node: Object, ip: str, now: datetime.datetime) -> Step:
    """Return the next step for `pod`, or None when it is where it belongs.

    Args:
        pod: The Pod as the API server has it.
        node: The node's ``metadata``.
        ip: The address the Pod gets when it starts.
        now: The time, with its zone.
    """
    spec, status, name = pod["spec"], pod.get("status", {}), node["name"]
    if not spec.get("nodeName"):
        return _place(pod, node, now)
    if spec["nodeName"] != name:
        return None
    if pod["metadata"].get("deletionTimestamp"):
        gone = pod["metadata"].get("deletionGracePeriodSeconds") == 0  # only finalizers hold it
        return None if gone else Remove()
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    images = [container["image"] for container in spec["containers"]]
    if _shown(status, images) != (outcome := _outcome(pod)):
        return Report(_status(pod, outcome, ip, now))
    return _complete(pod, now) if outcome == "run" else None


def _place(pod: Object, node: Object, now: datetime.datetime) -> Step:
    if pod["spec"].get("schedulerName") != "default-scheduler" or pod["metadata"].get("deletionTimestamp"):
        return None
    labels = node.get("labels", {})
    if all(labels.get(key) == value for key, value in pod["spec"].get("nodeSelector", {}).items()):
        return Bind()
    if pod.get("status", {}).get("conditions"):
        return None
    message = "0/1 nodes are available: 1 node(s) didn't match node selector."
    refusal = _condition("PodScheduled", False, now, reason="Unschedulable", message=message)
    return Report({"conditions": [refusal]})


def _complete(pod: Object, now: datetime.datetime) -> Step:
    if pod["spec"].get("restartPolicy", "Always") == "Always":
        return None
    wanted = pod["metadata"].get("annotations", {}).get(COMPLETES_AFTER)
    if wanted == "never":
        return None
    try:
        seconds = float(wanted) if wanted else _COMPLETES_AFTER_SECONDS
    except ValueError:
        return None  # not a number: never, as nothing says when
    started = datetime.datetime.fromisoformat(pod["status"]["startTime"])
    left = seconds - (now - started).total_seconds()
    return Wait(left) if left > 0 else Report(_ended(pod, now, failed=False))


def _outcome(pod: Object) -> Outcome:
    images = " ".join(container["image"] for container in pod["spec"]["containers"])
    wanted = pod["metadata"].get("annotations", {}).get(OUTCOME, images)
    for outcome in ("missing", "crash"):
        if outcome in wanted:
            return outcome
    return "run"


def _shown(status: Object, images: list[str]) -> Outcome | None:
    """Return the outcome `status` already tells of, None if none or of other images."""
    containers = status.get("containerStatuses", [])
    if [container["image"] for container in containers] != images:
        return None
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    if conditions.get("Ready") == "True":
        return "run"
    reasons = {container["state"].get("waiting", {}).get("reason") for container in containers}
    if "ImagePullBackOff" in reasons:
        return "missing"
    return "crash" if "CrashLoopBackOff" in reasons else None


def _status(pod: Object, outcome: Outcome, ip: str, now: datetime.datetime) -> dict[str, Any]:
    if outcome == "crash" and pod["spec"].get("restartPolicy") == "Never":
        return _ended(pod, now, failed=True)
    running = outcome == "run"
    reason = None if running else "ContainersNotReady"
    conditions = [
        _condition("Initialized", True, now),
        _condition("Ready", running, now, reason=reason),
        _condition("ContainersReady", running, now, reason=reason),
        _condition("PodScheduled", True, now),
    ]
    return {
        "phase": "Pending" if outcome == "missing" else "Running",
        "podIP": pod.get("status", {}).get("podIP") or ip,
        "podIPs": [{"ip": pod.get("status", {}).get("podIP") or ip}],
        "hostIP": "127.0.0.1",
        "startTime": pod.get("status", {}).get("startTime") or _text(now),
        "conditions": conditions,
        "containerStatuses": [_container(container, outcome, now) for container in pod["spec"]["containers"]],
    }


def _container(container: Object, outcome: Outcome, now: datetime.datetime) -> dict[str, Any]:
    running = outcome == "run"
    status: dict[str, Any] = {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"simulated://{container['image']}" if running else "",
        "containerID": f"simulated://{container['name']}" if running else "",
        "ready": running,
        "started": running,
        "restartCount": 1 if outcome == "crash" else 0,
        "lastState": {},
    }
    if running:
        status["state"] = {"running": {"startedAt": _text(now)}}
    elif outcome == "missing":
        message = f'Back-off pulling image "{container["image"]}"'
        status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    else:
        message = f"back-off 10s restarting failed container={container['name']}"
        status["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        status["lastState"] = {"terminated": _termination(now, failed=True)}
    return status


def _ended(pod: Object, now: datetime.datetime, *, failed: bool) -> dict[str, Any]:
    reason = None if failed else "PodCompleted"
    containers = [
        _container(container, "run", now)
        | {"ready": False, "started": False, "state": {"terminated": _termination(now, failed=failed)}}
        for container in pod["spec"]["containers"]
    ]
    return {
        "phase": "Failed" if failed else "Succeeded",
        "startTime": pod.get("status", {}).get("startTime") or _text(now),
        "conditions": [
            _condition("Initialized", True, now, reason=reason),
            _condition("Ready", False, now, reason=reason),
            _condition("ContainersReady", False, now, reason=reason),
            _condition("PodScheduled", True, now),
        ],
        "containerStatuses": containers,
    }


def _termination(now: datetime.datetime, *, failed: bool) -> dict[str, Any]:
    reason = "Error" if failed else "Completed"
    return {"exitCode": int(failed), "reason": reason, "startedAt": _text(now), "finishedAt": _text(now)}


def _condition(
    kind: str, holds: bool, now: datetime.datetime, *, reason: str | None = None, message: str | None = None
) -> dict[str, Any]:
    return {
        "type": kind,
        "status": str(holds),
        "lastTransitionTime": _text(now),
        "reason": reason,
        "message": message,
    }


def _text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
