"""The story of `docs/user/local-clusters.md`, as its reader types it, on real control planes; and what if parts are killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.kubernetes import RealClusters
from fixtures.local_clusters import READY_LIMIT, LocalClusters
from fixtures.stories import ECHO_DEMO
from fixtures.terminal import commands
from fixtures.up import ROOT, RunningKrake, StartKrake, alive, wait_for

PAGE = ROOT / "docs" / "user" / "local-clusters.md"
ELSEWHERE = {
    "source .venv/bin/activate": "the environment of the tests",
    "support/kubernetes --build-only": "built already",
    "krake up --local-clusters": "runs already",
}
QUICK = {"KRAKE_OBSERVE_INTERVAL": "1", "KRAKE_POLL_INTERVAL": "0.5", "KRAKE_SEARCH_TIME": "3"}
TEMPLATE = "examples/clusters/local.yaml"


@pytest.fixture(scope="module")
def laptop(real_clusters: RealClusters, start_krake: StartKrake) -> Iterator[RunningKrake]:
    """A Krake that makes clusters on this machine, which are gone in the end."""
    real_clusters.programs()
    krake = start_krake("--local-clusters", variables=QUICK)
    yield krake
    LocalClusters(krake.directory / "local-clusters").close()
    krake.stop()


def cluster(krake: RunningKrake, name: str) -> Any:
    return krake.rok_json("kube", "cluster", "get", name)


def await_nodes(krake: RunningKrake, name: str, count: int) -> Any:
    """Wait until a cluster works on so many nodes, and return it."""

    def reached() -> Any:
        found = cluster(krake, name)
        status = found["status"]
        ready = [node for node in status["nodes"] if "True" in str(node)]
        known = (status["infrastructure"] or {"machines": {}})["machines"]
        done = status["state"] == "ONLINE" and len(ready) == len(known) == count
        return found if done and set(known.values()) == {"configured"} else None

    return wait_for(f"{name} with {count} nodes", reached, READY_LIMIT)


def test_the_page_is_true(laptop: RunningKrake, tmp_path: Path) -> None:
    for name in ("examples", "support"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "tmp").symlink_to(laptop.directory)
    shutil.copy(laptop.directory / "rok.yaml", tmp_path / "rok.yaml")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    folder = laptop.directory / "local-clusters"
    typed = [command for command in commands(PAGE) if command not in ELSEWHERE]
    assert f"$ {typed[0]}" in laptop.log.replace("Local: ", "$ ")
    for command in typed:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}\n{laptop.log[-6000:]}"
        if command.startswith("rok kube cluster create"):
            await_nodes(laptop, "dev", 3)
        elif command.startswith("rok kube app create"):
            (made,) = folder.glob("krake-*")
            assert set(LocalClusters(folder).nodes(made.name)) == {"front", "wn-1", "wn-2"}
            assert "dev" in str(laptop.rok_json("kube", "app", "get", "echo-demo")["status"]["running_on"])
        elif command.startswith("rok kube cluster update"):
            await_nodes(laptop, "dev", 4)
        elif command.startswith("rok kube cluster delete"):
            assert list(folder.glob("krake-*")) == []
            assert list(LocalClusters(folder).processes(made.name)) == []
    assert laptop.rok_json("infra", "provider", "list") == []


@pytest.fixture
def here(laptop: RunningKrake) -> Iterator[LocalClusters]:
    """The clusters of a cloud that Krake knows, of which there are none in the end, either."""
    laptop.rok("infra", "provider", "register", "--type", "local", "laptop")
    laptop.rok("infra", "cloud", "register", "--type", "local", "--infra-provider", "laptop", "here")
    clusters = LocalClusters(laptop.directory / "local-clusters")
    yield clusters
    for name in ("app", "cluster"):
        for item in laptop.rok_json("kube", name, "list"):
            laptop.rok("kube", name, "delete", item["metadata"]["name"], "--wait", "deleted")
    laptop.rok("infra", "cloud", "delete", "here")
    laptop.rok("infra", "provider", "delete", "laptop")
    assert clusters.ask("list") == {"infrastructures": []}


def test_whoever_is_killed_there_is_one_cluster_which_works(laptop: RunningKrake, here: LocalClusters) -> None:
    laptop.rok("kube", "cluster", "create", "-f", TEMPLATE, "dev")
    kill_running(here, "create")
    os.kill(laptop.ready["pids"]["infrastructure"], signal.SIGKILL)
    await_nodes(laptop, "dev", 3)
    (made,) = here.ask("list")["infrastructures"]
    assert made["id"] == cluster(laptop, "dev")["status"]["cluster_id"]
    laptop.rok("kube", "app", "create", "-f", ECHO_DEMO, "echo-demo", "--wait", "running")

    # It goes on without the controller, and is mended by it.
    keeper, before = here.keeper(made["id"]), set(here.processes(made["id"]))
    os.kill(laptop.ready["pids"]["infrastructure"], signal.SIGKILL)
    assert alive(keeper)
    os.kill(keeper, signal.SIGKILL)
    wait_for("another keeper", lambda: set(here.processes(made["id"])) - before, READY_LIMIT)
    await_nodes(laptop, "dev", 3)
    assert here.ask("list")["infrastructures"] == [made]
    get = ("kube", "app", "get", "echo-demo")
    wait_for("the application", lambda: laptop.rok_json(*get)["status"]["state"] == "RUNNING", READY_LIMIT)


def test_a_wrong_template_is_told_to_its_author(laptop: RunningKrake, here: LocalClusters, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / TEMPLATE).read_text().replace("default: 2", "default: 1000"))
    laptop.rok("kube", "cluster", "create", "-f", wrong, "dev")
    found = wait_for("a reason", lambda: cluster(laptop, "dev")["status"]["reason"])
    assert "Local infrastructure does not understand the template: it asks for 1000 of wn" in found["message"]


def test_krake_up_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "krake", "up", "--api-port", "0", "--data-dir", str(tmp_path), "--local-clusters"]
    environment = os.environ | {"KRAKE_KUBERNETES_BIN": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "No clusters can be made on this machine: KRAKE_KUBERNETES_BIN names" in done.stderr
    done = subprocess.run([*command, str(tmp_path / "absent")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "can not be started" in done.stderr


def kill_running(clusters: LocalClusters, verb: str, limit: float = 30) -> None:
    """Kill the program as soon as it has begun to answer a verb."""
    words = f"--dir={clusters.folder}\0{verb}\0".encode()
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        for name in os.listdir("/proc"):
            if name.isdecimal() and read(Path("/proc", name, "cmdline")).endswith(words):
                os.kill(int(name), signal.SIGKILL)
                return
    pytest.fail(f"nobody was asked to {verb}")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
