"""Clusters are drained, deleted and lost while an application runs there, by the commands that people type."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.up import RunningKrake, StartKrake, wait_for

ECHO_DEMO = "examples/templates/applications/echo-demo.yaml"
GRACE = "3"
"""Seconds for which a lost cluster that is being deleted is waited for."""


@pytest.fixture(scope="module")
def krake(start_krake: StartKrake) -> RunningKrake:
    return start_krake("--simulated-clusters", "2", variables={"KRAKE_LOST_CLUSTER_GRACE": GRACE})


@pytest.fixture(autouse=True)
def clean(krake: RunningKrake) -> Iterator[None]:
    """Remove what a failed test left behind."""
    yield
    for kind in ("app", "cluster"):
        for item in krake.rok_json("kube", kind, "list"):
            krake.rok("kube", kind, "delete", item["metadata"]["name"], "--force")


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A simulated cluster in a process of its own, which can be killed; with its kubeconfig."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "krake.simulator", "--dir", str(tmp_path), "--ready-file", str(ready)]
    process = subprocess.Popen(command)
    try:
        wait_for("the simulator", ready.exists)
        yield Path(json.loads(ready.read_text())["clusters"][0]["kubeconfig"]), process
    finally:
        process.kill()
        process.wait()


def register(krake: RunningKrake, path: Path, name: str) -> None:
    krake.rok("kube", "cluster", "register", "-k", path, "--name", name, "--wait")


def status(krake: RunningKrake) -> Any:
    return krake.rok_json("kube", "app", "get", "echo")["status"]


def place(krake: RunningKrake) -> str | None:
    """The name of the cluster where the application is ready."""
    found = status(krake)
    ready = found["state"] == "RUNNING" and found["running_on"] == found["scheduled_to"]
    return found["running_on"]["name"] if ready else None


def registered(krake: RunningKrake) -> list[str]:
    return [each["metadata"]["name"] for each in krake.rok_json("kube", "cluster", "list")]


def test_a_cluster_is_drained_and_deleted(krake: RunningKrake) -> None:
    first, second = krake.kubeconfigs
    register(krake, first, "one")
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo", "--wait")
    register(krake, second, "two")
    drained = krake.rok("kube", "cluster", "drain", "one", "--wait", "--timeout", "30")
    assert "application echo: has left" in drained.stderr
    assert "no (draining)" in drained.stdout
    assert place(krake) == "two"
    krake.rok("kube", "cluster", "uncordon", "one")

    krake.rok("kube", "app", "update", "echo", "--disable-migration", "--wait")
    stuck = krake.rok("kube", "cluster", "drain", "two", "--wait", "--timeout", "30", check=False)
    assert stuck.returncode == 1
    assert "some may not move: echo" in stuck.stderr
    assert "it does not allow migration" in status(krake)["reason"]["message"]

    krake.rok("kube", "cluster", "delete", "two", "--wait")
    wait_for("the move", lambda: place(krake) == "one")
    krake.rok("kube", "cluster", "delete", "one", "--wait")
    found = status(krake)
    assert (found["state"], found["reason"]["code"]) == ("PENDING", "NO_SUITABLE_RESOURCE")
    register(krake, first, "one")
    wait_for("the return", lambda: place(krake) == "one")

    krake.rok("kube", "cluster", "delete", "one", "--cascade", "--wait")
    assert krake.rok_json("kube", "app", "list") == []
    assert registered(krake) == []


def test_a_taint_sends_away_who_does_not_tolerate_it(krake: RunningKrake) -> None:
    first, second = krake.kubeconfigs
    register(krake, first, "one")
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo", "--wait")
    register(krake, second, "two")
    krake.rok("kube", "cluster", "taint", "one", "maintenance=soon:NoExecute")
    wait_for("the move", lambda: place(krake) == "two")
    krake.rok("kube", "app", "update", "echo", "--toleration", "maintenance", "--wait")
    krake.rok("kube", "cluster", "taint", "two", "maintenance:NoSchedule", "maintenance:NoExecute")
    krake.rok("kube", "cluster", "taint", "one", "maintenance-")
    assert place(krake) == "two"


def test_a_cluster_that_vanished_holds_nothing_up(krake: RunningKrake, doomed: tuple[Path, subprocess.Popen[bytes]]) -> None:
    path, process = doomed
    register(krake, path, "doomed")
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo", "--wait")
    assert place(krake) == "doomed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    krake.rok("kube", "cluster", "delete", "doomed", "--wait", "--timeout", "60")
    found = status(krake)
    assert (found["state"], found["scheduled_to"], found["running_on"]) == ("PENDING", None, None)
    register(krake, krake.kubeconfigs[0], "one")
    wait_for("the return", lambda: place(krake) == "one")
    reasons = {event["reason"] for event in krake.rok_json("events", "app", "echo")}
    assert {"Unbound", "LetGo"} <= reasons
