"""The life of a Pod: bound to a node, started, ready or stuck, finished."""

from collections.abc import Sequence
from typing import Any

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.selectors import Requirement, match_labels
from krake.simulator.kubernetes.workloads.world import condition, condition_holds, set_conditions, with_status

UNBOUND = "unbound"
STARTING = "starting"
RUNNING = "running"
FINISHING = "finishing"  # running, and meant to come to an end
TERMINATING = "terminating"
ENDED = "ended"  # deleted and stopped, only finalizers keep it
DONE = "done"

# Decide in place of the images' names what becomes of a Pod: one of the outcomes or run; seconds or `never`.
OUTCOME = "fake-node/outcome"
COMPLETES_AFTER = "fake-node/completes-after"
OUTCOMES = ("missing", "crash", "out-of-memory", "unready")
_LOOPS = {"crash", "out-of-memory"}


def stage(pod: Object) -> str:
    """Where in its life a Pod stands."""
    if pod["metadata"].get("deletionTimestamp"):
        return TERMINATING if pod["metadata"].get("deletionGracePeriodSeconds") else ENDED
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        return DONE
    if not pod["spec"].get("nodeName"):
        return UNBOUND
    if not _has_started(pod):
        return STARTING
    return FINISHING if phase == "Running" and _comes_to_an_end(pod) else RUNNING


def _has_started(pod: Object) -> bool:
    """Whether the containers have been started, with the images that they have now."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return [status["image"] for status in statuses] == [each["image"] for each in pod["spec"]["containers"]]


def _comes_to_an_end(pod: Object) -> bool:
    if pod["spec"].get("restartPolicy") == "Always" or _annotation(pod, COMPLETES_AFTER) == "never":
        return False
    outcomes = {_outcome(pod, container) for container in pod["spec"]["containers"]}
    loops = bool(_LOOPS & outcomes) and pod["spec"].get("restartPolicy") != "Never"
    return not loops and "missing" not in outcomes


def run_time(pod: Object, default: float) -> float:
    """Seconds until a Pod that comes to an end does so."""
    try:
        return max(float(_annotation(pod, COMPLETES_AFTER)), 0.0)
    except ValueError:
        return default


def _annotation(pod: Object, name: str) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(name, ""))


def is_active(pod: Object) -> bool:
    return stage(pod) not in (TERMINATING, ENDED, DONE)


def is_ready(pod: Object) -> bool:
    return is_active(pod) and condition_holds(pod, "Ready")


def has_succeeded(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Succeeded"


def has_failed(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Failed"


def node_is_ready(node: Object) -> bool:
    return condition_holds(node, "Ready")


def _accepts(node: Object, pod: Object) -> bool:
    wanted = [Requirement(key, "In", (value,)) for key, value in (pod["spec"].get("nodeSelector") or {}).items()]
    schedulable = node_is_ready(node) and not node["spec"].get("unschedulable")
    return schedulable and match_labels(wanted, node["metadata"].get("labels"))


def bind(pod: Object, nodes: Sequence[Object], turn: int, now: str) -> Object:
    """The Pod on one of the nodes that take it (they take turns), or told that none does."""
    fitting = [node for node in nodes if _accepts(node, pod)]
    if not fitting:
        text = f"0/{len(nodes)} nodes are available: none is ready, schedulable and matches the Pod's node selector."
        return _with_conditions(pod, condition("PodScheduled", False, now, "Unschedulable", text))
    name = fitting[turn % len(fitting)]["metadata"]["name"]
    bound = {**pod, "spec": {**pod["spec"], "nodeName": name}}
    return _with_conditions(bound, condition("PodScheduled", True, now))


def _with_conditions(pod: Object, *new: Object) -> Object:
    return with_status(pod, conditions=set_conditions((pod.get("status") or {}).get("conditions"), *new))


def start(pod: Object, node_ready: bool, address: str, now: str) -> Object:
    """The Pod with its containers started, as far as their images can be had and don't crash."""
    statuses = [_container_status(pod, container, now) for container in pod["spec"]["containers"]]
    unready = [status["name"] for status in statuses if not status["ready"]]
    waiting = any(_outcome(pod, container) == "missing" for container in pod["spec"]["containers"])
    ready = not unready and node_ready
    reason = "" if ready else "ContainersNotReady"
    text = "" if not unready else f"containers with unready status: [{' '.join(unready)}]"
    started = with_status(
        pod,
        phase="Pending" if waiting else "Running",
        hostIP="127.0.0.1",
        podIP=address,
        podIPs=[{"ip": address}],
        startTime=now,
        containerStatuses=statuses,
    )
    return _with_conditions(
        started,
        condition("Initialized", True, now),
        condition("Ready", ready, now, reason, text),
        condition("ContainersReady", not unready, now, reason if unready else "", text),
    )


def _outcome(pod: Object, container: Object) -> str:
    """What becomes of a container: its image's name decides, or the Pod's annotation."""
    text = _annotation(pod, OUTCOME) or str(container.get("image", ""))
    return next((word for word in OUTCOMES if word in text), "run")


def _container_status(pod: Object, container: Object, now: str) -> Object:
    image, outcome = container["image"], _outcome(pod, container)
    status: Object = {
        "name": container["name"],
        "image": image,
        "imageID": "" if outcome == "missing" else f"simulated://{image}",
        "containerID": "" if outcome == "missing" else f"simulated://{container['name']}",
        "ready": outcome == "run",
        "started": outcome in ("run", "unready"),
        "restartCount": 3 if outcome in _LOOPS else 0,
        "lastState": {},
    }
    if outcome == "missing":
        status["state"] = _waiting("ImagePullBackOff", f'Back-off pulling image "{image}"')
    elif outcome in _LOOPS:
        text = f"back-off 40s restarting failed container={container['name']}"
        status["state"] = _waiting("CrashLoopBackOff", text)
        status["lastState"] = {"terminated": _failure(outcome, now)}
    else:
        status["state"] = {"running": {"startedAt": now}}
    return status


def _waiting(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def _terminated(reason: str, code: int, now: str) -> Object:
    return {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}


def _failure(outcome: str, now: str) -> Object:
    return _terminated("OOMKilled", 137, now) if outcome == "out-of-memory" else _terminated("Error", 1, now)


def finish(pod: Object, now: str) -> Object:
    """The Pod after its containers came to their end; a crashing image ends in failure."""
    outcomes = [_outcome(pod, container) for container in pod["spec"]["containers"]]
    failed = next((outcome for outcome in outcomes if outcome in _LOOPS), None)
    ended = _failure(failed, now) if failed else _terminated("Completed", 0, now)
    statuses = [
        {**status, "ready": False, "started": False, "state": {"terminated": ended}}
        for status in pod["status"]["containerStatuses"]
    ]
    done = with_status(pod, phase="Failed" if failed else "Succeeded", containerStatuses=statuses)
    reason = "PodFailed" if failed else "PodCompleted"
    return _with_conditions(done, condition("Ready", False, now, reason), condition("ContainersReady", False, now, reason))


def follow_node(pod: Object, node: Object, now: str) -> Object:
    """The Pod with its readiness as the state of its node allows."""
    statuses = (pod.get("status") or {}).get("containerStatuses")
    if not statuses or stage(pod) not in (RUNNING, FINISHING):
        return pod
    node_ready = node_is_ready(node)
    ready = node_ready and all(status["ready"] for status in statuses)
    if ready == condition_holds(pod, "Ready"):
        return pod
    reason: Any = "" if ready else "NodeNotReady" if not node_ready else "ContainersNotReady"
    return _with_conditions(pod, condition("Ready", ready, now, reason))
