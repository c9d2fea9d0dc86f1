"""1,000 applications at once on 20 simulated clusters: how long it takes, what it costs, how soon drift is put right."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.krakes import cpu_seconds, memory_mib, read_kubeconfigs, register_clusters, running_krake
from benchmarks.measuring import Row, percentile
from benchmarks.samples import NAMESPACE, application
from krake.adapters.kubernetes import connect
from krake.client import Client
from krake.data.events import Event
from krake.data.kubernetes import Application, ApplicationState
from krake.ports.cluster import Identity, ObjectType

CLUSTERS = 20
APPLICATIONS = 1000
LIMIT = 300.0
QUIET = 5.0
IDLE_FOR = 30.0
DRIFTS = 50
DEPLOYMENT = ObjectType("apps/v1", "Deployment")


@dataclass
class Progress:
    """When what became of each application, and how often it was written."""

    created: dict[str, float] = field(default_factory=dict)
    placed: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    clusters: dict[str, str] = field(default_factory=dict)


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with running_krake(directory, CLUSTERS) as ready, Client(ready["api"]) as client:
        pids: dict[str, int] = ready["pids"]
        await register_clusters(client, ready["kubeconfigs"])
        before, started = _costs(pids), time.perf_counter()
        progress = Progress()
        follower = asyncio.create_task(_follow(client, progress))
        await _create_all(client, progress)
        async with asyncio.timeout(LIMIT):
            while len(progress.running) < APPLICATIONS:  # noqa: ASYNC110 - the watch beside counts them
                await asyncio.sleep(0.05)
        total = time.perf_counter() - started
        on = f"{APPLICATIONS:,} applications at once on {CLUSTERS} clusters"
        for what, times in (("on its cluster", progress.placed), ("RUNNING", progress.running)):
            samples = [times[name] - progress.created[name] for name in progress.created]
            figure = f"p50 {percentile(samples, 0.5):.1f} s, p99 {percentile(samples, 0.99):.1f} s"
            yield Row(f"create → {what}, {on}", figure)
        yield Row("the same, all of them", f"{total:.1f} s, {APPLICATIONS / total:.0f} applications/s")
        spent = {name: used - before[name] for name, used in _costs(pids).items()}
        figure = ", ".join(f"{name} {used / APPLICATIONS * 1000:.1f} ms" for name, used in spent.items() if used >= 1)
        yield Row("core time for each", figure)
        quiet_after = await _wait_for_quiet(client)
        writes = sum(progress.writes.values()) / APPLICATIONS
        yield Row("writes to each, with its creation", f"{writes:.1f}; at most {max(progress.writes.values())}")
        yield Row("until nothing is written any more", f"{quiet_after:.0f} s after the last one ran")
        follower.cancel()
        version = await _version(client)
        async for row in _measure_idle(pids):
            yield row
        yield Row(f"idle: writes in {IDLE_FOR:.0f} s", f"{await _version(client) - version}")
        delays = await _measure_drift(await read_kubeconfigs(ready["kubeconfigs"]), progress)
        p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
        yield Row("drift → corrected", f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms", "p99 ≤ 1 s", p99 <= 1)


async def _version(client: Client) -> int:
    """Return how often anything was written to the store so far."""
    return int((await client.list(Event, NAMESPACE, limit=1)).resource_version or 0)


async def _wait_for_quiet(client: Client) -> float:
    """Wait until nothing is written for a while; return in how many seconds the last write was."""
    began = changed = time.perf_counter()
    version = await _version(client)
    while time.perf_counter() - changed < QUIET and changed - began < LIMIT:
        await asyncio.sleep(0.5)
        if (latest := await _version(client)) != version:
            version, changed = latest, time.perf_counter()
    return changed - began


async def _follow(client: Client, progress: Progress) -> None:
    async for event in client.watch(Application, NAMESPACE, resource_version="0"):
        name, status, now = event.object.metadata.name, event.object.status, time.perf_counter()
        progress.writes[name] += 1
        if status.running_on is not None:
            progress.placed.setdefault(name, now)
            progress.clusters[name] = status.running_on.name
        if status.state is ApplicationState.RUNNING:
            progress.running.setdefault(name, now)


async def _create_all(client: Client, progress: Progress) -> None:
    async def create(name: str) -> None:
        body = application(name)
        body["metadata"]["namespace"] = NAMESPACE
        (deployment,) = (obj for obj in body["spec"]["manifest"] if obj["kind"] == "Deployment")
        deployment["spec"]["replicas"] = 1
        progress.created[name] = time.perf_counter()
        await client.create(Application.restore(body))

    await asyncio.gather(*(create(f"app-{number:04}") for number in range(APPLICATIONS)))


def _costs(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


async def _measure_idle(pids: Mapping[str, int]) -> AsyncIterator[Row]:
    before = _costs(pids)
    await asyncio.sleep(IDLE_FOR)
    for name, used in _costs(pids).items():
        share = (used - before[name]) / IDLE_FOR
        each = f"{share / APPLICATIONS * 60_000:.2f} ms a minute for each application"
        what = f"idle: {name}, {APPLICATIONS:,} applications on {CLUSTERS} clusters"
        yield Row(what, f"{memory_mib(pids[name]):.0f} MiB RSS, {share:.1%} of a core, {each}")


async def _measure_drift(kubeconfigs: Mapping[str, dict[str, Any]], progress: Progress) -> list[float]:
    """Change some Deployments behind the back of Krake; return the seconds until each was as declared again."""
    delays = []
    for name in list(progress.clusters)[: DRIFTS * 7 : 7]:
        connection = connect(kubeconfigs[progress.clusters[name]])
        try:
            identity = Identity(DEPLOYMENT, "default", name)
            path = f"/apis/apps/v1/namespaces/default/deployments/{name}"
            changes = {"spec": {"replicas": 3}}
            await connection._transport.call("PATCH", path, {}, changes, "application/merge-patch+json")
            changed = time.perf_counter()
            async with asyncio.timeout(LIMIT / 10):
                while (await connection.get(identity) or {})["spec"]["replicas"] == 3:  # noqa: ASYNC110 - as a user would look
                    await asyncio.sleep(0.002)
            delays.append(time.perf_counter() - changed)
        finally:
            await connection.close()
    return delays
