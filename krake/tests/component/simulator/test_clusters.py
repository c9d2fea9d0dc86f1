"""Simulated clusters as others see them: they say what they are, answer on their services, fail on demand and recover."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from fixtures.kubernetes_api import MERGE, KubernetesApi
from fixtures.simulator import QUICK, StartClusters
from kubernetes_asyncio.client import ApiClient, AppsV1Api, CoreV1Api
from kubernetes_asyncio.config import new_client_from_config_dict

from krake.simulator import Failure, Settings, SimulatedCluster

Object = dict[str, Any]


@pytest.fixture
async def cluster(simulated_clusters: StartClusters) -> SimulatedCluster:
    (started,) = await simulated_clusters()
    return started


@pytest.fixture
async def api(cluster: SimulatedCluster) -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi(cluster.kubeconfig) as connected:
        yield connected


async def eventually(holds: Callable[[], bool], limit: float = 60) -> None:
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, f"not so within {limit} seconds"
        await asyncio.sleep(0.01)


def deployment(replicas: int = 1, name: str = "echo-demo") -> Object:
    container = {"name": "echo", "image": "registry.k8s.io/echoserver:1.10"}
    template = {"metadata": {"labels": {"app": "echo"}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "echo"}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def service(type_: str = "NodePort", port: int = 8080) -> Object:
    spec = {"type": type_, "selector": {"app": "echo"}, "ports": [{"port": port, "protocol": "TCP"}]}
    return {"metadata": {"name": "echo-demo"}, "spec": spec}


def bind_node_port(bound: socket.socket) -> int:
    for port in range(30000, 32768):
        with suppress(OSError):
            bound.bind(("127.0.0.1", port))
            return port
    raise AssertionError("all node ports are taken")


DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SERVICES = "/api/v1/namespaces/default/services"


async def start_echo(api: KubernetesApi, type_: str = "NodePort", replicas: int = 1) -> Object:
    made = await api.post(SERVICES, service(type_))
    await api.post(DEPLOYMENTS, deployment(replicas))
    ready = {"availableReplicas": replicas}
    await api.wait(f"{DEPLOYMENTS}/echo-demo", lambda answer: ready.items() <= answer.body["status"].items())
    await api.wait("/api/v1/namespaces/default/endpoints/echo-demo", lambda answer: answer.body.get("subsets"))
    return dict(made.body)


async def visit(url: str, **options: Any) -> str:
    """What a Service answers; it may take a moment until it listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            async with aiohttp.ClientSession() as session, session.request("GET", url, **options) as response:
                assert response.headers["X-Simulated"] == "krake"
                return await response.text()
        except aiohttp.ClientConnectionError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def is_refused(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url):
            return False
    except aiohttp.ClientConnectorError:
        return True
    except aiohttp.ClientConnectionError:
        return False  # cut off while it was closing


class TestHonesty:
    async def test_it_says_that_it_is_simulated(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        version = await api.get("/version")
        assert version.body["gitVersion"] == "v1.31.0+krake-simulator"
        assert version.headers["X-Simulated"] == "krake"
        (node,) = (await api.get("/api/v1/nodes")).body["items"]
        assert "simulated" in node["metadata"]["annotations"]["krake.simulator/notice"]
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.31.0+krake-simulator"
        assert "not a real Kubernetes cluster" in cluster.kubeconfig_text()
        assert cluster.kubeconfig["clusters"][0]["cluster"]["extensions"][0]["name"] == "krake-simulator"
        assert (await api.get("/nowhere")).headers["X-Simulated"] == "krake"

    async def test_kubeconfig(self, cluster: SimulatedCluster) -> None:
        config = yaml.safe_load(cluster.kubeconfig_text())
        assert config == cluster.kubeconfig
        assert [len(config[part]) for part in ("clusters", "users", "contexts")] == [1, 1, 1]
        assert config["clusters"][0]["name"] == "sim-1"
        async with await new_client_from_config_dict(config) as client:
            nodes = await CoreV1Api(client).list_node()
        assert [node.metadata.name for node in nodes.items] == ["sim-1-node-1"]

    async def test_requests_without_credentials_are_refused(self, cluster: SimulatedCluster) -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("/api/v1/nodes", "/version", "/_simulator"):
                assert (await session.get(cluster.url + path)).status == 401


class TestServices:
    async def test_node_port_answers_with_the_pod(self, api: KubernetesApi) -> None:
        port = (await start_echo(api))["spec"]["ports"][0]["nodePort"]
        (pod,) = (await api.get("/api/v1/namespaces/default/pods")).body["items"]
        text = await visit(f"http://127.0.0.1:{port}/some?path=1", data="hello", headers={"X-Mine": "yes"})
        assert f"Hostname: {pod['metadata']['name']}\n" in text
        assert "Hostname: echo-demo-" in text
        for part in ("Pod Information:", "Server values:", "Request Information:", "Request Headers:", "Request Body:"):
            assert f"\n{part}\n" in text
        assert "server_version=krake-simulator" in text
        assert "real path=/some?path=1\n" in text
        assert "\tx-mine=yes\n" in text
        assert "\thello\n" in text

    async def test_pods_take_turns(self, api: KubernetesApi) -> None:
        port = (await start_echo(api, replicas=2))["spec"]["ports"][0]["nodePort"]
        texts = {(await visit(f"http://127.0.0.1:{port}/")).split("Hostname: ")[1].split()[0] for _ in range(4)}
        assert len(texts) == 2

    async def test_it_listens_only_with_ready_pods(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        port = (await api.post(SERVICES, service())).body["spec"]["ports"][0]["nodePort"]
        url = f"http://127.0.0.1:{port}/"
        assert await is_refused(url)
        await api.post(DEPLOYMENTS, deployment())
        await visit(url)
        cluster.set_node("sim-1-node-1", ready=False)
        await self.wait_refused(url)
        cluster.set_node("sim-1-node-1")
        await visit(url)
        await api.delete(f"{SERVICES}/echo-demo")
        await self.wait_refused(url)

    async def wait_refused(self, url: str) -> None:
        deadline = time.monotonic() + 10
        while not await is_refused(url):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    async def test_load_balancer_has_an_address_of_its_own(self, api: KubernetesApi) -> None:
        await start_echo(api, "LoadBalancer")
        found = (await api.wait(f"{SERVICES}/echo-demo", lambda answer: answer.body["status"]["loadBalancer"])).body
        address = found["status"]["loadBalancer"]["ingress"][0]["ip"]
        assert "Hostname: echo-demo-" in await visit(f"http://{address}:8080/")

    async def test_clusters_share_the_ports_of_the_machine(self, simulated_clusters: StartClusters) -> None:
        ports = set()
        for cluster in await simulated_clusters(3):
            async with KubernetesApi(cluster.kubeconfig) as api:
                port = (await start_echo(api))["spec"]["ports"][0]["nodePort"]
                (pod,) = (await api.get("/api/v1/namespaces/default/pods")).body["items"]
            assert f"Hostname: {pod['metadata']['name']}\n" in await visit(f"http://127.0.0.1:{port}/")
            ports.add(port)
        assert len(ports) == 3

    async def test_a_port_belongs_to_one_cluster_before_anybody_listens(self, simulated_clusters: StartClusters) -> None:
        first, second = await simulated_clusters(2)
        async with KubernetesApi(first.kubeconfig) as ours, KubernetesApi(second.kubeconfig) as theirs:
            made = (await ours.post(SERVICES, service())).body
            port = made["spec"]["ports"][0]["nodePort"]
            claimed = service()
            claimed["spec"]["ports"][0]["nodePort"] = port
            assert (await theirs.post(SERVICES, claimed)).status == 201
            await theirs.post(DEPLOYMENTS, deployment())
            await eventually(lambda: second.is_settled)
            await ours.post(DEPLOYMENTS, deployment())
            text = await visit(f"http://127.0.0.1:{port}/")
            (pod,) = (await ours.get("/api/v1/namespaces/default/pods")).body["items"]
            assert f"Hostname: {pod['metadata']['name']}\n" in text

    async def test_a_port_that_somebody_takes_away_hinders_no_other_service(
        self, cluster: SimulatedCluster, api: KubernetesApi
    ) -> None:
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            claimed = service(port=81)
            claimed["metadata"]["name"] = "claimed"
            claimed["spec"]["ports"][0]["nodePort"] = bind_node_port(stranger)
            assert (await api.post(SERVICES, claimed)).status == 201
            stranger.listen()
            await api.post(DEPLOYMENTS, deployment())
            await eventually(lambda: cluster.is_settled)
            port = (await api.post(SERVICES, service())).body["spec"]["ports"][0]["nodePort"]
            assert "Hostname: echo-demo-" in await visit(f"http://127.0.0.1:{port}/")


class TestFailures:
    async def test_unreachable(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        watch = api.watch("/api/v1/namespaces/default/configmaps", resourceVersion="1")
        waiting = asyncio.ensure_future(anext(aiter(watch)))
        await asyncio.sleep(0)
        cluster.fail(Failure("unreachable"))
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.get("/version")
        with pytest.raises((aiohttp.ClientError, StopAsyncIteration)):
            await asyncio.wait_for(waiting, 10)
        cluster.recover()
        assert (await api.get("/version")).status == 200

    async def test_stopped(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        port = (await start_echo(api))["spec"]["ports"][0]["nodePort"]
        await visit(f"http://127.0.0.1:{port}/")
        url = cluster.url
        await cluster.stop()
        assert await is_refused(url)
        await cluster.start()
        assert cluster.url == url
        assert (await api.get(f"{DEPLOYMENTS}/echo-demo")).body["status"]["availableReplicas"] == 1
        await visit(f"http://127.0.0.1:{port}/")

    async def test_hanging(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        cluster.fail(Failure("hanging"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(api.get("/version"), 0.2)
        waiting = asyncio.ensure_future(api.get("/version"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        cluster.recover()
        assert (await waiting).status == 200

    async def test_garbage(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        cluster.fail(Failure("garbage"))
        answer = await api.get("/version")
        assert answer.status == 200
        assert isinstance(answer.body, str)

    async def test_slow(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        cluster.fail(Failure("slow", delay=0.1))
        began = time.monotonic()
        assert (await api.get("/version")).status == 200
        assert time.monotonic() - began >= 0.1

    async def test_errors(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        cluster.fail(Failure("errors", rate=0.5))
        statuses = [(await api.get("/version")).status for _ in range(60)]
        assert set(statuses) == {200, 500}

    async def test_one_fails_alone(self, simulated_clusters: StartClusters) -> None:
        first, second = await simulated_clusters(2)
        first.fail(Failure("hanging"))
        async with KubernetesApi(second.kubeconfig) as api:
            assert (await api.get("/version")).status == 200

    @pytest.mark.parametrize("options", [{"mode": "sleepy"}, {"mode": "slow", "delay": -1}, {"mode": "errors", "rate": 2}])
    def test_impossible_failures(self, options: Any) -> None:
        with pytest.raises(ValueError, match=r"failure mode|negative"):
            Failure(**options)


class TestNodes:
    async def test_pods_follow_their_node(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        await start_echo(api)
        cluster.set_node("sim-1-node-1", ready=False, pressures=["MemoryPressure"])
        path = f"{DEPLOYMENTS}/echo-demo"
        await api.wait(path, lambda answer: "availableReplicas" not in answer.body["status"])
        (node,) = (await api.get("/api/v1/nodes")).body["items"]
        conditions = {each["type"]: each["status"] for each in node["status"]["conditions"]}
        assert conditions == {"Ready": "False", "MemoryPressure": "True", "DiskPressure": "False", "PIDPressure": "False"}
        cluster.set_node("sim-1-node-1")
        await api.wait(path, lambda answer: answer.body["status"].get("availableReplicas") == 1)

    async def test_pods_wait_for_a_node(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        cluster.set_node_count(0)
        await api.post(DEPLOYMENTS, deployment())
        await api.wait("/api/v1/namespaces/default/pods", lambda answer: answer.body["items"])
        cluster.set_node_count(2)
        await api.wait(f"{DEPLOYMENTS}/echo-demo", lambda answer: answer.body["status"].get("availableReplicas") == 1)

    async def test_pods_of_a_lost_node_are_replaced(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        await start_echo(api)
        cluster.set_node_count(0)
        await api.wait(f"{DEPLOYMENTS}/echo-demo", lambda answer: "availableReplicas" not in answer.body["status"])
        cluster.set_node_count(1)
        await api.wait(f"{DEPLOYMENTS}/echo-demo", lambda answer: answer.body["status"].get("availableReplicas") == 1)
        (pod,) = (await api.get("/api/v1/namespaces/default/pods")).body["items"]
        assert pod["spec"]["nodeName"] == "sim-1-node-1"

    async def test_pods_move_to_a_node_that_is_left(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        await start_echo(api)
        (before,) = (await api.get("/api/v1/namespaces/default/pods")).body["items"]
        cluster.set_node_count(2)
        await api.delete("/api/v1/nodes/sim-1-node-1")

        def moved(answer: Any) -> bool:
            pods = answer.body["items"]
            return [pod["spec"].get("nodeName") for pod in pods] == ["sim-1-node-2"]

        found = await api.wait("/api/v1/namespaces/default/pods", moved)
        assert found.body["items"][0]["metadata"]["uid"] != before["metadata"]["uid"]


class TestControl:
    async def test_switches(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        state = (await api.put("/_simulator/failure", {"mode": "unreachable"})).body
        assert state["failure"]["mode"] == "unreachable"
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.get("/version")
        assert (await api.get("/_simulator")).body["cluster"] == "sim-1"
        assert (await api.delete("/_simulator/failure")).body["failure"]["mode"] == "none"
        assert (await api.get("/version")).status == 200
        assert (await api.put("/_simulator/nodes", {"count": 2})).body["nodes"] == ["sim-1-node-1", "sim-1-node-2"]
        await api.put("/_simulator/nodes/sim-1-node-2", {"ready": False, "pressures": ["DiskPressure"]})
        node = (await api.get("/api/v1/nodes/sim-1-node-2")).body
        assert {each["type"] for each in node["status"]["conditions"] if each["status"] == "True"} == {"DiskPressure"}

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("PUT", "failure", {"mode": "what"}, 400),
            ("PUT", "failure", {"mode": "slow", "speed": 1}, 400),
            ("PUT", "failure", {"mode": "slow", "delay": "long"}, 400),
            ("PUT", "failure", {"mode": ["slow"]}, 400),
            ("PUT", "failure", b"{", 400),
            ("PUT", "failure", [], 400),
            ("PUT", "nodes", {"count": -1}, 400),
            ("PUT", "nodes", {"count": "2"}, 400),
            ("PUT", "nodes", {"count": 10**9}, 400),
            ("PUT", "nodes/unknown", {}, 404),
            ("PUT", "nodes/sim-1-node-1", {"pressures": ["Peer"]}, 400),
            ("PUT", "nodes/sim-1-node-1", {"pressures": "DiskPressure"}, 400),
            ("PUT", "nodes/sim-1-node-1", {"pressures": [{}]}, 400),
            ("POST", "failure", {}, 405),
            ("GET", "what", None, 405),
        ],
    )
    async def test_nonsense_is_refused(self, api: KubernetesApi, method: str, path: str, body: Any, status: int) -> None:
        answer = await api.request(method, f"/_simulator/{path}", body)
        assert answer.status == status
        assert answer.body["kind"] == "Status"


class TestWatches:
    async def test_too_old_versions_are_gone(self, simulated_clusters: StartClusters) -> None:
        (cluster,) = await simulated_clusters(1, Settings(history=5))
        async with KubernetesApi(cluster.kubeconfig) as api:
            path = "/api/v1/namespaces/default/configmaps"
            for number in range(8):
                await api.post(path, {"metadata": {"name": f"c{number}"}})
            events = [event async for event in api.watch(path, resourceVersion="1", timeoutSeconds="1")]
            assert [event["type"] for event in events] == ["ERROR"]
            assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")
            page = (await api.get(path, limit="1")).body
            for number in range(8):
                await api.delete(f"{path}/c{number}")
            token = {"continue": page["metadata"]["continue"]}
            assert (await api.get(path, limit="1", **token)).status == 410

    async def test_bookmarks(self, simulated_clusters: StartClusters) -> None:
        (cluster,) = await simulated_clusters(1, Settings(bookmark_interval=0.05))
        async with KubernetesApi(cluster.kubeconfig) as api:
            path = "/api/v1/namespaces/default/secrets"
            events = api.watch(path, allowWatchBookmarks="true", timeoutSeconds="5")
            event = await anext(aiter(events))
            assert event["type"] == "BOOKMARK"
            assert event["object"]["kind"] == "Secret"
            assert event["object"]["metadata"]["resourceVersion"] == str(cluster.storage.revision)

    async def test_a_closed_watch_leaves_nothing_behind(self, cluster: SimulatedCluster, api: KubernetesApi) -> None:
        before = cluster.storage.listeners
        async with api.open("GET", "/api/v1/nodes", params={"watch": "true"}) as response:
            await response.content.readline()
            assert cluster.storage.listeners == before + 1
        await eventually(lambda: cluster.storage.listeners == before)


async def test_client_of_kubernetes_asyncio(cluster: SimulatedCluster) -> None:
    async with await new_client_from_config_dict(cluster.kubeconfig) as client:
        apps, core = AppsV1Api(client), CoreV1Api(client)
        await apps.create_namespaced_deployment("default", deployment())
        patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo-demo"}, "spec": {"replicas": 2}}
        await apply(client, patch)
        made = await core.create_namespaced_service("default", service())
        assert 30000 <= made.spec.ports[0].node_port <= 32767
        deadline = time.monotonic() + 10
        while (await apps.read_namespaced_deployment("echo-demo", "default")).status.ready_replicas != 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await apps.delete_namespaced_deployment("echo-demo", "default")


async def apply(client: ApiClient, body: Object) -> None:
    await AppsV1Api(client).patch_namespaced_deployment(
        "echo-demo", "default", body, field_manager="krake", force=True, _content_type="application/apply-patch+yaml"
    )


async def test_a_large_body_is_refused(api: KubernetesApi) -> None:
    body = b'{"metadata": {"name": "x"}, "data": {"a": "' + b"x" * (4 << 20) + b'"}}'
    refused = await api.request("POST", "/api/v1/namespaces/default/configmaps", body)
    assert (refused.status, refused.body["reason"]) == (413, "RequestEntityTooLarge")
    assert (await api.get("/version")).status == 200


async def test_finalizers_hold_a_pod(api: KubernetesApi) -> None:
    pod = {"metadata": {"name": "p", "finalizers": ["a.b/c"]}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    path = "/api/v1/namespaces/default/pods/p"
    await api.post("/api/v1/namespaces/default/pods", pod)
    await api.wait(path, lambda answer: answer.body["status"]["phase"] == "Running")
    await api.delete(path)
    await api.wait(path, lambda answer: answer.body["metadata"].get("deletionGracePeriodSeconds") == 0)
    await api.patch(path, MERGE, {"metadata": {"finalizers": None}})
    await api.wait(path, lambda answer: answer.status == 404)


async def test_idle_clusters_do_nothing(cluster: SimulatedCluster, api: KubernetesApi) -> None:
    await start_echo(api)
    await asyncio.sleep(QUICK.start_delay * 3)
    revision = cluster.storage.revision
    await asyncio.sleep(0.2)
    assert cluster.storage.revision == revision
    assert cluster.is_settled


def test_the_command(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "krake.simulator", "--clusters", "2", "--dir", str(tmp_path / "configs")]
    process = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        document = json.loads(ready.read_text())
        assert [entry["name"] for entry in document["clusters"]] == ["sim-1", "sim-2"]
        path = Path(document["clusters"][0]["kubeconfig"])
        assert path == tmp_path / "configs" / "sim-1.yaml"
        assert path.stat().st_mode & 0o077 == 0
        assert yaml.safe_load(path.read_text())["current-context"] == "sim-1"
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.count("simulated cluster sim-") == 2


async def test_one_that_can_not_have_its_port_leaves_nothing_open() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        cluster = SimulatedCluster("late")
        cluster.resume(other.getsockname()[1], "token")
        with pytest.raises(OSError, match="in use"):
            await cluster.__aenter__()
        gc.collect()  # what was left open is told of now
    assert cluster.is_settled
