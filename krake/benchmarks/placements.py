"""The scheduler at work: bindings per second, a lost cluster of many applications, newcomers while thousands are looked at.

Beside an API and the scheduler, nothing runs: what the other controllers would say of clusters and applications is written by
the measurement itself, so that what is measured is the scheduler, and what it asks of the API.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.krakes import cpu_seconds, memory_mib
from benchmarks.measuring import Row, percentile
from benchmarks.samples import NAMESPACE, application
from benchmarks.servers import Api, running_api
from krake.client import Client
from krake.data import Key
from krake.data.core import GlobalMetric, GlobalMetricsProvider
from krake.data.kubernetes import Application, Cluster
from krake.up.parts import CommandPart, answers
from krake.up.process import free_port

APPLICATIONS = 1000
FLEETS = (100, 1000)
METRICS = 5
LOST = 5000
HARBOURS = 100
NEWCOMERS = 20
CHANGES = 15
TASKS = 32
LIMIT = 600.0
LOST_CLUSTER = "lost"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {"token": "t"}}],
}


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    for clusters in FLEETS:
        async for row in _measure_backlog(directory / f"fleet-{clusters}", clusters):
            yield row
    async for row in _measure_loss(directory / "loss"):
        yield row


async def _measure_backlog(directory: Path, clusters: int) -> AsyncIterator[Row]:
    """Let a scheduler find applications that wait for it."""
    async with running_api(directory) as api, Client(api.url) as client:
        await _declare_metrics(client)
        await _add_clusters(client, (f"c{number:04}" for number in range(clusters)))
        await _spread(lambda name: _create(client, name), (f"a{number:04}" for number in range(APPLICATIONS)))
        async with _following(client) as sight, running_scheduler(api) as scheduler:
            await sight.until(lambda: len(sight.bound) >= APPLICATIONS)
            times = sorted(sight.bound.values())
            rate = (APPLICATIONS - 1) / (times[-1] - times[0])
            what = f"{APPLICATIONS:,} applications × {clusters:,} clusters"
            yield Row(f"bindings, {what}", f"{rate:.0f}/s; {_cost(scheduler, APPLICATIONS)}")
            places = len(set(sight.places.values()))
            yield Row(f"scheduler, {what}", f"{memory_mib(scheduler):.0f} MiB RSS; {places:,} clusters used")
            yield await _measure_changes(client, sight, what)


async def _measure_changes(client: Client, sight: "Sight", what: str) -> Row:
    """Change again and again what somebody waits for, each time something else, and see how long that takes to be noticed."""
    waits = []
    for number in range(CHANGES):
        name, cluster = f"waits{number}", Key(NAMESPACE, f"c{number:04}")
        asks = {"metrics": [f"m0 > {0.59 + number / 100:.2f}"]} if number % 3 == 0 else {"labels": [f"wanted is w{number}"]}
        await _create(client, name, asks)
        await sight.until(lambda name=name: name in sight.told)  # type: ignore[misc]
        changed = time.perf_counter()
        if number % 3 == 0:
            values = dict.fromkeys((f"m{each}" for each in range(METRICS)), 0.6 + number / 100)
            await client.patch(GlobalMetricsProvider, Key(None, "bench"), {"spec": {"static": {"metrics": values}}})
        elif number % 3 == 1:
            await client.patch(Cluster, cluster, {"metadata": {"labels": {"wanted": f"w{number}"}}})
        else:
            await client.patch(Application, Key(NAMESPACE, name), {"spec": {"constraints": {"cluster": {"labels": []}}}})
        await sight.until(lambda name=name: name in sight.bound)  # type: ignore[misc]
        waits.append(sight.bound[name] - changed)
    figure = f"p50 {percentile(waits, 0.5) * 1000:.0f} ms, at most {max(waits) * 1000:.0f} ms"
    return Row(f"a value, a label, a constraint changes → who waits is bound, {what}", figure, "≤ 1 s", max(waits) <= 1)


async def _measure_loss(directory: Path) -> AsyncIterator[Row]:
    """Lose the cluster of many applications."""
    async with running_api(directory) as api, Client(api.url) as client, _following(client) as sight:
        await _declare_metrics(client)
        await _add_clusters(client, [LOST_CLUSTER])
        names = [f"a{number:04}" for number in range(LOST)]
        await _spread(lambda name: _create(client, name), names)
        async with running_scheduler(api) as scheduler:
            await sight.until(lambda: len(sight.bound) >= LOST)
            await _spread(lambda name: _say(client, name, **_running()), names)
            await _add_clusters(client, (f"c{number:04}" for number in range(HARBOURS)))
            await asyncio.sleep(5)
            async for row in _measure_newcomers(client, sight):
                yield row
            troubled = {"state": "DEGRADED", "reason": {"code": "CLUSTER_NOT_REACHABLE", "message": "It does not answer."}}
            await _spread(lambda name: _say(client, name, **troubled), names)
            before, lost = cpu_seconds(scheduler), time.perf_counter()
            await client.patch(Cluster, Key(NAMESPACE, LOST_CLUSTER), {"status": {"state": "OFFLINE"}}, subresource="status")
            await sight.until(lambda: all(sight.places[name] != LOST_CLUSTER for name in names))
            took = time.perf_counter() - lost
            spent = (cpu_seconds(scheduler) - before) / LOST * 1000
            figure = f"{took:.1f} s, {LOST / took:.0f}/s; {spent:.2f} ms of a core each"
            yield Row(f"{LOST:,} applications of a lost cluster → on {HARBOURS} others, no rate limit", figure)
            yield Row(f"scheduler, {LOST:,} applications × {HARBOURS} clusters", f"{memory_mib(scheduler):.0f} MiB RSS")


async def _measure_newcomers(client: Client, sight: "Sight") -> AsyncIterator[Row]:
    """Change a metric of all clusters again and again, and see how long newcomers wait meanwhile."""
    waits = []
    for number in range(NEWCOMERS):
        values = {f"m{each}": 0.5 + number / 1000 for each in range(METRICS)}
        await client.patch(GlobalMetricsProvider, Key(None, "bench"), {"spec": {"static": {"metrics": values}}})
        await asyncio.sleep(0.1)
        name, created = f"new{number:02}", time.perf_counter()
        await _create(client, name)
        await sight.until(lambda name=name: name in sight.bound)  # type: ignore[misc]
        waits.append(sight.bound[name] - created)
    figure = f"p50 {percentile(waits, 0.5) * 1000:.0f} ms, p99 {percentile(waits, 0.99) * 1000:.0f} ms"
    what = f"newcomer → bound, while {LOST:,} applications are looked at again"
    yield Row(what, figure, "p99 ≤ 1 s", percentile(waits, 0.99) <= 1)


@dataclass
class Sight:
    """When each application was bound first, where it is, and who was told that there is no place for it."""

    bound: dict[str, float] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def _following(client: Client) -> AsyncIterator[Sight]:
    sight = Sight()

    async def follow() -> None:
        async for event in client.watch(Application, NAMESPACE, resource_version="0"):
            name, place = event.object.metadata.name, event.object.status.scheduled_to
            if place is not None:
                sight.bound.setdefault(name, time.perf_counter())
                sight.places[name] = place.name
                sight.changed.set()
            elif event.object.status.reason is not None:
                sight.told.add(name)
                sight.changed.set()

    task = asyncio.create_task(follow())
    try:
        yield sight
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def running_scheduler(api: Api) -> AsyncIterator[int]:
    """Run a scheduler whose limits are lifted; gives its process id."""
    port = free_port()
    command = [sys.executable, "-m", "krake.controller.scheduler", "--config", os.devnull, "--api-endpoint", api.url]
    command += ["--health-port", str(port), "--failover-after", "0", "--failover-per-minute", "0"]
    command += ["--metrics-interval", "1"]
    part = CommandPart(command, ready=answers(f"http://127.0.0.1:{port}/readyz"), print_line=lambda line: None)
    await part.start()
    try:
        yield part.pid
    finally:
        await part.stop()


def _cost(pid: int, applications: int) -> str:
    return f"{cpu_seconds(pid) / applications * 1000:.1f} ms of a core of the scheduler each, with its start"


async def _spread(work: Callable[[str], Awaitable[object]], names: Iterable[str]) -> None:
    """Do something for all names, some at once."""
    pending = iter(list(names))

    async def one() -> None:
        for name in pending:
            await work(name)

    await asyncio.gather(*(one() for _ in range(TASKS)))


async def _declare_metrics(client: Client) -> None:
    names = [f"m{number}" for number in range(METRICS)]
    static = {"type": "static", "static": {"metrics": dict.fromkeys(names, 0.5)}}
    await client.create(GlobalMetricsProvider.restore({"metadata": {"name": "bench"}, "spec": static}))
    for name in names:
        spec = {"min": 0, "max": 1, "provider": {"name": "bench", "metric": name}}
        await client.create(GlobalMetric.restore({"metadata": {"name": name}, "spec": spec}))


async def _add_clusters(client: Client, names: Iterable[str]) -> None:
    metrics = [{"name": f"m{number}", "weight": 1.0 + number, "namespaced": False} for number in range(METRICS)]
    status = {"state": "ONLINE", "allocatable": {"cpu": "10k", "memory": "10Ti", "pods": "100k"}}

    async def add(name: str) -> None:
        spec = {"kubeconfig": KUBECONFIG, "constraints": {"cloud": {}}, "metrics": metrics}
        await client.create(Cluster.restore({"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}))
        await client.patch(Cluster, Key(NAMESPACE, name), {"status": status}, subresource="status")

    await _spread(add, names)


async def _create(client: Client, name: str, asks: dict[str, Any] | None = None) -> None:
    body = application(name)
    body["metadata"]["namespace"] = NAMESPACE
    if asks is not None:
        body["spec"] |= {"constraints": {"cluster": asks}, "backoff_limit": 0}
    await client.create(Application.restore(body))


async def _say(client: Client, name: str, **status: Any) -> None:
    await client.patch(Application, Key(NAMESPACE, name), {"status": status}, subresource="status")


def _running() -> dict[str, Any]:
    place = {"api": "kubernetes", "kind": "Cluster", "namespace": NAMESPACE, "name": LOST_CLUSTER}
    return {"state": "RUNNING", "running_on": place, "placed_on": [place]}
