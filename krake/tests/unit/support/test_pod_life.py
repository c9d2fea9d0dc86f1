"""What the simulated node decides for a Pod."""

import datetime
from typing import Any

import pytest
from realkube.pod_life import Bind, Remove, Report, Wait, decide

NOW = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
NODE = {"name": "node-1", "labels": {"disk": "ssd"}}


def pod(
    *,
    image: str = "nginx",
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    bound = {"schedulerName": "default-scheduler", "containers": [{"name": "a", "image": image}], "nodeName": "node-1"}
    return {
        "metadata": {"name": "web", "namespace": "default", **(metadata or {})},
        "spec": bound | (spec or {}),
        "status": status or {"phase": "Pending"},
    }


def after(seconds: float, item: dict[str, Any]) -> Any:
    """Return the step `seconds` after the Pod was reported to run."""
    step = decide(item, NODE, "10.244.0.1", NOW)
    assert isinstance(step, Report)
    return decide(item | {"status": step.status}, NODE, "10.244.0.9", NOW + datetime.timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"nodeName": ""}, Bind(), id="unbound"),
        pytest.param({"nodeName": "", "nodeSelector": {"disk": "ssd"}}, Bind(), id="selector matches"),
        pytest.param({"nodeName": "", "schedulerName": "other"}, None, id="another scheduler's"),
        pytest.param({"nodeName": "other"}, None, id="another node's"),
    ],
)
def test_placement(spec: dict[str, Any], expected: Any) -> None:
    assert decide(pod(spec=spec), NODE, "10.244.0.1", NOW) == expected


def test_pod_without_a_fitting_node_is_called_unschedulable_once() -> None:
    item = pod(spec={"nodeName": "", "nodeSelector": {"disk": "tape"}})
    step = decide(item, NODE, "10.244.0.1", NOW)
    assert isinstance(step, Report)
    assert step.status["conditions"][0]["reason"] == "Unschedulable"
    assert decide(item | {"status": step.status}, NODE, "10.244.0.1", NOW) is None


def test_pod_becomes_ready_and_stays_so() -> None:
    step = decide(pod(), NODE, "10.244.0.1", NOW)
    assert isinstance(step, Report)
    assert step.status["phase"] == "Running"
    assert step.status["podIP"] == "10.244.0.1"
    assert {it["type"]: it["status"] for it in step.status["conditions"]}["Ready"] == "True"
    assert after(3600, pod()) is None


@pytest.mark.parametrize(
    ("image", "annotations", "phase", "reason"),
    [
        ("registry/missing:1", {}, "Pending", "ImagePullBackOff"),
        ("registry/crash:1", {}, "Running", "CrashLoopBackOff"),
        ("nginx", {"fake-node/outcome": "crash"}, "Running", "CrashLoopBackOff"),
    ],
)
def test_broken_pod_waits(image: str, annotations: dict[str, str], phase: str, reason: str) -> None:
    item = pod(image=image, metadata={"annotations": annotations})
    step = decide(item, NODE, "10.244.0.1", NOW)
    assert isinstance(step, Report)
    assert step.status["phase"] == phase
    assert step.status["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    assert after(3600, item) is None


def test_annotation_overrules_the_image() -> None:
    item = pod(image="missing", metadata={"annotations": {"fake-node/outcome": "run"}})
    step = decide(item, NODE, "10.244.0.1", NOW)
    assert isinstance(step, Report)
    assert step.status["containerStatuses"][0]["ready"] is True


def test_replaced_image_is_tried_and_the_address_is_kept() -> None:
    broken = decide(pod(image="missing"), NODE, "10.244.0.1", NOW)
    assert isinstance(broken, Report)
    step = decide(pod(status=broken.status), NODE, "10.244.0.9", NOW)
    assert isinstance(step, Report)
    assert (step.status["phase"], step.status["podIP"]) == ("Running", "10.244.0.1")


@pytest.mark.parametrize(
    ("annotations", "seconds", "expected"),
    [
        ({}, 0.25, Wait(0.25)),
        ({}, 0.5, "Succeeded"),
        ({"fake-node/completes-after": "10"}, 4, Wait(6)),
        ({"fake-node/completes-after": "10"}, 10, "Succeeded"),
        ({"fake-node/completes-after": "never"}, 10**6, None),
        ({"fake-node/completes-after": "soon"}, 10**6, None),
    ],
)
def test_pod_that_may_end_completes_in_time(annotations: dict[str, str], seconds: float, expected: Any) -> None:
    item = pod(spec={"restartPolicy": "Never"}, metadata={"annotations": annotations})
    step = after(seconds, item)
    assert (step.status["phase"] if isinstance(step, Report) else step) == expected


def test_crash_without_restart_fails_for_good() -> None:
    item = pod(image="crash", spec={"restartPolicy": "Never"})
    step = decide(item, NODE, "10.244.0.1", NOW)
    assert isinstance(step, Report)
    assert step.status["phase"] == "Failed"
    assert decide(item | {"status": step.status}, NODE, "10.244.0.1", NOW) is None


@pytest.mark.parametrize(("grace", "expected"), [(30, Remove()), (0, None)])
def test_deleted_pod_goes_unless_only_finalizers_hold_it(grace: int, expected: Any) -> None:
    item = pod(metadata={"deletionTimestamp": "2030-01-01T12:00:00Z", "deletionGracePeriodSeconds": grace})
    assert decide(item, NODE, "10.244.0.1", NOW) == expected
