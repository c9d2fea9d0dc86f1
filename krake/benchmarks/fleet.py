"""A whole Krake: how long 100 applications take on 10 simulated clusters, and what everything costs when nothing happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.krakes import cpu_seconds, memory_mib, register_clusters, running_krake
from benchmarks.measuring import Row, percentile
from benchmarks.samples import NAMESPACE, application
from krake.client import Client
from krake.data.kubernetes import Application, ApplicationState

CLUSTERS = 10
APPLICATIONS = 100
LIMIT = 120.0
IDLE_FOR = 20.0


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with running_krake(directory, CLUSTERS) as ready, Client(ready["api"]) as client:
        await register_clusters(client, ready["kubeconfigs"])
        scheduled, running = await _run_applications(client)
        for what, samples, limit in (("create → scheduled", scheduled, 0.0), ("create → RUNNING", running, 2.0)):
            p50, p99 = percentile(samples, 0.5), percentile(samples, 0.99)
            expected = f"p99 ≤ {limit:.0f} s" if limit else ""
            figure = f"p50 {p50:.2f} s, p99 {p99:.2f} s"
            yield Row(
                f"{what}, {APPLICATIONS} applications on {CLUSTERS} clusters", figure, expected, not limit or p99 <= limit
            )
        await asyncio.sleep(5)
        before = {name: cpu_seconds(pid) for name, pid in ready["pids"].items()}
        await asyncio.sleep(IDLE_FOR)
        for name, pid in ready["pids"].items():
            share = (cpu_seconds(pid) - before[name]) / IDLE_FOR
            yield Row(f"idle: {name}", f"{memory_mib(pid):.0f} MiB RSS, {share:.1%} of a core")


async def _run_applications(client: Client) -> tuple[list[float], list[float]]:
    """Create all applications at once; return the seconds until each was scheduled and until each ran."""
    created: dict[str, float] = {}
    scheduled: dict[str, float] = {}
    running: dict[str, float] = {}
    version = (await client.list(Application, NAMESPACE)).resource_version

    async def follow() -> None:
        async for event in client.watch(Application, NAMESPACE, resource_version=version):
            name, status, now = event.object.metadata.name, event.object.status, time.perf_counter()
            if status.scheduled_to is not None:
                scheduled.setdefault(name, now)
            if status.state is ApplicationState.RUNNING:
                running.setdefault(name, now)
            if len(running) == APPLICATIONS:
                return

    async def create(name: str) -> None:
        body = application(name)
        body["metadata"]["namespace"] = NAMESPACE
        created[name] = time.perf_counter()
        await client.create(Application.restore(body))

    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        group.create_task(follow())
        await asyncio.gather(*(create(f"app-{number:03}") for number in range(APPLICATIONS)))
    return [scheduled[name] - created[name] for name in created], [running[name] - created[name] for name in created]
