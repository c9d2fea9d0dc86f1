"""A cluster is lost for good, and comes back: applications go elsewhere by themselves, and nothing is left behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.up import RunningKrake, StartKrake, wait_for

ROOT = Path(__file__).parents[3]
ECHO_DEMO = "examples/templates/applications/echo-demo.yaml"


@pytest.fixture(scope="module")
def krake(start_krake: StartKrake) -> RunningKrake:
    return start_krake("--simulated-clusters", "1", variables={"KRAKE_FAILOVER_AFTER": "2"})


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[[], tuple[Path, subprocess.Popen[bytes]]]]:
    """Starts a simulated cluster in a process of its own, which can be killed; gives its kubeconfig."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[Path, subprocess.Popen[bytes]]:
        ready = tmp_path / "ready.json"
        command = [sys.executable, "-m", "krake.simulator", "--dir", str(tmp_path), "--ready-file", str(ready)]
        processes.append(subprocess.Popen(command))
        wait_for("the simulator", ready.exists)
        return Path(json.loads(ready.read_text())["clusters"][0]["kubeconfig"]), processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def status(krake: RunningKrake, kind: str, name: str) -> Any:
    return krake.rok_json("kube", kind, "get", name)["status"]


def runs_on(krake: RunningKrake, app: str) -> str | None:
    """The name of the cluster where an application is ready."""
    found = status(krake, "app", app)
    ready = found["state"] == "RUNNING" and found["running_on"] == found["scheduled_to"]
    return found["running_on"]["name"] if ready else None


def test_applications_leave_a_lost_cluster_by_themselves(
    krake: RunningKrake, simulate: Callable[[], tuple[Path, subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    kubeconfig, process = simulate()
    krake.rok("kube", "cluster", "register", "-k", kubeconfig, "--name", "doomed", "--label", "zone=a", "--wait")
    for name in ("echo", "bound"):
        manifest = tmp_path / f"{name}.yaml"
        manifest.write_text((ROOT / ECHO_DEMO).read_text().replace("echo", name))
        krake.rok("kube", "app", "create", "-f", manifest, name, "--cluster-label-constraint", "zone is a", "--wait")
    krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[0], "--name", "safe", "--wait")
    krake.rok("kube", "app", "update", "echo", "--remove-existing-label-constraints", "--wait")
    process.send_signal(signal.SIGSTOP)  # it hangs
    wait_for("the move", lambda: runs_on(krake, "echo") == "safe")
    assert status(krake, "cluster", "doomed")["out_of_use"] is not None
    stays = status(krake, "app", "bound")
    assert (stays["scheduled_to"]["name"], stays["reason"]["code"]) == ("doomed", "CLUSTER_NOT_REACHABLE")
    process.send_signal(signal.SIGCONT)  # it is back, with what was left there
    wait_for("the return", lambda: status(krake, "cluster", "doomed")["state"] == "ONLINE")
    wait_for("the application that stayed", lambda: runs_on(krake, "bound") == "doomed")
    wait_for("the old copy to go", lambda: [each["name"] for each in status(krake, "app", "echo")["placed_on"]] == ["safe"])
    assert runs_on(krake, "echo") == "safe"
