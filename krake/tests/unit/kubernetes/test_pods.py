"""What Pods say about what keeps them."""

from typing import Any

import pytest

from krake.controller.kubernetes.application.pods import delay_of, end_of, restart_of, trouble_of


def pod(
    *containers: dict[str, Any], phase: str = "Running", inits: Any = (), spec: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    status = {"phase": phase, "containerStatuses": list(containers), "initContainerStatuses": list(inits), **status}
    return {"metadata": {"name": "p"}, "spec": spec or {}, "status": status}


def container(name: str = "main", last: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {"terminated": last} if last else {}}


def waiting(reason: str, message: str = "", **rest: Any) -> dict[str, Any]:
    return container(waiting={"reason": reason, "message": message}, **rest)


def declared(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", **fields}]}


RUNNING = {"startedAt": "2026-01-01T00:00:00Z"}
CRASHED = {"exitCode": 3, "reason": "Error"}
KILLED = {"exitCode": 137, "reason": "OOMKilled"}
IMAGE = declared(image="registry.example/none:1")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(waiting("CrashLoopBackOff", "back-off 40s", last=CRASHED)), "CrashLoopBackOff: it ended with exit code 3 (Error)"),
        (pod(waiting("CrashLoopBackOff", "back-off 40s")), "CrashLoopBackOff: back-off 40s"),
        (
            pod(waiting("CrashLoopBackOff", last=KILLED), spec=declared(resources={"limits": {"memory": "64Mi"}})),
            "CrashLoopBackOff: it was stopped for want of memory (OOMKilled): it needed more than its memory limit of 64Mi",
        ),
        (
            pod(
                waiting("CrashLoopBackOff", last={"exitCode": 137, "reason": "Error"}),
                spec=declared(livenessProbe={"httpGet": {}}),
            ),
            "its liveness probe may have failed",
        ),
        (
            pod(waiting("ErrImagePull", "not found"), spec=IMAGE),
            'ImagePullBackOff: image "registry.example/none:1" can not be pulled: not found',
        ),
        (
            pod(waiting("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: not found'), spec=IMAGE),
            'ImagePullBackOff: image "registry.example/none:1" can not be pulled: not found',
        ),
        (
            pod(waiting("ImagePullBackOff", 'Back-off pulling image "x"'), spec=IMAGE),
            'ImagePullBackOff: image "registry.example/none:1" can not be pulled',
        ),
        (
            pod(waiting("CreateContainerConfigError", 'secret "s" not found')),
            'CreateContainerConfigError: secret "s" not found',
        ),
        (pod(waiting("InvalidImageName")), "InvalidImageName"),
        (pod(inits=[waiting("CrashLoopBackOff", last=CRASHED)]), "init container main: CrashLoopBackOff"),
        (pod(container(), waiting("CrashLoopBackOff", name="second")), "container second: CrashLoopBackOff"),
        (pod(container(terminated=CRASHED), phase="Failed"), "Pod p failed: container main ended with exit code 3 (Error)"),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Pod p failed: Evicted: low on memory"),
        (pod(ephemeralContainerStatuses=[waiting("CrashLoopBackOff")]), None),
        (pod(waiting("ContainerCreating")), None),
        (pod(container(running=RUNNING)), None),
    ],
)
def test_troubles(found: dict[str, Any], said: str | None) -> None:
    trouble = trouble_of(found)
    assert trouble is None if said is None else said in str(trouble)


def test_a_pod_that_fits_on_no_node() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    assert trouble_of(pod(phase="Pending", conditions=[unschedulable])) == "Pod p: Unschedulable: 0/1 nodes are available"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(container(terminated=CRASHED)), "it ended with exit code 3 (Error) and is started again"),
        (pod(container(terminated={"exitCode": 0})), "it ended with exit code 0 and is started again"),
        (pod(container(terminated=KILLED)), "for want of memory"),
        (pod(inits=[container(terminated=CRASHED)]), "init container main"),
        (pod(inits=[container(terminated={"exitCode": 0})]), None),
        (pod(container(terminated={"exitCode": 0}), spec={"restartPolicy": "OnFailure"}), None),
        (pod(container(terminated=CRASHED), spec={"restartPolicy": "Never"}), None),
        (pod(container(terminated=CRASHED), phase="Failed"), None),
        (pod(container(running=RUNNING)), None),
    ],
)
def test_restarts(found: dict[str, Any], said: str | None) -> None:
    restart = restart_of(found)
    assert restart is None if said is None else said in str(restart)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(waiting("ContainerCreating")), "a volume, a Secret or a ConfigMap that it needs is missing"),
        (pod(container(running=RUNNING), spec=declared(readinessProbe={})), "but is not ready"),
        (pod(container(running=RUNNING), spec=declared(readinessProbe={"exec": {}})), "its readiness probe does not succeed"),
        (pod(container(running=RUNNING), spec=declared(startupProbe={"exec": {}})), "its startup probe has not succeeded"),
        (pod(waiting("PodInitializing"), inits=[container("first", running=RUNNING)]), "waits for its init container first"),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}]),
            "on no node yet: SchedulingGated: gates",
        ),
        (pod(conditions=[{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]), "not ready: NodeNotReady"),
        (pod(), None),
    ],
)
def test_delays(found: dict[str, Any], said: str | None) -> None:
    delay = delay_of(found)
    assert delay is None if said is None else said in str(delay)


def test_an_end_without_words() -> None:
    assert end_of(pod(phase="Failed")) == "its containers have ended"
