"""What `support/local-clusters` makes is a cluster, and whoever is killed at whatever moment, nothing is left or doubled."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fixtures.kubernetes import RealClusters
from fixtures.local_clusters import LocalClusters, local_template
from fixtures.up import alive, wait_for
from kubernetes_asyncio.client import ApiClient, AppsV1Api, CoreV1Api
from kubernetes_asyncio.config import new_client_from_config_dict

MARK = "krake-test"


@pytest.fixture(scope="module")
def shared(real_clusters: RealClusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClusters]:
    """One cluster with a front end and two workers, ready."""
    real_clusters.programs()
    clusters = LocalClusters(tmp_path_factory.mktemp("shared"))
    assert clusters.ask("create", mark=MARK, template=local_template(front=1, wn=2)) == {"id": MARK}
    clusters.await_phase(MARK, "configured")
    yield clusters
    clusters.close()


async def connect(clusters: LocalClusters) -> ApiClient:
    return await new_client_from_config_dict(clusters.ask("kubeconfig", id=MARK)["kubeconfig"])


async def nodes_of_pods(api: ApiClient) -> list[str]:
    """The nodes on which Pods are ready."""
    pods = (await CoreV1Api(api).list_namespaced_pod("default")).items
    return [
        pod.spec.node_name
        for pod in pods
        if pod.metadata.deletion_timestamp is None
        and any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
    ]


async def test_pods_run_on_workers_and_are_made_anew_when_theirs_goes(shared: LocalClusters) -> None:
    shared.ask("update", id=MARK, template=local_template(front=1, wn=2))
    shared.await_phase(MARK, "configured")
    async with await connect(shared) as api:
        container = {"name": "web", "image": "web", "resources": {"requests": {"cpu": "1"}}}
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 4, "selector": {"matchLabels": labels}, "template": template}
        await AppsV1Api(api).create_namespaced_deployment("default", {"metadata": {"name": "web"}, "spec": spec})
        seen: list[str] = []
        deadline = time.monotonic() + 30
        while len(seen) < 4 and time.monotonic() < deadline:
            seen = await nodes_of_pods(api)
        assert set(seen) == {"wn-1", "wn-2"}
        shared.ask("update", id=MARK, template=local_template(front=1, wn=1))
        assert shared.await_phase(MARK, "configured")["machines"] == {"front-1": "configured", "wn-1": "configured"}
        assert shared.nodes(MARK) == ["front-1", "wn-1"]
        while seen != 4 * ["wn-1"] and time.monotonic() < deadline + 30:
            seen = await nodes_of_pods(api)
        assert seen == 4 * ["wn-1"]


async def test_a_cluster_whose_keeper_is_killed_ends_and_can_be_started_again(shared: LocalClusters) -> None:
    async with await connect(shared) as api:
        await CoreV1Api(api).create_namespaced_config_map("default", {"metadata": {"name": "kept"}})
    pids = shared.processes(MARK)
    os.kill(shared.keeper(MARK), signal.SIGKILL)
    found = shared.await_phase(MARK, "unconfigured")
    assert found["message"] == "The cluster does not run: the process that keeps it has ended."
    wait_for("its processes to end", lambda: not any(map(alive, pids)))
    assert shared.ask("reconfigure", id=MARK) == {}
    assert shared.await_phase(MARK, "configured")["message"] is None
    async with await connect(shared) as api:
        assert (await CoreV1Api(api).read_namespaced_config_map("kept", "default")).metadata.name == "kept"


def test_a_part_that_ends_is_told(shared: LocalClusters) -> None:
    scheduler = next(pid for pid in shared.processes(MARK) if "kube-scheduler" in os.readlink(f"/proc/{pid}/exe"))
    os.kill(scheduler, signal.SIGKILL)
    assert "kube-scheduler ended by itself" in shared.await_phase(MARK, "unconfigured")["message"]
    shared.ask("update", id=MARK, template=local_template(front=1, wn=1))
    shared.await_phase(MARK, "configured")


def test_a_frozen_cluster_is_started_anew(shared: LocalClusters) -> None:
    api_server = next(pid for pid in shared.processes(MARK) if "kube-apiserver" in os.readlink(f"/proc/{pid}/exe"))
    os.kill(api_server, signal.SIGSTOP)
    shared.ask("reconfigure", id=MARK)
    assert shared.await_phase(MARK, "configured")["phase"] == "configured"
    assert not alive(api_server)


def test_creating_it_again_makes_no_second_one(shared: LocalClusters) -> None:
    pids = set(shared.processes(MARK))
    assert shared.ask("create", mark=MARK, template=local_template(front=1)) == {"id": MARK}
    assert shared.ask("list")["infrastructures"] == [{"id": MARK, "mark": MARK}]
    assert set(shared.processes(MARK)) == pids


def test_a_cluster_that_cannot_start_says_why_and_starts_when_it_can(local_clusters: LocalClusters) -> None:
    local_clusters.break_programs(True)
    local_clusters.ask("create", mark=MARK, template=local_template(front=1))
    assert "kube-apiserver ended with status 3" in local_clusters.await_phase(MARK, "unconfigured")["message"]
    assert local_clusters.ask("kubeconfig", id=MARK) == {"kubeconfig": None}
    local_clusters.break_programs(False)
    local_clusters.ask("reconfigure", id=MARK)
    assert local_clusters.await_phase(MARK, "configured")["machines"] == {"front-1": "configured"}


@pytest.mark.parametrize("seed", range(2))
def test_whoever_is_killed_when_a_cluster_is_made_leaves_nothing(seed: int, local_clusters: LocalClusters) -> None:
    chance = random.Random(seed)
    for number in range(4):
        _ask_and_kill(local_clusters, "create", {"mark": MARK, "template": local_template(front=1)}, chance.uniform(0, 0.5))
        if number % 2 and (pids := local_clusters.processes(MARK)):
            os.kill(chance.choice(pids), signal.SIGKILL)
        found = [each["id"] for each in local_clusters.ask("list")["infrastructures"]]
        assert found in ([], [MARK])
        if found:
            assert local_clusters.ask("observe", id=MARK)["phase"] in ("creating", "unconfigured")
    pids = local_clusters.processes(MARK)
    while local_clusters.ask("list")["infrastructures"]:
        _ask_and_kill(local_clusters, "delete", {"id": MARK}, chance.uniform(0.1, 0.6))
    assert not any(map(alive, pids))
    assert local_clusters.processes(MARK) == []
    assert local_clusters.ask("observe", id=MARK) == os.EX_NOINPUT
    assert [path.name for path in local_clusters.folder.iterdir()] == [".lock"]


def test_many_at_once_get_in_nobodys_way(local_clusters: LocalClusters) -> None:
    question = json.dumps({"mark": MARK, "template": local_template(front=1)}).encode()
    asked = [_start(local_clusters, "create", question) for _ in range(6)]
    assert {process.wait(60) for process in asked} == {0}
    assert len([pid for pid in local_clusters.processes(MARK) if b"\0keep\0" in _words(pid)]) == 1
    assert len(local_clusters.ask("list")["infrastructures"]) == 1


def test_there_are_not_too_many(local_clusters: LocalClusters) -> None:
    command = [*local_clusters.command, "--most=0", "create"]
    question = json.dumps({"mark": MARK, "template": local_template(front=1)})
    done = subprocess.run(command, input=question, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (os.EX_DATAERR, "")
    assert done.stderr == "There are 0 local clusters, and no more are allowed here; delete one.\n"


def test_a_folder_that_can_not_be_used_is_told(local_clusters: LocalClusters) -> None:
    command = [*local_clusters.command, "--dir=/proc/none", "list"]
    done = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert done.stderr == "/proc/none can not be used (No such file or directory).\n"


@pytest.mark.parametrize(
    ("verb", "question", "status"),
    [
        ("create", {"mark": "../escape", "template": local_template(front=1)}, os.EX_USAGE),
        ("create", {"mark": "x" * 64, "template": local_template(front=1)}, os.EX_USAGE),
        ("create", {"mark": MARK, "template": {}}, os.EX_DATAERR),
        ("create", {"mark": MARK}, os.EX_USAGE),
        ("create", {}, os.EX_USAGE),
        ("observe", {"id": ".."}, os.EX_NOINPUT),
        ("observe", {"id": "absent"}, os.EX_NOINPUT),
        ("delete", {"id": "."}, os.EX_NOINPUT),
        ("delete", {"id": ""}, os.EX_NOINPUT),
        ("kubeconfig", {"id": 7}, os.EX_USAGE),
    ],
)
def test_wrong_questions_are_refused(verb: str, question: Any, status: int, local_clusters: LocalClusters) -> None:
    assert local_clusters.ask(verb, **question) == status
    assert local_clusters.ask("list") == {"infrastructures": []}


def _ask_and_kill(clusters: LocalClusters, verb: str, question: Any, after: float) -> None:
    """Ask, and kill who answers after some seconds."""
    process = _start(clusters, verb, json.dumps(question).encode())
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start(clusters: LocalClusters, verb: str, question: bytes) -> subprocess.Popen[bytes]:
    command = [*clusters.command, verb]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(question)
    process.stdin.close()
    return process


def _words(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
