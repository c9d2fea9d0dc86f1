"""What the tests of the controllers put into the API, and how they wait for what comes of it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from krake.client import Client
from krake.controller.runtime import ControllerConfig, Parts
from krake.controller.runtime.process import serve
from krake.data import Key, Metadata, Resource, ResourceRef
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.core import MetricRef
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterConstraints,
    ClusterSpec,
    Constraints,
)

T = TypeVar("T")

MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": {"text": "hello"}}
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}],
    "users": [{"name": "c", "user": {"token": "t"}}],
}
DEADLINE = 20.0
"""Seconds; more than anything here takes, even where two cores have much else to do."""


@asynccontextmanager
async def running(build: Callable[[Client], Parts], url: str) -> AsyncIterator[None]:
    """Run a controller in this process; it is drained at the end."""
    stop = asyncio.Event()
    async with Client(url) as client:
        task = asyncio.create_task(serve("test", build(client), client, ControllerConfig(drain_timeout=5), stop))
        try:
            yield
        finally:
            stop.set()
            await task


@asynccontextmanager
async def running_process(module: str, url: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a controller as users do, in a process of its own, which is killed at the end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, "--api-endpoint", url, *options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def eventually(look: Callable[[], Awaitable[T]], accept: Callable[[T], bool]) -> T:
    """Return what *look* sees once it is acceptable; fail with the last sight if that takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE
    while True:
        seen = await look()
        if accept(seen):
            return seen
        assert loop.time() < deadline, f"Not in time; last seen: {seen}"
        await asyncio.sleep(0.02)


async def add_cluster(client: Client, name: str, *, state: str = "ONLINE", **more: Any) -> Cluster:
    """Register a cluster that its controller has found to be in a state."""
    cluster = Cluster(
        metadata=Metadata(
            name=name, namespace=more.get("namespace", "red"), labels=more.get("labels", {}), owners=more.get("owners", [])
        ),
        spec=ClusterSpec(
            kubeconfig=KUBECONFIG,
            constraints=ClusterCloudConstraints(cloud=CloudConstraints()),
            metrics=[MetricRef(name=metric, weight=1) for metric in more.get("metrics", ())],
        ),
    )
    await client.create(cluster)
    return await client.patch(Cluster, cluster.key, {"status": {"state": state}}, subresource="status")


async def set_state(client: Client, name: str, state: str) -> Cluster:
    """Say what the cluster controller would."""
    return await client.patch(Cluster, Key("red", name), {"status": {"state": state}}, subresource="status")


async def add_app(client: Client, name: str = "app", **more: Any) -> Application:
    """Create an application."""
    wanted = ClusterConstraints(
        labels=[LabelConstraint.parse(text) for text in more.get("labels", ())],
        metrics=[MetricConstraint.parse(text) for text in more.get("metrics", ())],
    )
    app = Application(
        metadata=Metadata(
            name=name,
            namespace=more.get("namespace", "red"),
            owners=more.get("owners", []),
            finalizers=list(more.get("finalizers", ())),
        ),
        spec=ApplicationSpec(
            manifest=[MANIFEST],
            constraints=Constraints(cluster=wanted, migration=more.get("migration", True)),
            auto_cluster_create=more.get("auto_cluster_create", False),
            backoff_limit=more.get("backoff_limit", -1),
            backoff_delay=more.get("backoff_delay", 1),
        ),
    )
    return await client.create(app)


def ref(kind: type[Resource], name: str) -> ResourceRef:
    """A reference into the namespace of the tests."""
    return kind.definition.ref(Key("red", name))


async def names(client: Client, kinds: Sequence[type[Resource]]) -> set[str]:
    """The names of all objects of some kinds."""
    return {item.metadata.name for kind in kinds for item in (await client.list(kind)).items}
