"""The story of the README, typed as a user types it, on a simulated and on a real Kubernetes."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.kubernetes import RealClusters
from fixtures.up import RunningKrake, wait_for

ECHO_DEMO = "examples/templates/applications/echo-demo.yaml"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
LIST_HEADER = ["name", "namespace", "labels", "created", "modified", "deleted", "state"]


def rows(table: str) -> dict[str, str]:
    """Read a table of one object; a cell of several lines is joined by spaces."""
    read: dict[str, list[str]] = {}
    name = ""
    for line in table.splitlines():
        if line.startswith("|"):
            key, value = (cell.strip() for cell in line.strip("|").split("|", 1))
            name = key or name
            read.setdefault(name, []).append(value)
    return {key: " ".join(values).strip() for key, values in read.items()}


def cells(table: str) -> list[list[str]]:
    """Read a table of a list, header first."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]


@pytest.fixture(params=["simulator", "real"])
def kubeconfig(request: pytest.FixtureRequest, krake: RunningKrake) -> Iterator[Path]:
    """The kubeconfig of a cluster of each kind; what a failed test left behind is removed."""
    if request.param == "simulator":
        yield krake.kubeconfigs[0]
    else:
        real_clusters: RealClusters = request.getfixturevalue("real_clusters")
        yield Path(real_clusters()[0].kubeconfig_path)
    krake.rok("kube", "app", "delete", "echo-demo", "--force", check=False)
    for cluster in krake.rok_json("kube", "cluster", "list"):
        krake.rok("kube", "cluster", "delete", cluster["metadata"]["name"], "--force")


def test_story(krake: RunningKrake, kubeconfig: Path, request: pytest.FixtureRequest) -> None:
    assert cells(krake.rok("kube", "cluster", "list").stdout) == [LIST_HEADER]

    registered = rows(krake.rok("kube", "cluster", "register", "-k", kubeconfig).stdout)
    name = registered.pop("name")
    assert re.fullmatch(TIME, registered.pop("created"))
    assert re.fullmatch(TIME, registered.pop("modified"))
    assert registered == {
        "namespace": "system:admin",
        "labels": "None",
        "deleted": "None",
        "state": "ONLINE",
        "reason": "None",
        "custom_resources": "[]",
        "metrics": "[]",
        "failing_metrics": "None",
        "label constraints": "[]",
        "metric constraints": "[]",
        "scheduled_to": "None",
        "scheduled": "None",
        "running_on": "None",
    }
    header, row = cells(krake.rok("kube", "cluster", "list").stdout)
    assert header[: len(LIST_HEADER)] == LIST_HEADER
    assert [row[0], row[1], row[6]] == [name, "system:admin", "ONLINE"]

    created = rows(krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo-demo").stdout)
    for key in ("created", "modified"):
        assert re.fullmatch(TIME, created.pop(key))
    assert created == {
        "name": "echo-demo",
        "namespace": "system:admin",
        "labels": "None",
        "deleted": "None",
        "state": "PENDING",
        "reason": "None",
        "container_health": "",
        "services": "None",
        "allow migration": "True",
        "label constraints": "[]",
        "resources constraints": "[]",
        "metric constraints": "[]",
        "hooks": "[]",
        "scheduled_to": "None",
        "scheduled": "None",
        "running_on": "None",
        "backoff": "1",
        "backoff_delay": "1",
        "backoff_limit": "-1",
    }

    def running() -> dict[str, str] | None:
        shown = rows(krake.rok("kube", "app", "get", "echo-demo").stdout)
        return shown if shown["state"] == "RUNNING" else None

    shown = wait_for("RUNNING", running)
    place = f"{{'kind': 'Cluster', 'api': 'kubernetes', 'name': '{name}', 'namespace': 'system:admin'}}"
    assert shown["reason"] == "None"
    assert shown["scheduled_to"] == place
    assert shown["running_on"] == place
    assert re.fullmatch(TIME, shown["scheduled"])
    assert shown["container_health"] == "1 active / 1 desired"
    address = re.fullmatch(r"echo-demo: (\S+:\d+)", shown["services"])
    assert address is not None

    if "simulator" in request.node.name:
        with urllib.request.urlopen(f"http://{address[1]}", timeout=10) as page:
            assert re.match(r"\s*Hostname: echo-demo-", page.read().decode())

    deleted = rows(krake.rok("kube", "app", "delete", "echo-demo").stdout)
    assert re.fullmatch(TIME, deleted["deleted"])
    wait_for("the application to go", lambda: krake.rok_json("kube", "app", "list") == [])

    deleted = rows(krake.rok("kube", "cluster", "delete", name).stdout)
    assert re.fullmatch(TIME, deleted["deleted"])
    wait_for("the cluster to go", lambda: cells(krake.rok("kube", "cluster", "list").stdout) == [LIST_HEADER])


def test_application_without_a_cluster_says_so(krake: RunningKrake) -> None:
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "nowhere")

    def failed() -> dict[str, str] | None:
        shown = rows(krake.rok("kube", "app", "get", "nowhere").stdout)
        return shown if shown["state"] == "FAILED" else None

    shown = wait_for("FAILED", failed)
    reason = "No matching Kubernetes cluster found: There is no cluster in its namespace."
    assert shown["reason"] == f"code: NO_SUITABLE_RESOURCE message: {reason}"
    krake.rok("kube", "app", "delete", "nowhere", "--wait", "deleted")
    assert krake.rok_json("kube", "app", "list") == []


def test_application_moves_by_labels(krake: RunningKrake) -> None:
    for path, location in zip(krake.kubeconfigs, ("DE", "SK"), strict=False):
        krake.rok("kube", "cluster", "register", "-k", path, "-l", f"location={location}")
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "-L", "location is DE", "echo-demo", "--wait")
    assert krake.rok_json("kube", "app", "get", "echo-demo")["status"]["running_on"]["name"] == "sim-1"
    krake.rok("kube", "app", "update", "echo-demo", "-L", "location is SK")
    wait_for("the move", lambda: krake.rok_json("kube", "app", "get", "echo-demo")["status"]["running_on"]["name"] == "sim-2")
    moved = krake.rok_json("kube", "app", "get", "echo-demo")
    assert [owner["name"] for owner in moved["metadata"]["owners"]] == ["sim-2"]
    krake.rok("kube", "app", "delete", "echo-demo", "--wait", "deleted")
    for name in ("sim-1", "sim-2"):
        krake.rok("kube", "cluster", "delete", name, "--wait", "deleted")


def test_events_tell_the_story(krake: RunningKrake) -> None:
    def told(*about: str, uid: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = krake.rok_json("events", *about)
        return [event for event in events if event["regarding"]["uid"] == uid]

    def reasons(*about: str, uid: str) -> list[str]:
        return [event["reason"] for event in told(*about, uid=uid)]

    cluster = json.loads(krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[0], "-o", "json").stdout)
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo-demo", "--wait", "running")
    uid = krake.rok_json("kube", "app", "get", "echo-demo")["metadata"]["uid"]
    wait_for("the events", lambda: reasons("app", "echo-demo", uid=uid) == ["Scheduled", "Created", "Running"])
    assert reasons("cluster", "sim-1", uid=cluster["metadata"]["uid"]) == ["Online"]
    first = told("app", uid=uid)[0]
    assert (first["message"], first["component"]) == ("Bound to Cluster system:admin/sim-1.", "api")

    krake.rok("kube", "app", "delete", "echo-demo", "--wait", "deleted")
    story = ["Scheduled", "Created", "Running", "DeletionRequested", "Deleting", "Deleted"]
    wait_for("the end of the story", lambda: reasons("app", "echo-demo", uid=uid) == story)
    header, *lines = cells(krake.rok("events", "app", "echo-demo").stdout)
    assert header == ["last", "type", "reason", "object", "count", "component", "message"]
    assert lines[-1][1:6] == ["Normal", "Deleted", "application/echo-demo", "1", "kubernetes-application"]

    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "-L", "location is nowhere", "echo-demo")
    again = krake.rok_json("kube", "app", "get", "echo-demo")["metadata"]["uid"]
    wait_for("the refusal", lambda: reasons(uid=again) == ["FailedScheduling"])
    (refusal,) = told(uid=again)
    assert refusal["type"] == "Warning"
    assert "sim-1: " in refusal["message"]
    krake.rok("kube", "app", "delete", "echo-demo", "--wait", "deleted")
    krake.rok("kube", "cluster", "delete", "sim-1", "--wait", "deleted")
