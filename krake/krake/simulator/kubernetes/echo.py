"""What answers on the addresses of Services: a page that names the Pod, in the style of echoserver."""

import asyncio
import itertools
import logging
from collections.abc import Iterable
from contextlib import suppress

from aiohttp import web

from krake.simulator.failures import SIMULATED
from krake.simulator.kubernetes.addresses import LOOPBACK, Address, NodePorts
from krake.simulator.kubernetes.callbacks import Callbacks
from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.listener import Listener
from krake.simulator.kubernetes.server import BODY_LIMIT
from krake.simulator.kubernetes.storage import DELETED, Change, Key, Storage, key_of

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
    """Listens on the addresses of those Services that have ready Pods, and only as long as they have."""

    def __init__(self, storage: Storage, ports: NodePorts) -> None:
        self._storage = storage
        self._ports = ports
        self._services: dict[Address, Key] = {}
        self._open: dict[Address, Listener] = {}
        self._callbacks = Callbacks(storage)
        self._server = web.Server(self._answer, access_log=None)
        self._turns = itertools.count()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        for service in self._storage.objects("services"):
            self._register(service)
        self._storage.listen(self._notice)
        self._callbacks.start()
        self._changed.set()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        self._storage.ignore(self._notice)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._callbacks.stop()
        self._services.clear()
        self._adjust()
        await self._server.shutdown(0)

    def _notice(self, change: Change) -> None:
        if change.resource == "services":
            for address in [address for address, key in self._services.items() if key == change.key]:
                del self._services[address]
            if change.type != DELETED:
                self._register(change.object)
        if change.resource in ("services", "endpoints"):
            self._changed.set()

    def _register(self, service: Object) -> None:
        self._services |= dict.fromkeys(addresses_of(service), key_of(service))

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._adjust()

    def _adjust(self) -> None:
        """Open the addresses that should answer, close those that should not."""
        wanted = {address for address, key in self._services.items() if self._ready_pods(key)}
        for address in self._open.keys() - wanted:
            self._open.pop(address).close()
            self._ports.reclaim(address)
        for address in wanted - self._open.keys():
            self._listen(address)

    def _listen(self, address: Address) -> None:
        bound = self._ports.lend(address)
        with suppress(OSError):  # somebody else listens there by now
            if bound is not None:
                self._open[address] = Listener(bound, self._server)
                return
        logger.warning("%s:%d can't be had on this machine, so its Service doesn't answer there", *address)

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
        address = transport.get_extra_info("sockname") if transport is not None else ("", 0)
        pods = self._ready_pods(self._services.get(address, ("", "")))
        if not pods:
            if transport is not None:
                transport.abort()
            return web.Response(status=503)
        body = await _read_start(request)
        pod = pods[next(self._turns) % len(pods)]
        if request.method == "PUT":
            self._callbacks.put(pod)
        headers = request.headers.items()
        text = page(pod, request.method, request.path_qs, headers, body.decode(errors="replace"))
        return web.Response(text=text, headers=SIMULATED)


def addresses_of(service: Object) -> list[Address]:
    """Where a Service can be reached on loopback: its node ports, and the ports of its load balancer."""
    ports = service["spec"].get("ports") or ()
    found = [(LOOPBACK, port["nodePort"]) for port in ports if port.get("nodePort")]
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    for ingress in balancer.get("ingress") or ():
        found += [(ingress["ip"], port["port"]) for port in ports if ingress.get("ip")]
    return found


async def _read_start(request: web.BaseRequest) -> bytes:
    """The body as far as it is shown."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk[: max(BODY_LIMIT - len(body), 0)]
    return bytes(body)
