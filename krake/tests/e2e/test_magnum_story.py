"""The story of `docs/user/magnum.md`, as its reader types it, in a simulated cloud; and what if the controller is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.stories import send
from fixtures.terminal import commands
from fixtures.up import ROOT, RunningKrake, wait_for

PAGE = ROOT / "docs" / "user" / "magnum.md"


@pytest.fixture
def openrc(cloudy_krake: RunningKrake) -> dict[str, str]:
    """What the openrc file of a simulated cloud sets, and the id of its cluster template."""
    cloud = cloudy_krake.ready["simulated"]["clouds"][0]
    return {
        "OS_AUTH_URL": f"{cloud['url']}/v3",
        "OS_USER_ID": cloud["user_id"],
        "OS_PASSWORD": cloud["password"],
        "OS_PROJECT_ID": cloud["project_id"],
        "TEMPLATE": cloud["template"],
    }


def type_in(krake: RunningKrake, command: str, folder: Path, openrc: dict[str, str]) -> str:
    environment = os.environ | openrc | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    (folder / "rok.yaml").write_text((krake.directory / "rok.yaml").read_text())
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_page_is_true(cloudy_krake: RunningKrake, openrc: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    shown = {command: type_in(cloudy_krake, command, tmp_path, openrc) for command in commands(PAGE)}
    assert "my-cluster-" in next(text for command, text in shown.items() if command.startswith("rok kube cluster list"))
    assert "MagnumClusterRunning" in shown["rok events magnumcluster my-cluster"]
    assert "ONLINE" in shown["rok os project get my-project"]
    assert cloudy_krake.rok_json("os", "project", "list") == cloudy_krake.rok_json("kube", "cluster", "list") == []


def test_a_controller_that_is_killed_creates_no_second_cluster(
    cloudy_krake: RunningKrake, openrc: dict[str, str], tmp_path: Path
) -> None:
    type_in(cloudy_krake, "rok os project create --no-wait --template $TEMPLATE p", tmp_path, openrc)
    cloudy_krake.rok("os", "cluster", "create", "c", "--wait", "creating")
    os.kill(cloudy_krake.ready["pids"]["magnum"], signal.SIGKILL)

    def clusters() -> list[Any]:
        return send(cloudy_krake, "GET", "/kubernetes/namespaces/system%3Aadmin/clusters")["items"]

    wait_for("the cluster", lambda: [each["status"]["state"] for each in clusters()] == ["ONLINE"], 60)
    status = cloudy_krake.rok_json("os", "cluster", "get", "c")["status"]
    assert (status["state"], status["phase"], status["attempts"]) == ("RUNNING", "CREATE_COMPLETE", 0)
    cloudy_krake.rok("os", "cluster", "delete", "c", "--wait")
    cloudy_krake.rok("os", "project", "delete", "p", "--wait")
    assert clusters() == []
