"""A simulated node: it reports Pods as running. No container runs. What a Pod goes through is decided in ``pod_life``.

One that is alone in its cluster also binds Pods to itself, as no scheduler runs there, and gives Services of type
LoadBalancer an address.
"""

import asyncio
import contextlib
import datetime
import itertools
import json
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from . import pod_life

HEARTBEAT = 10.0  # seconds; the controller manager calls a node lost after 40
_RETRY = 0.3
_WATCH_SECONDS = 240
_LIMITS = aiohttp.ClientTimeout(total=30)
_MERGE = {"Content-Type": "application/merge-patch+json"}
_STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
_SIMULATED = "simulated"
_FACTS = {
    "machineID": _SIMULATED,
    "systemUUID": _SIMULATED,
    "bootID": _SIMULATED,
    "kernelVersion": _SIMULATED,
    "osImage": _SIMULATED,
    "containerRuntimeVersion": f"{_SIMULATED}://0",
    "kubeletVersion": _SIMULATED,
    "kubeProxyVersion": _SIMULATED,
    "operatingSystem": "linux",
    "architecture": "amd64",
}
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")

Object = Mapping[str, Any]
Key = tuple[str, str, str]  # kind, namespace, name


@dataclass(frozen=True)
class Machine:
    """What a node pretends to be.

    Attributes:
        cpu, memory: Its room, as Kubernetes writes quantities.
        binds: Whether it binds Pods to itself, as there is no scheduler.
        balances: Whether it gives Services of type LoadBalancer an address; of the nodes of a cluster, one does.
        first_address: Where it begins to count the addresses of its Pods.
    """

    name: str = "node-1"
    cpu: str = "32"
    memory: str = "64Gi"
    binds: bool = True
    balances: bool = True
    first_address: int = 1

    @property
    def metadata(self) -> Object:
        return {
            "name": self.name,
            "labels": {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            "annotations": {"fake-node/simulated": "No containers run on this node."},
        }

    @property
    def room(self) -> Object:
        return {"cpu": self.cpu, "memory": self.memory, "pods": "1000", "ephemeral-storage": "100Gi"}


class Refused(Exception):
    """The API server answered with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:200]}")
        self.status = status


class FakeNode:
    """A node of a cluster, in a thread with an event loop of its own.

    It survives an API server that is away, frozen or restarted, and goes on when that is back.
    """

    def __init__(self, url: str, tls: ssl.SSLContext, token: str, machine: Machine) -> None:
        self.machine = machine
        self._life = _Life(url, tls, token, machine)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start working; returns at once. Does nothing if it works already."""
        if self._thread:
            return
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), name="fake-node", daemon=True)
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """Stop working, like a machine that loses its power; returns when all is closed."""
        if self._thread and self._loop and self._work and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._work.cancel)
            self._thread.join()
        self._thread = self._loop = self._work = None

    def set_ready(self, ready: bool) -> None:
        """Make the node Ready or NotReady. While NotReady it touches no Pod.

        Returns when the API server knows.

        Raises:
            TimeoutError: The API server did not take it within 20 seconds.
        """
        self._life.become(ready)
        if self._loop:
            asyncio.run_coroutine_threadsafe(self._life.announce(), self._loop).result(20)

    async def _run(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.create_task(self._life.live())
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._work


class _Life:
    """What the node does while it has power. Level-triggered: it looks at objects, never at single events."""

    def __init__(self, url: str, tls: ssl.SSLContext, token: str, machine: Machine) -> None:
        self._ready = True
        self._machine = machine
        self._since = _now()
        self._url = url
        self._tls = tls
        self._token = token
        self._addresses = itertools.count(machine.first_address)

    async def live(self) -> None:
        self._seen: dict[Key, Object] = {}
        self._due: asyncio.Queue[Key] = asyncio.Queue()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        headers = {"Authorization": f"Bearer {self._token}"}
        async with (
            aiohttp.ClientSession(self._url, connector=connector, headers=headers, timeout=_LIMITS) as self._session,
            asyncio.TaskGroup() as work,
        ):
            work.create_task(self._follow("pods"))
            if self._machine.balances:
                work.create_task(self._follow("services"))
            work.create_task(self._heartbeat())
            work.create_task(self._work())

    def become(self, ready: bool) -> None:
        """Change the node's condition; :meth:`announce` tells it."""
        if ready != self._ready:
            self._ready, self._since = ready, _now()

    async def announce(self) -> None:
        """Tell the API server the node's condition, as soon as it listens."""
        while True:
            try:
                await self._report_node()
            except (aiohttp.ClientError, TimeoutError, Refused):
                await asyncio.sleep(_RETRY)
            else:
                break
        for key in self._seen:
            self._due.put_nowait(key)

    async def _heartbeat(self) -> None:
        while True:
            await self.announce()
            await asyncio.sleep(HEARTBEAT)

    async def _report_node(self) -> None:
        times = {"lastHeartbeatTime": _text(_now()), "lastTransitionTime": _text(self._since)}
        reason = "SimulatedReady" if self._ready else "SimulatedFailure"
        conditions = [{"type": kind, "status": "False"} for kind in _PRESSURES]
        conditions.append({"type": "Ready", "status": str(self._ready), "reason": reason})
        status = {
            "capacity": self._machine.room,
            "allocatable": self._machine.room,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": self._machine.name}],
            "nodeInfo": _FACTS,
            "conditions": [entry | times for entry in conditions],
        }
        path = f"/api/v1/nodes/{self._machine.name}/status"
        try:
            await self._call("PATCH", path, {"status": status}, _STRATEGIC)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            await self._call("POST", "/api/v1/nodes", {"metadata": self._machine.metadata})
            await self._call("PATCH", path, {"status": status}, _STRATEGIC)

    async def _follow(self, kind: str) -> None:
        """Keep what is seen of a kind up to date for ever."""
        while True:
            try:
                listing = await self._call("GET", f"/api/v1/{kind}")
                for key in [key for key in self._seen if key[0] == kind]:
                    del self._seen[key]
                for item in listing["items"]:
                    self._see(kind, "ADDED", item)
                async for event in self._watch(kind, listing["metadata"]["resourceVersion"]):
                    self._see(kind, event["type"], event["object"])
            except (aiohttp.ClientError, TimeoutError, Refused, ValueError):
                await asyncio.sleep(_RETRY)  # then begin with a new list

    async def _watch(self, kind: str, version: str) -> AsyncIterator[dict[str, Any]]:
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(_WATCH_SECONDS)}
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
        async with self._session.get(f"/api/v1/{kind}", params=query, timeout=limits) as response:
            if response.status != 200:
                raise Refused(response.status, await response.text())
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Refused(event["object"].get("code", 500), event["object"].get("message", ""))
                    yield event

    def _see(self, kind: str, change: str, item: Object) -> None:
        key = (kind, item["metadata"]["namespace"], item["metadata"]["name"])
        if change == "DELETED":
            self._seen.pop(key, None)
        else:
            self._seen[key] = item
            self._due.put_nowait(key)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._due.get()
            item = self._seen.get(key)
            if item is None or not self._ready:
                continue
            try:
                if key[0] == "pods":
                    await self._tend_pod(key, item)
                else:
                    await self._tend_service(key, item)
            except Refused as refusal:
                if refusal.status in (404, 409):
                    continue  # it changed meanwhile; the watch brings it again
                if refusal.status != 403:  # a namespace that is being deleted takes nothing new; its Pods go soon
                    print(f"simulated node: {'/'.join(key)}: {refusal}", file=sys.stderr)
                loop.call_later(_RETRY, self._due.put_nowait, key)
            except (aiohttp.ClientError, TimeoutError):
                loop.call_later(_RETRY, self._due.put_nowait, key)
            except Exception as error:  # one odd object must not take the node down
                print(f"simulated node: {'/'.join(key)} is left alone: {error!r}", file=sys.stderr)

    async def _tend_pod(self, key: Key, pod: Object) -> None:
        _, namespace, name = key
        if not (self._machine.binds or pod["spec"].get("nodeName")):
            return
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        high, low = divmod(next(self._addresses), 250)
        match pod_life.decide(pod, self._machine.metadata, f"10.244.{high % 250}.{low + 1}", _now()):
            case pod_life.Bind():
                target = {"apiVersion": "v1", "kind": "Node", "name": self._machine.name}
                await self._call("POST", f"{path}/binding", {"metadata": {"name": name}, "target": target})
            case pod_life.Report(status):
                await self._call("PATCH", f"{path}/status", {"status": status}, _STRATEGIC)
            case pod_life.Remove():
                uid = {"uid": pod["metadata"]["uid"]}
                await self._call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": uid})
            case pod_life.Wait(seconds):
                asyncio.get_running_loop().call_later(seconds, self._due.put_nowait, key)

    async def _tend_service(self, key: Key, service: Object) -> None:
        if service["spec"].get("type") != "LoadBalancer" or service["status"]["loadBalancer"].get("ingress"):
            return
        _, namespace, name = key
        # From a range set aside for documentation: it leads nowhere, as nothing is behind it.
        ingress = [{"ip": f"198.51.100.{next(self._addresses) % 254 + 1}"}]
        status = {"status": {"loadBalancer": {"ingress": ingress}}}
        await self._call("PATCH", f"/api/v1/namespaces/{namespace}/services/{name}/status", status, _MERGE)

    async def _call(self, method: str, path: str, body: Object | None = None, headers: Mapping[str, str] | None = None) -> Any:
        async with self._session.request(method, path, json=body, headers=headers) as response:
            if response.status >= 400:
                raise Refused(response.status, await response.text())
            return await response.json()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
