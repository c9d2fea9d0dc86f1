"""What `support/kubernetes --pods` starts are clusters that run containers; nothing of them is outside, or left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.kubernetes import Connect, MakeNamespace
from fixtures.real_pods import RealPods
from integration.kubernetes.world import eventually
from integration.pods.containers import Namespace, pod
from kubernetes_asyncio.client import CoreV1Api
from realkube.pods.machine import control_groups

COMMAND = Path(__file__).parents[4] / "support" / "kubernetes"
MACHINE = "10.200.0.254"


@pytest.fixture
async def namespaces(real_pods: RealPods, real_client: Connect, real_namespace: MakeNamespace) -> list[Namespace]:
    """One in each cluster."""
    return [Namespace(CoreV1Api(await real_client(cluster)), await real_namespace(cluster)) for cluster in real_pods.clusters]


@pytest.fixture
def namespace(namespaces: list[Namespace]) -> Namespace:
    return namespaces[0]


@pytest.fixture
async def listener(real_pods: RealPods) -> AsyncIterator[str]:
    """A server of this machine that Pods reach; it answers ``hello``."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        yield real_pods.admit(server.sockets[0].getsockname()[1])


def mounted(kind: dict[str, Any]) -> dict[str, Any]:
    """What a Pod needs to have a volume at /data."""
    return {
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        "volumes": [{"name": "data", **kind}],
    }


async def test_containers_run_and_their_logs_are_read(namespace: Namespace) -> None:
    assert await namespace.run(pod("busy", "sh", "-c", "echo from busybox")) == "from busybox\n"
    said = await namespace.run(
        pod("snake", "python3", "-c", "import ssl, sys; print(sys.version_info.major)", image="python:3.9")
    )
    assert said == "3\n"


async def test_containers_reach_of_this_machine_what_is_let_in_and_nothing_else(namespace: Namespace, listener: str) -> None:
    assert await namespace.run(pod("in", "wget", "-qO-", f"http://{listener}/")) == "hello"
    script = f"wget -qO- http://{MACHINE}:1/ || wget -qO- http://127.0.0.1:{listener.split(':')[1]}/ || echo unreachable"
    assert "unreachable" in await namespace.run(pod("out", "sh", "-c", script))
    assert "unreachable" in await namespace.run(pod("world", "sh", "-c", "wget -qO- http://192.0.2.1/ || echo unreachable"))


async def test_an_absent_image_is_refused_at_once(namespace: Namespace) -> None:
    await namespace.start(pod("absent", "true", image="registry.example/absent:1"))

    async def complaint() -> str:
        statuses = (await namespace.read("absent")).status.container_statuses
        return str(statuses[0].state.waiting.message) if statuses else ""

    said = await eventually(complaint, lambda seen: "absent" in seen, deadline=15)
    assert "registry.example/absent:1" in said


async def test_each_cluster_has_its_own_volumes(namespaces: list[Namespace]) -> None:
    claim: Any = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    for namespace in namespaces:
        await namespace.core.create_namespaced_persistent_volume_claim(namespace.name, claim)
        volume = mounted({"persistentVolumeClaim": {"claimName": "data"}})
        assert await namespace.run(pod("write", "sh", "-c", "ls /data; echo kept > /data/file", **volume)) == ""
        volume = mounted({"persistentVolumeClaim": {"claimName": "data"}})
        assert await namespace.run(pod("read", "cat", "/data/file", **volume)) == "kept\n"
    paths = [each.spec.host_path.path for each in (await namespaces[0].core.list_persistent_volume()).items]
    assert paths
    assert not any(map(os.path.exists, paths)), "the machine itself has nothing of it"


async def test_the_files_of_the_machine_cannot_be_changed(namespace: Namespace, tmp_path: Path) -> None:
    host = mounted({"hostPath": {"path": "/"}})
    script = "for folder in etc usr; do touch /data/$folder/of-a-pod && echo written; done; touch /data/tmp/of-a-pod"
    assert "written" not in await namespace.run(pod("vandal", "sh", "-c", script, **host))
    assert not any("of-a-pod" in os.listdir(folder) for folder in ("/etc", "/usr", "/tmp"))


async def test_pods_of_one_cluster_reach_node_ports_of_the_other(real_pods: RealPods, namespaces: list[Namespace]) -> None:
    here, there = namespaces
    await there.start(pod("web", "httpd", "-fv", "-p", "8000", "-h", "/etc"))
    service: Any = {"spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 8000}]}}
    made = await there.core.create_namespaced_service(there.name, {"metadata": {"name": "web"}, **service})
    await there.until_running("web")
    address = f"{real_pods.clusters[1].node_address}:{made.spec.ports[0].node_port}"
    script = f"until wget -qO- http://{address}/passwd; do sleep 0.2; done"
    assert (await here.run(pod("ask", "sh", "-c", script))).startswith("root:")


async def test_a_cluster_that_is_cut_off_hangs_and_goes_on_afterwards(real_pods: RealPods, namespace: Namespace) -> None:
    first = real_pods.clusters[0]

    async def readiness() -> str:
        conditions = (await namespace.core.list_node()).items[0].status.conditions
        return str(next(each.status for each in conditions if each.type == "Ready"))

    await namespace.start(pod("patient", "sleep", "3600"))
    await namespace.until_running("patient")
    real_pods.cut(first)
    try:
        with pytest.raises((TimeoutError, aiohttp.ClientError)):
            await namespace.core.list_node(_request_timeout=1)
    finally:
        real_pods.heal(first)
    assert await eventually(readiness, lambda seen: seen == "True") == "True"
    seen = await namespace.read("patient")
    assert (seen.status.phase, seen.status.container_statuses[0].restart_count) == ("Running", 0)


def left_of(folder: Path, parent: int) -> list[object]:
    """Return the processes that name a folder, and the control groups of a process."""
    groups = [group for home in control_groups().values() for group in home.glob(f"krake-pods-{parent}")]
    return [*processes_of(folder), *groups]


def processes_of(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_leaves_nothing_however_it_ends(number: signal.Signals, real_pods: RealPods, tmp_path: Path) -> None:
    command = [sys.executable, str(COMMAND), "--pods", "--clusters", "1"]
    variables = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout
        kubeconfig = Path(process.stdout.readline().strip())
        if kubeconfig != Path():  # else it tells why it ends
            assert kubeconfig.is_relative_to(tmp_path)
            assert len(processes_of(tmp_path)) > 6, "containerd, kubelet, kube-proxy, the control plane and etcd"
            process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0), told
    deadline = time.monotonic() + 20  # the kernel needs a moment to end what runs in a sandbox
    while left := [*left_of(tmp_path, process.pid), *tmp_path.iterdir()]:
        assert time.monotonic() < deadline, f"{left} is left"
        time.sleep(0.05)
