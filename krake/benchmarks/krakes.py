"""A whole Krake on this machine, with simulated clusters, and what its processes cost."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.samples import NAMESPACE
from krake.client import Client
from krake.data.kubernetes import Cluster, ClusterState
from krake.up.process import stop, tethered

LIMIT = 120.0
TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def running_krake(
    directory: Path, clusters: int, clouds: int = 0, variables: Mapping[str, str] | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Run ``krake up`` with simulated clusters and clouds; gives what its ready file says.

    :param variables: of its environment, beside those of this process.
    """
    ready_file = directory / "ready.json"
    command = [sys.executable, "-m", "krake", "up", "--api-port", "0", "--data-dir", str(directory)]
    command += ["--simulated-clusters", str(clusters), "--simulated-clouds", str(clouds), "--ready-file", str(ready_file)]
    process = await asyncio.create_subprocess_exec(
        *tethered(command, os.getpid()), stdout=asyncio.subprocess.DEVNULL, env=os.environ | (variables or {})
    )
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


async def read_kubeconfigs(paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return kubeconfigs by the names of their clusters."""
    found = [yaml.safe_load(await asyncio.to_thread(Path(path).read_text)) for path in paths]
    return {kubeconfig["clusters"][0]["name"]: kubeconfig for kubeconfig in found}


async def register_clusters(client: Client, paths: Iterable[str]) -> None:
    """Register clusters by their kubeconfigs, and wait until all are online."""
    for name, kubeconfig in (await read_kubeconfigs(paths)).items():
        body = {
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"kubeconfig": kubeconfig, "constraints": {"cloud": {}}},
        }
        await client.create(Cluster.restore(body))
    async with asyncio.timeout(LIMIT):
        while not await _all_online(client):  # noqa: ASYNC110 - the API is asked, as a user would
            await asyncio.sleep(0.1)


async def _all_online(client: Client) -> bool:
    return all(each.status.state is ClusterState.ONLINE for each in (await client.list(Cluster, NAMESPACE)).items)


def cpu_seconds(pid: int) -> float:
    """Return how long a process has kept a core busy so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def costs(pids: Mapping[str, int]) -> dict[str, float]:
    """Return how long each of some processes has kept a core busy so far."""
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def compare(before: Mapping[str, float], after: Mapping[str, float], count: int) -> str:
    """Tell what processes have spent on each of so many things."""
    spent = {name: used - before[name] for name, used in after.items()}
    return ", ".join(f"{name} {used / count * 1000:.1f} ms" for name, used in spent.items() if used >= 0.1)
