"""An API, the controllers that reach into clusters, and the clusters: simulated or real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from krake.adapters.kubernetes import Connection, connect
from krake.client import Client, NotFound
from krake.controller.gc.controller import build as build_gc
from krake.controller.kubernetes.application.controller import ApplicationController
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.application.sites import Connect
from krake.controller.kubernetes.cluster.controller import ClusterController
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.runtime import ControllerConfig, Parts
from krake.controller.runtime.process import serve
from krake.data import Key, Metadata, ResourceRef
from krake.data.events import Event
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationState,
    CloudConstraints,
    Cluster,
    ClusterBinding,
    ClusterCloudConstraints,
    ClusterConstraints,
    ClusterSpec,
    ClusterState,
    Constraints,
)
from krake.ports.cluster import Identity, Object, ObjectType

T = TypeVar("T")
Build = Callable[[Client], Parts]

DEADLINE = 90.0
NAMESPACE = "red"
DEPLOYMENT = ObjectType("apps/v1", "Deployment")
CONFIG_MAP = ObjectType("v1", "ConfigMap")
SERVICE = ObjectType("v1", "Service")
QUICK = partial(connect, timeout=2.0, node_interval=1)


def deployment(
    name: str = "echo", image: str = "registry.example/echo:1", replicas: int = 1, **container: Any
) -> dict[str, Any]:
    """A Deployment as a user writes it."""
    containers = [{"name": name, "image": image, **container}]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str = "echo", **spec: Any) -> dict[str, Any]:
    """A Service as a user writes it."""
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": [{"port": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def config_map(name: str = "settings", **data: str) -> dict[str, Any]:
    """A ConfigMap as a user writes it."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def eventually(look: Callable[[], Awaitable[T]], accept: Callable[[T], Any], deadline: float = DEADLINE) -> T:
    """Return what *look* sees once it is acceptable; fail with the last sight if that takes too long."""
    clock = asyncio.get_running_loop().time
    end = clock() + deadline
    while True:
        seen = await look()
        if accept(seen):
            return seen
        assert clock() < end, f"Not in time; last seen: {seen}"
        await asyncio.sleep(0.02)


class Target:
    """A cluster as the tests look at it."""

    def __init__(self, name: str, kubeconfig: dict[str, Any], control: Any) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.namespace = kubeconfig["contexts"][0]["context"].get("namespace", "default")
        self.control = control
        """The simulated cluster or the control plane."""
        self.connection: Connection = connect(kubeconfig)

    @property
    def ref(self) -> ResourceRef:
        return Cluster.definition.ref(Key(NAMESPACE, self.name))

    async def get(self, type_: ObjectType, name: str, namespace: str | None = None) -> Object | None:
        return await self.connection.get(Identity(type_, namespace or self.namespace, name))

    async def change(self, type_: ObjectType, name: str, changes: dict[str, Any]) -> None:
        """Change an object behind the back of Krake."""
        path = (await self.connection._discovery.find(type_)).path(Identity(type_, self.namespace, name))
        query = {"fieldManager": "somebody-else"}
        await self.connection._transport.call("PATCH", path, query, changes, "application/merge-patch+json")

    async def delete(self, type_: ObjectType, name: str) -> None:
        """Delete an object behind the back of Krake."""
        path = (await self.connection._discovery.find(type_)).path(Identity(type_, self.namespace, name))
        await self.connection._transport.call("DELETE", path)

    async def create(self, obj: dict[str, Any]) -> None:
        """Create an object that Krake knows nothing of."""
        type_ = ObjectType(obj["apiVersion"], obj["kind"])
        path = (await self.connection._discovery.find(type_)).path(Identity(type_, self.namespace, "x")).rpartition("/")[0]
        await self.connection._transport.call("POST", path, None, obj)


class World:
    """What the tests put into the API, and how they wait for what comes of it."""

    def __init__(self, client: Client, url: str) -> None:
        self.client = client
        self.url = url

    @asynccontextmanager
    async def running(self, *builds: Build, drain_timeout: float = 5.0) -> AsyncIterator[None]:
        """Run controllers in this process, each with a client of its own; they are drained at the end."""
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(self.url)) for _ in builds]
            config = ControllerConfig(drain_timeout=drain_timeout)
            served = [serve("test", build(client), client, config, stop) for build, client in zip(builds, clients, strict=True)]
            tasks = [asyncio.create_task(each) for each in served]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*tasks)

    async def register(self, target: Target, *, state: ClusterState | None = None, **spec: Any) -> Cluster:
        """Register a cluster; with a *state*, say that its controller has found it to be in it."""
        constraints = ClusterCloudConstraints(cloud=CloudConstraints())
        declared = ClusterSpec(kubeconfig=target.kubeconfig, constraints=constraints, **spec)
        cluster = await self.client.create(Cluster(metadata=Metadata(name=target.name, namespace=NAMESPACE), spec=declared))
        if state is not None:
            changes = {"status": {"state": state.name}}
            cluster = await self.client.patch(Cluster, cluster.key, changes, subresource="status")
        return cluster

    async def cluster(self, name: str) -> Cluster:
        return await self.client.get(Cluster, Key(NAMESPACE, name))

    async def cluster_until(self, name: str, state: ClusterState, deadline: float = DEADLINE) -> Cluster:
        return await eventually(lambda: self.cluster(name), lambda seen: seen.status.state is state, deadline)

    async def create(self, *manifest: dict[str, Any], on: Target | None = None, name: str = "app", **spec: Any) -> Application:
        """Create an application, and bind it."""
        constraints = Constraints(cluster=ClusterConstraints())
        spec = ApplicationSpec(manifest=list(manifest), constraints=constraints, **spec)
        app = await self.client.create(Application(metadata=Metadata(name=name, namespace=NAMESPACE), spec=spec))
        return await self.bind(on, name) if on is not None else app

    async def update(self, *manifest: dict[str, Any], on: Target, name: str = "app") -> Application:
        """Declare the application anew, and hand it over as the scheduler does."""
        await self.client.patch(Application, Key(NAMESPACE, name), {"spec": {"manifest": list(manifest)}})
        return await self.bind(on, name)

    async def bind(self, target: Target, name: str = "app") -> Application:
        return await self.client.act(Application, Key(NAMESPACE, name), "binding", ClusterBinding(cluster=target.ref))

    async def app(self, name: str = "app") -> Application:
        return await self.client.get(Application, Key(NAMESPACE, name))

    async def until(self, accept: Callable[[Application], Any], name: str = "app", deadline: float = DEADLINE) -> Application:
        return await eventually(lambda: self.app(name), accept, deadline)

    async def until_state(self, state: ApplicationState, name: str = "app", deadline: float = DEADLINE) -> Application:
        return await self.until(lambda app: app.status.state is state, name, deadline)

    async def told(self, name: str = "app") -> list[str]:
        """The reasons of the events of an application, or of any other object of this name, by time."""
        events = (await self.client.list(Event, NAMESPACE)).items
        return [event.reason for event in sorted(events, key=lambda each: each.first) if event.regarding.name == name]

    async def delete(self, name: str = "app") -> None:
        await self.client.delete(Application, Key(NAMESPACE, name))

    async def until_gone(self, name: str = "app", deadline: float = DEADLINE) -> None:
        async def is_gone() -> bool:
            try:
                await self.app(name)
            except NotFound:
                return True
            return False

        await eventually(is_gone, bool, deadline)


def applications(connect: Connect = QUICK, **settings: Any) -> Build:
    """The application controller, less patient than in earnest."""
    config = ApplicationControllerConfig.deserialize(settings)
    return lambda client: ApplicationController(client, config, connect=connect).parts


def clusters(client: Client) -> Parts:
    """The cluster controller, less patient than in earnest."""
    config = ClusterControllerConfig(patience=0.5, report_interval=0.1)
    return ClusterController(client, config, connect=QUICK).parts


collector: Build = partial(build_gc, ControllerConfig())
