"""Simulated Pods that call back by what they find in their environment."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fixtures import polling
from fixtures.kubernetes_api import KubernetesApi
from fixtures.simulator import StartClusters

from krake.simulator import SimulatedCluster


@pytest.fixture
async def cluster(simulated_clusters: StartClusters) -> SimulatedCluster:
    (started,) = await simulated_clusters()
    return started


@pytest.fixture
async def api(cluster: SimulatedCluster) -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi(cluster.kubeconfig) as connected:
        yield connected


class Receiver:
    """Whoever is called back."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[Any] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.bodies.append((request.method, request.path, json.loads(await request.read())))
        return web.Response()

    async def called(self) -> bool:
        return bool(self.bodies)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    server = web.Server(found.answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/done"
    yield found
    listener.close()
    await server.shutdown(0)


def pod(annotation: str, url: str) -> dict[str, Any]:
    env = [
        {"name": "APP_URL", "value": url},
        {"name": "APP_TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "token"}}},
    ]
    metadata = {"name": "worker", "labels": {"app": "worker"}, "annotations": {annotation: "APP"}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "x", "env": env}]}}


SECRET = {"metadata": {"name": "tokens"}, "data": {"token": base64.b64encode(b"t0k").decode()}}
SERVICE = {
    "metadata": {"name": "ask"},
    "spec": {"type": "NodePort", "selector": {"app": "worker"}, "ports": [{"port": 80}]},
}


async def create(api: KubernetesApi, annotation: str, url: str) -> int:
    """Create everything; returns the port at which the Pod is asked."""
    base = "/api/v1/namespaces/default"
    assert (await api.post(f"{base}/secrets", SECRET)).status == 201
    created = await api.post(f"{base}/services", SERVICE)
    assert (await api.post(f"{base}/pods", pod(annotation, url))).status == 201
    port: int = created.body["spec"]["ports"][0]["nodePort"]
    return port


async def test_a_pod_calls_when_it_is_ready(api: KubernetesApi, receiver: Receiver) -> None:
    await create(api, "fake-node/calls-when-ready", receiver.url)
    await polling.until(receiver.called)
    assert receiver.bodies == [("PUT", "/done", {"token": "t0k"})]


async def test_a_pod_calls_when_it_was_sent_a_put(api: KubernetesApi, receiver: Receiver) -> None:
    port = await create(api, "fake-node/calls-on-put", receiver.url)

    async def ask(method: str = "PUT") -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, f"http://127.0.0.1:{port}/shutdown") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await polling.until(lambda: ask("GET"))
    assert receiver.bodies == []
    assert await ask()
    await polling.until(receiver.called)
    assert receiver.bodies == [("PUT", "/done", {"token": "t0k"})]
