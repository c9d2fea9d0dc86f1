"""What answers on the ports of Services: a page that names the Pod, in the style of echoserver."""

import asyncio
import itertools
import logging
from collections.abc import Iterable

from aiohttp import web

from krake.simulator.kubernetes.addresses import NodePorts
from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.server import BODY_LIMIT, SIMULATED
from krake.simulator.kubernetes.storage import DELETED, Change, Key, Storage

logger = logging.getLogger(__name__)


def page(pod: Object, method: str, path: str, headers: Iterable[tuple[str, str]], body: str) -> str:
    """The echo page of a Pod for one request."""
    metadata = pod["metadata"]
    lines = [
        "",
        "",
        f"Hostname: {metadata['name']}",
        "",
        "Pod Information:",
        f"\tnode name:\t{pod['spec'].get('nodeName', '')}",
        f"\tpod name:\t{metadata['name']}",
        f"\tpod namespace:\t{metadata['namespace']}",
        f"\tpod IP:\t{pod['status'].get('podIP', '')}",
        "",
        "Server values:",
        "\tserver_version=krake-simulator (this Pod is simulated: no container runs here)",
        "",
        "Request Information:",
        f"\tmethod={method}",
        f"\treal path={path}",
        "",
        "Request Headers:",
        *(f"\t{name.lower()}={value}" for name, value in sorted(headers)),
        "",
        "Request Body:",
        f"\t{body}" if body else "\t-no body in request-",
        "",
    ]
    return "\n".join(lines) + "\n"


class EchoServices:
    """Listens on the node ports of those Services that have ready Pods, and only as long as they have."""

    def __init__(self, storage: Storage, ports: NodePorts) -> None:
        self._storage = storage
        self._ports = ports
        self._services: dict[int, Key] = {}
        self._open: dict[int, asyncio.Server] = {}
        self._server = web.Server(self._answer, access_log=None)
        self._turns = itertools.count()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._storage.listen(self._notice)
        self._task = asyncio.create_task(self._follow())
        self._changed.set()

    async def stop(self) -> None:
        self._storage.ignore(self._notice)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._services.clear()
        await self._adjust()
        await self._server.shutdown(0)

    def _notice(self, change: Change) -> None:
        if change.resource == "services":
            for port in [port for port, key in self._services.items() if key == change.key]:
                del self._services[port]
            if change.type != DELETED:
                ports = change.object["spec"].get("ports") or ()
                self._services |= {port["nodePort"]: change.key for port in ports if port.get("nodePort")}
        if change.resource in ("services", "endpoints"):
            self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._adjust()

    async def _adjust(self) -> None:
        """Open the ports that should answer, close those that should not."""
        wanted = {port for port, key in self._services.items() if self._ready_pods(key)}
        for port in self._open.keys() - wanted:
            self._open.pop(port).close()
            self._ports.reclaim(port)
        for port in wanted - self._open.keys():
            await self._listen(port)

    async def _listen(self, port: int) -> None:
        bound = self._ports.lend(port)
        if bound is None:
            logger.warning("node port %d is in use by another program, so it doesn't answer", port)
            return
        bound.setblocking(False)
        self._open[port] = await asyncio.get_running_loop().create_server(self._server, sock=bound)

    def _ready_pods(self, key: Key) -> list[Object]:
        endpoints = self._storage.get("endpoints", key) or {}
        names = [
            address["targetRef"]["name"]
            for subset in endpoints.get("subsets") or ()
            for address in subset.get("addresses") or ()
            if address.get("targetRef")
        ]
        pods = (self._storage.get("pods", (key[0], name)) for name in names)
        return [pod for pod in pods if pod is not None]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        port = transport.get_extra_info("sockname")[1] if transport is not None else 0
        pods = self._ready_pods(self._services.get(port, ("", "")))
        if not pods:
            if transport is not None:
                transport.abort()
            return web.Response(status=503)
        body = await _read_start(request)
        pod = pods[next(self._turns) % len(pods)]
        headers = request.headers.items()
        text = page(pod, request.method, request.path_qs, headers, body.decode(errors="replace"))
        return web.Response(text=text, headers=SIMULATED)


async def _read_start(request: web.BaseRequest) -> bytes:
    """The body as far as it is shown."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk[: max(BODY_LIMIT - len(body), 0)]
    return bytes(body)
