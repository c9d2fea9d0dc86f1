"""A whole Krake: how long 100 applications take on 10 simulated clusters, and what everything costs when nothing happens."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import Row, percentile
from benchmarks.samples import NAMESPACE, application
from krake.client import Client
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.up.process import stop, tethered

CLUSTERS = 10
APPLICATIONS = 100
LIMIT = 120.0
IDLE_FOR = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with _running_krake(directory) as ready, Client(ready["api"]) as client:
        for path in ready["kubeconfigs"]:
            kubeconfig = yaml.safe_load(await asyncio.to_thread(Path(path).read_text))
            name = kubeconfig["clusters"][0]["name"]
            body = {
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"kubeconfig": kubeconfig, "constraints": {"cloud": {}}},
            }
            await client.create(Cluster.restore(body))
        async with asyncio.timeout(LIMIT):
            while not await _all_online(client):  # noqa: ASYNC110 - the API is asked, as a user would
                await asyncio.sleep(0.1)
        scheduled, running = await _run_applications(client)
        for what, samples, limit in (("create → scheduled", scheduled, 0.0), ("create → RUNNING", running, 2.0)):
            p50, p99 = percentile(samples, 0.5), percentile(samples, 0.99)
            expected = f"p99 ≤ {limit:.0f} s" if limit else ""
            figure = f"p50 {p50:.2f} s, p99 {p99:.2f} s"
            yield Row(
                f"{what}, {APPLICATIONS} applications on {CLUSTERS} clusters", figure, expected, not limit or p99 <= limit
            )
        await asyncio.sleep(5)
        before = {name: _cpu_seconds(pid) for name, pid in ready["pids"].items()}
        await asyncio.sleep(IDLE_FOR)
        for name, pid in ready["pids"].items():
            share = (_cpu_seconds(pid) - before[name]) / IDLE_FOR
            yield Row(f"idle: {name}", f"{_memory_mib(pid):.0f} MiB RSS, {share:.1%} of a core")


async def _all_online(client: Client) -> bool:
    return all(each.status.state is ClusterState.ONLINE for each in (await client.list(Cluster, NAMESPACE)).items)


@contextlib.asynccontextmanager
async def _running_krake(directory: Path) -> AsyncIterator[dict[str, Any]]:
    ready_file = directory / "ready.json"
    command = [sys.executable, "-m", "krake", "up", "--api-port", "0", "--data-dir", str(directory)]
    command += ["--simulated-clusters", str(CLUSTERS), "--ready-file", str(ready_file)]
    process = await asyncio.create_subprocess_exec(*tethered(command, os.getpid()), stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(LIMIT):
            while not await asyncio.to_thread(ready_file.exists):
                if process.returncode is not None:
                    raise RuntimeError("krake up did not start.")
                await asyncio.sleep(0.1)
        ready: dict[str, Any] = json.loads(await asyncio.to_thread(ready_file.read_text))
        yield ready
    finally:
        await stop(process, 60)


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


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
