"""Simulated clusters as tests and demos use them."""

import asyncio
import random
import secrets
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import yaml
from aiohttp import web

from krake.simulator.failures import Failure, Trouble
from krake.simulator.kubernetes.addresses import Addresses, NodePorts
from krake.simulator.kubernetes.control import Control
from krake.simulator.kubernetes.echo import EchoServices
from krake.simulator.kubernetes.engine import Engine
from krake.simulator.kubernetes.kinds import BY_RESOURCE, Object, Registry
from krake.simulator.kubernetes.listener import Listener, bind
from krake.simulator.kubernetes.nodes import new_node, with_health
from krake.simulator.kubernetes.resources import Deletion, Resources
from krake.simulator.kubernetes.server import Server, json_response
from krake.simulator.kubernetes.settings import Settings
from krake.simulator.kubernetes.status import internal
from krake.simulator.kubernetes.storage import Storage

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SimulatedCluster:
    """One Kubernetes cluster that is not there: an API server on loopback, with controllers, nodes and services behind it.

    :param tls: of the server. Who shows a certificate of the group ``system:masters`` that it accepts needs no token.
    """

    def __init__(
        self,
        name: str,
        settings: Settings | None = None,
        *,
        clock: Callable[[], datetime] = _utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self._tls = tls
        self.settings = settings or Settings()
        self.token = secrets.token_urlsafe(24)
        self._trouble = Trouble(self._connections, _fail)
        self.port = 0
        chance = random.Random(secrets.randbits(64))
        self.storage = Storage(self.settings.history)
        self._node_ports = NodePorts(*self.settings.node_ports, start=chance.randrange(1 << 16))
        self.resources = Resources(self.storage, Registry(), Addresses(self._node_ports), clock, chance)
        self._engine = Engine(self.resources, self.settings)
        self._server = Server(self.resources, self.settings, self.token)
        self._control = Control(self)
        self._echo: EchoServices | None = None
        self._http: web.Server | None = None
        self._listener: Listener | None = None

    @property
    def failure(self) -> Failure:
        """How it answers at present."""
        return self._trouble.failure

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Object:
        """The kubeconfig of the cluster, with exactly one context, user and cluster."""
        notice = {"name": "krake-simulator", "extension": {"simulated": True}}
        cluster = {"server": self.url, "extensions": [notice]}
        user = f"{self.name}-admin"
        context = {"cluster": self.name, "user": user, "namespace": "default"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.token}}],
            "contexts": [{"name": self.name, "context": context}],
            "current-context": self.name,
        }

    @property
    def is_settled(self) -> bool:
        """Whether the controllers have come to rest: nothing happens any more until somebody changes something."""
        return not self._engine.is_busy and not self._engine.is_waiting

    def kubeconfig_text(self) -> str:
        head = "# Made by the Krake simulator: this is not a real Kubernetes cluster.\n"
        return head + yaml.safe_dump(self.kubeconfig, sort_keys=False)

    def resume(self, port: int, token: str) -> None:
        """Let the cluster, once it starts, be reached as it was in an earlier process. Its objects of then are gone."""
        self.port, self.token = port, token
        self._server = Server(self.resources, self.settings, token)

    async def start(self) -> None:
        """Begin to serve, on the same port as before if it ran already."""
        bound = bind(self.port)
        self.port = bound.getsockname()[1]
        self._engine.start()
        self._echo = EchoServices(self.storage, self._node_ports)
        self._echo.start()
        if not self.storage.objects("namespaces"):
            self._furnish()
        self._http = web.Server(self._respond, access_log=None, handler_cancellation=True)
        self._listener = Listener(bound, self._http, self._tls)

    def _furnish(self) -> None:
        for name in NAMESPACES:
            body: Object = {"metadata": {"name": name}}
            self.resources.create(BY_RESOURCE["namespaces"], body, None)
        self.set_node_count(self.settings.nodes)
        ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]
        labels = {"component": "apiserver", "provider": "kubernetes"}
        body = {
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
            "spec": {"clusterIP": "10.96.0.1", "ports": ports},
        }
        self.resources.create(BY_RESOURCE["services"], body, None)

    async def stop(self) -> None:
        """Stop serving; connections are refused from now on. The objects stay, `start` brings them back."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._engine.stop()
        self.cut_connections()
        self._trouble.release()
        if self._http is not None:
            await self._http.shutdown(0)
            self._http = None
        if self._echo is not None:
            await self._echo.stop()
            self._echo = None

    def close(self) -> None:
        """Give the node ports back; the cluster must be stopped and won't be started again."""
        self._node_ports.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self.close()

    def fail(self, failure: Failure, *, spare: asyncio.BaseTransport | None = None) -> None:
        """Answer like this from now on; an unreachable cluster cuts its open connections, except one to `spare`."""
        self._trouble.begin(failure, spare=spare)

    def recover(self) -> None:
        self.fail(Failure())

    def cut_connections(self) -> None:
        """Drop every open connection, watches included."""
        self._trouble.cut_connections()

    def _connections(self) -> Iterable[web.RequestHandler]:
        return self._http.connections if self._http is not None else ()

    def node_names(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.storage.objects("nodes")]

    def set_node_count(self, count: int) -> None:
        """Add nodes or take away the last ones."""
        self.set_nodes([f"{self.name}-node-{number}" for number in range(1, count + 1)])

    def set_nodes(self, wanted: Collection[str]) -> None:
        """Have the nodes with these names and no others."""
        kind = BY_RESOURCE["nodes"]
        for name in self.node_names():
            if name not in wanted:
                self.resources.delete(kind, ("", name), Deletion())
        for name in wanted:
            if self.storage.get("nodes", ("", name)) is None:
                self.resources.create(kind, new_node(name, self.settings, self.resources.now()), None)

    def set_node(self, name: str, *, ready: bool = True, pressures: Collection[str] = ()) -> None:
        """Let a node report this state; raises `ApiStatus` (404) when there is no such node."""
        kind = BY_RESOURCE["nodes"]
        node = self.resources.get(kind, ("", name))
        self.resources.put(kind, with_health(node, self.resources.now(), ready=ready, pressures=pressures))

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/_simulator"):
            return await self._control.respond(request, self._server.authenticate)
        broken = await self._trouble.befall(request)
        return broken if broken is not None else await self._server.respond(request)


def _fail() -> web.StreamResponse:
    return json_response(internal("simulated failure").document(), 500)


class SimulatedClusters:
    """Several simulated clusters in this process, named `sim-1`, `sim-2` and so on."""

    def __init__(self, count: int = 1, settings: Settings | None = None, *, prefix: str = "sim") -> None:
        self._clusters = [SimulatedCluster(f"{prefix}-{number}", settings) for number in range(1, count + 1)]

    def __iter__(self) -> Iterator[SimulatedCluster]:
        return iter(self._clusters)

    def __len__(self) -> int:
        return len(self._clusters)

    def __getitem__(self, key: int | str) -> SimulatedCluster:
        """A cluster by position or by name."""
        if isinstance(key, int):
            return self._clusters[key]
        return next(cluster for cluster in self._clusters if cluster.name == key)

    async def start(self) -> None:
        for cluster in self._clusters:
            await cluster.start()

    async def stop(self) -> None:
        await asyncio.gather(*(cluster.stop() for cluster in self._clusters))
        for cluster in self._clusters:
            cluster.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
