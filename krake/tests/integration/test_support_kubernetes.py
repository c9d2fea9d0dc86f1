"""What `support/kubernetes` starts is a Kubernetes: its controllers work, its node pretends, and it goes without a trace."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from fixtures.kubernetes import Cluster, RealClusters
from kubernetes_asyncio.client import (
    ApiClient,
    ApiException,
    ApiextensionsV1Api,
    AppsV1Api,
    BatchV1Api,
    CoreV1Api,
    CustomObjectsApi,
)

T = TypeVar("T")
Connect = Callable[[Cluster], Awaitable[ApiClient]]
MakeNamespace = Callable[[Cluster], Awaitable[str]]
COMMAND = Path(__file__).parents[3] / "support" / "kubernetes"


async def eventually(read: Callable[[], Awaitable[T]], holds: Callable[[T], Any], limit: float = 90) -> T:
    """Read until what is read holds, and return it."""
    deadline = time.monotonic() + limit
    while True:
        value = await read()
        if holds(value):
            return value
        assert time.monotonic() < deadline, f"not so within {limit} seconds; last seen: {value}"
        await asyncio.sleep(0.05)


def pods(image: str, **annotations: str) -> Any:
    labels = {"app": "web"}
    named = {key.replace("_", "-"): value for key, value in annotations.items()}
    return {
        "metadata": {"labels": labels, "annotations": {f"fake-node/{key}": value for key, value in named.items()}},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }


def deployment(image: str = "nginx:1.19", replicas: int = 1) -> Any:
    selector = {"matchLabels": {"app": "web"}}
    return {
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": selector, "template": pods(image)},
    }


def service(kind: str) -> Any:
    ports = [{"port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": "web"}, "spec": {"type": kind, "selector": {"app": "web"}, "ports": ports}}


def job(name: str, template: Any) -> Any:
    template["spec"]["restartPolicy"] = "Never"
    return {"metadata": {"name": name}, "spec": {"template": template, "backoffLimit": 0}}


async def test_deployment_becomes_ready_behind_a_service(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters()
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    core, apps = CoreV1Api(api), AppsV1Api(api)

    await apps.create_namespaced_deployment(namespace, deployment(replicas=2))
    created = await core.create_namespaced_service(namespace, service("NodePort"))
    assert 30000 <= created.spec.ports[0].node_port <= 32767

    await eventually(lambda: apps.read_namespaced_deployment("web", namespace), lambda it: it.status.available_replicas == 2)
    endpoints = await eventually(
        lambda: core.read_namespaced_endpoints("web", namespace),
        lambda it: it.subsets and len(it.subsets[0].addresses or ()) == 2,
    )
    seen = await core.list_namespaced_pod(namespace)
    assert {pod.status.pod_ip for pod in seen.items} == {it.ip for it in endpoints.subsets[0].addresses}

    await apps.delete_namespaced_deployment("web", namespace)
    await eventually(lambda: core.list_namespaced_pod(namespace), lambda it: not it.items)


async def test_load_balancer_gets_an_address(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters(controllable=True)
    core, namespace = CoreV1Api(await real_client(cluster)), await real_namespace(cluster)
    await core.create_namespaced_service(namespace, service("LoadBalancer"))
    found = await eventually(lambda: core.read_namespaced_service("web", namespace), lambda it: it.status.load_balancer.ingress)
    assert found.status.load_balancer.ingress[0].ip.startswith("198.51.100.")


@pytest.mark.parametrize(
    ("image", "reason"), [("registry/missing:1", "ImagePullBackOff"), ("registry/crash:1", "CrashLoopBackOff")]
)
async def test_broken_image_never_becomes_ready_until_it_is_replaced(
    image: str, reason: str, real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters(controllable=True)
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    core, apps = CoreV1Api(api), AppsV1Api(api)
    await apps.create_namespaced_deployment(namespace, deployment(image))

    seen = await eventually(
        lambda: core.list_namespaced_pod(namespace), lambda it: it.items and it.items[0].status.container_statuses
    )
    assert seen.items[0].status.container_statuses[0].state.waiting.reason == reason
    assert not (await apps.read_namespaced_deployment("web", namespace)).status.ready_replicas

    await apps.patch_namespaced_deployment("web", namespace, deployment())
    await eventually(
        lambda: apps.read_namespaced_deployment("web", namespace),
        lambda it: it.status.available_replicas == it.status.updated_replicas == it.status.replicas == 1,
    )


async def test_jobs_complete_fail_or_go_on_as_told(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters(controllable=True)
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    batch = BatchV1Api(api)
    await batch.create_namespaced_job(namespace, job("endless", pods("busybox", completes_after="never")))
    await batch.create_namespaced_job(namespace, job("good", pods("busybox")))
    await batch.create_namespaced_job(namespace, job("bad", pods("crash")))

    await eventually(lambda: batch.read_namespaced_job("good", namespace), lambda it: it.status.succeeded == 1)
    await eventually(lambda: batch.read_namespaced_job("bad", namespace), lambda it: it.status.failed == 1)
    endless = await batch.read_namespaced_job("endless", namespace)
    assert (endless.status.active, endless.status.succeeded or 0, endless.status.failed or 0) == (1, 0, 0)


async def test_namespace_goes_with_all_that_is_in_it(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters()
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    core = CoreV1Api(api)
    await AppsV1Api(api).create_namespaced_deployment(namespace, deployment())
    second: Any = {"metadata": {"name": f"{namespace}-2"}}
    await core.create_namespace(second)
    await AppsV1Api(api).create_namespaced_deployment(f"{namespace}-2", deployment())
    await core.delete_namespace(f"{namespace}-2")

    async def names() -> set[str]:
        return {item.metadata.name for item in (await core.list_namespace()).items}

    assert namespace in await eventually(names, lambda it: f"{namespace}-2" not in it)


async def test_custom_resource_is_usable_and_checked(real_clusters: RealClusters, real_client: Connect) -> None:
    (cluster,) = real_clusters()
    api = await real_client(cluster)
    definitions, custom = ApiextensionsV1Api(api), CustomObjectsApi(api)
    group = f"test-{os.getpid()}.example.org"
    size = {"type": "object", "properties": {"size": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": size}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "boats", "singular": "boat", "kind": "Boat"}
    spec = {"group": group, "scope": "Cluster", "names": names, "versions": [version]}
    definition: Any = {"metadata": {"name": f"boats.{group}"}, "spec": spec}
    await definitions.create_custom_resource_definition(definition)
    try:
        boat = {"apiVersion": f"{group}/v1", "kind": "Boat", "metadata": {"name": "a"}, "spec": {"size": 3}}

        async def create() -> Any:
            with suppress(ApiException):  # 404 until the new path is served
                return await custom.create_cluster_custom_object(group, "v1", "boats", boat)

        assert (await eventually(create, lambda it: it))["spec"] == {"size": 3}
        bad = boat | {"metadata": {"name": "b"}, "spec": {"size": "big"}}
        with pytest.raises(ApiException) as refusal:
            await custom.create_cluster_custom_object(group, "v1", "boats", bad)
        assert refusal.value.status == 422
    finally:
        await definitions.delete_custom_resource_definition(f"boats.{group}")


async def test_clusters_are_separate(real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace) -> None:
    first, second = real_clusters(2)
    namespace = await real_namespace(first)
    there = await CoreV1Api(await real_client(second)).list_namespace()
    assert namespace not in {item.metadata.name for item in there.items}
    assert first.name != second.name


async def test_server_proves_itself_and_the_kubeconfig_has_two_ways_in(real_clusters: RealClusters) -> None:
    first, second = real_clusters(2, controllable=True)
    authority = b64decode(first.kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    token = {"Authorization": f"Bearer {first.kubeconfig['users'][1]['user']['token']}"}
    trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority))
    async with aiohttp.ClientSession(connector=trusting) as session:
        async with session.get(f"{first.url}/api/v1/nodes", headers=token) as response:
            assert response.status == 200
        async with session.get(f"{first.url}/api/v1/nodes", headers={"Authorization": "Bearer x"}) as response:
            assert response.status == 401
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{second.url}/api/v1/nodes", headers=token)
    # The current context uses the client certificate; all other tests go by it.
    assert "client-key-data" in first.kubeconfig["users"][0]["user"]


async def test_stopped_cluster_refuses_and_comes_back_with_its_state(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters(controllable=True)
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    cluster.stop()
    assert not cluster.processes
    with pytest.raises(aiohttp.ClientConnectorError):
        await CoreV1Api(api).list_node()

    cluster.start()
    apps = AppsV1Api(api)
    await apps.create_namespaced_deployment(namespace, deployment())
    await eventually(lambda: apps.read_namespaced_deployment("web", namespace), lambda it: it.status.available_replicas == 1)


async def test_paused_cluster_hangs_and_its_node_works_on_afterwards(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters(controllable=True)
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    cluster.pause()
    with pytest.raises(TimeoutError):
        await CoreV1Api(api).list_node(_request_timeout=0.5)
    cluster.resume()

    apps = AppsV1Api(api)
    await apps.create_namespaced_deployment(namespace, deployment())
    await eventually(lambda: apps.read_namespaced_deployment("web", namespace), lambda it: it.status.available_replicas == 1)


async def test_node_that_is_not_ready_runs_nothing(
    real_clusters: RealClusters, real_client: Connect, real_namespace: MakeNamespace
) -> None:
    (cluster,) = real_clusters(controllable=True)
    api, namespace = await real_client(cluster), await real_namespace(cluster)
    core, apps = CoreV1Api(api), AppsV1Api(api)

    async def readiness() -> str:
        conditions = (await core.list_node()).items[0].status.conditions
        return str(next(condition.status for condition in conditions if condition.type == "Ready"))

    cluster.node.set_ready(False)
    assert await readiness() == "False"
    await apps.create_namespaced_deployment(namespace, deployment())
    waiting = await eventually(lambda: core.list_namespaced_pod(namespace), lambda it: it.items)
    assert waiting.items[0].status.phase == "Pending"

    cluster.node.set_ready(True)
    assert await readiness() == "True"
    await eventually(lambda: apps.read_namespaced_deployment("web", namespace), lambda it: it.status.available_replicas == 1)


def processes_of(folder: Path) -> list[int]:
    """Return the ids of all processes that name `folder` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_command_runs_until_it_is_stopped_and_leaves_no_process(
    number: signal.Signals, real_clusters: RealClusters, tmp_path: Path
) -> None:
    real_clusters(controllable=True)  # so that this one is skipped with the others
    command = [sys.executable, str(COMMAND), "--dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        kubeconfig = Path(process.stdout.readline().strip())
        assert kubeconfig == tmp_path / "run" / "cluster-1" / "kubeconfig"
        assert json.loads(kubeconfig.read_text())["current-context"] == "cluster-1"
        assert len(processes_of(tmp_path)) == 4, "itself, etcd, kube-apiserver, kube-controller-manager"

        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert "Pods are SIMULATED" in told
    deadline = time.monotonic() + 5  # the kernel kills the children of a killed process; that is not instant
    while left := processes_of(tmp_path):
        assert time.monotonic() < deadline, f"processes {left} are left"
        time.sleep(0.05)


def test_everything_listens_on_loopback_only(real_clusters: RealClusters) -> None:
    (cluster,) = real_clusters(controllable=True)
    inodes = set()
    for process in cluster.processes:
        for entry in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(os.readlink(entry))
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                listening.append(fields[1].split(":")[0])
    assert listening == ["0100007F"], "the API server on 127.0.0.1, and nothing else"
