"""What the tests of the Magnum controller declare, and how they run it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from component.controllers.world import eventually, running

from krake.adapters.openstack.magnum import MagnumConnector
from krake.adapters.outgoing import Outgoing
from krake.client import Client, NotFound
from krake.controller.magnum.controller import MagnumController, build
from krake.controller.magnum.settings import MagnumConfig
from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.destinations import AskingConfig
from krake.controller.runtime.process import serve
from krake.data import Key, Metadata
from krake.data.events import Event
from krake.data.kubernetes import Cluster
from krake.data.openstack import (
    ApplicationCredential,
    AuthMethod,
    MagnumCluster,
    MagnumClusterBinding,
    MagnumClusterSpec,
    MagnumClusterState,
    MagnumClusterStatus,
    Project,
    ProjectSpec,
)
from krake.simulator.openstack.magnum import SimulatedMagnum

KEY = Key("red", "mine")
State = MagnumClusterState


def configure(**more: Any) -> MagnumConfig:
    """The settings of a controller that is not patient."""
    quick = {"poll_interval": 0.1, "observe_interval": 0.2, "settle_time": 0.3, "creation_timeout": 60.0, **more}
    return MagnumConfig(openstack=AskingConfig(allow=["127.0.0.1"], timeout=2.0), **quick)


def run(api: str, **more: Any) -> AbstractAsyncContextManager[None]:
    """Run a Magnum controller."""
    return running(partial(build, configure(**more)), api)


class Fate:
    """Counts what a controller asks of others, and lets one of these calls be its last.

    :param at: the number of that call; infinity for none.
    :param done: whether what it asks for is done, and only the answer does not arrive.
    """

    def __init__(self, at: float, *, done: bool) -> None:
        self._left = at
        self._done = done
        self.met = asyncio.Event()

    async def guard(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self._left -= 1
        if self._left == 0 and self._done:
            await call()
        if self._left <= 0:
            self.met.set()
            await asyncio.Event().wait()
        return await call()


class ConfinedClient(Client):
    """A client that sees one namespace only, and whose writes are counted, except events."""

    fate: Fate
    namespace: str

    async def list(self, kind: Any, *_: Any, **options: Any) -> Any:
        return await super().list(kind, self.namespace, **options)

    def watch(self, kind: Any, *_: Any, **options: Any) -> Any:
        return super().watch(kind, self.namespace, **options)

    async def patch(self, kind: Any, *args: Any, **options: Any) -> Any:
        call = partial(super().patch, kind, *args, **options)
        return await (call() if kind is Event else self.fate.guard(call))

    async def create(self, obj: Any) -> Any:
        call = partial(super().create, obj)
        return await (call() if isinstance(obj, Event) else self.fate.guard(call))

    async def delete(self, *args: Any, **options: Any) -> Any:
        return await self.fate.guard(partial(super().delete, *args, **options))


class FatefulConnector(MagnumConnector):
    """Leads to a Magnum whose requests are counted."""

    fate: Fate

    def connect(self, *args: Any) -> Any:
        magnum, fate = super().connect(*args), self.fate

        class Counted:
            def __getattr__(self, name: str) -> Any:
                return lambda *args: fate.guard(partial(getattr(magnum, name), *args))

        return Counted()


@asynccontextmanager
async def confined(api: str, namespace: str, fate: Fate) -> AsyncIterator[None]:
    """Run a controller for one namespace that hangs when it meets its fate, and is killed with the end of the block."""
    config = configure()
    async with ConfinedClient(api) as client:
        client.namespace = namespace
        connector = FatefulConnector(Outgoing(config.openstack.destinations, "openstack.allow", 2.0))
        client.fate = connector.fate = fate
        parts = MagnumController(client, config, connector=connector).parts
        task = asyncio.create_task(serve("doomed", parts, client, ControllerConfig(), asyncio.Event()))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def declare_project(client: Client, magnum: SimulatedMagnum, name: str = "project", **more: Any) -> Project:
    """Declare the project of a simulated cloud."""
    credential = magnum.cloud.credential
    login = ApplicationCredential(id=credential.id, secret=more.get("secret", credential.secret))
    spec = ProjectSpec(
        url=more.get("url", magnum.cloud.url + "/v3"),
        auth=AuthMethod(value=login),
        template=more.get("template", magnum.template.id),
    )
    return await client.create(Project(metadata=Metadata(name=name, namespace=more.get("namespace", "red")), spec=spec))


async def declare(client: Client, key: Key = KEY, *, bind: bool = True, project: str = "project", **more: Any) -> None:
    """Declare a Magnum cluster, and bind it to a project as the scheduler does."""
    metadata = Metadata(name=key.name, namespace=key.namespace, labels=more.pop("labels", {}))
    await client.create(MagnumCluster(metadata=metadata, spec=MagnumClusterSpec(**more)))
    if bind:
        found = await client.get(Project, Key(key.namespace, project))
        binding = MagnumClusterBinding(project=found.ref, template=found.spec.template)
        await client.act(MagnumCluster, key, "binding", binding)


async def see(client: Client, accept: Callable[[MagnumClusterStatus], object], key: Key = KEY) -> MagnumCluster:
    """Return a Magnum cluster once its status is acceptable."""
    return await eventually(partial(client.get, MagnumCluster, key), lambda found: bool(accept(found.status)))


async def see_running(client: Client, nodes: int | None = None, key: Key = KEY) -> MagnumCluster:
    """Return a Magnum cluster once it runs, and its Kubernetes cluster is registered."""
    found = await see(client, lambda status: status.state is State.RUNNING and nodes in (None, status.node_count), key)
    assert found.status.cluster is not None
    name = found.status.cluster.name
    await eventually(partial(clusters_of, client, key), lambda names: name in names)
    return found


async def see_gone(client: Client, key: Key = KEY) -> None:
    """Return once a Magnum cluster is no more."""

    async def look() -> bool:
        try:
            await client.get(MagnumCluster, key)
        except NotFound:
            return True
        return False

    await eventually(look, bool)


async def clusters_of(client: Client, key: Key = KEY) -> list[str]:
    """The names of the Kubernetes clusters that are registered in the namespace of a Magnum cluster."""
    return [each.metadata.name for each in (await client.list(Cluster, key.namespace)).items]


async def told(client: Client) -> list[str]:
    """The reasons of all events of Magnum clusters."""
    return [each.reason for each in (await client.list(Event, "red")).items if each.regarding.kind == "MagnumCluster"]
