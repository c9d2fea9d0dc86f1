"""100 clusters in creation at once by a simulated Magnum: what waiting costs, and how soon they are of use in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.krakes import compare, costs, memory_mib, running_krake
from benchmarks.measuring import Row, percentile
from benchmarks.samples import NAMESPACE
from krake.client import Client
from krake.data.kubernetes import Cluster, ClusterState
from krake.data.openstack import MagnumCluster, MagnumClusterState, Project, ProjectState

CLUSTERS = 100
LIMIT = 300.0
SETTLE = 10.0
WAIT = 40.0
# Seconds that all the clusters that are ready at once may take, beside the wait for the next look at them.
WORK = 15.0
# Seconds from one look to the next: what the default is for real clouds, and what `krake up` takes for simulated ones.
POLLS = (30.0, 1.0)
PARTS = ("magnum", "scheduler", "cluster", "gc", "api", "etcd", "simulator")


@dataclass
class Progress:
    """Which clusters were asked for, and when they were of use; by their names."""

    asked: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    online: dict[str, float] = field(default_factory=dict)


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    for poll in POLLS:
        async for row in _measure(directory / f"{poll:.0f}", poll):
            yield row


async def _measure(directory: Path, poll: float) -> AsyncIterator[Row]:
    on = f"{CLUSTERS} Magnum clusters, looked at every {poll:.0f} s"
    async with (
        running_krake(directory, 0, 1, {"KRAKE_POLL_INTERVAL": str(poll)}) as ready,
        Client(ready["api"]) as client,
        aiohttp.ClientSession(ready["simulated"]["clouds"][0]["url"]) as cloud,
    ):
        pids: dict[str, int] = {name: ready["pids"][name] for name in PARTS}
        await _declare_project(client, ready["simulated"]["clouds"][0])
        async with cloud.patch("/_simulator/settings", json={"create_delay": 3600}) as answer:
            answer.raise_for_status()
        progress = Progress()
        followers = [
            asyncio.create_task(_follow_magnum_clusters(client, progress)),
            asyncio.create_task(_follow_clusters(client, progress)),
        ]
        before = costs(pids)
        yield Row(f"create → asked of Magnum, all of {on}", f"{await _create_all(client, progress):.1f} s")
        yield Row(f"the same, core time for each of {on}", compare(before, costs(pids), CLUSTERS))
        await asyncio.sleep(SETTLE)
        async for row in _measure_waiting(cloud, pids, on):
            yield row
        before = costs(pids)
        ready_at = await _finish(cloud, progress)
        after = costs(pids)
        for state, moments in (("RUNNING", progress.running), ("ONLINE", progress.online)):
            delays = [moment - ready_at for moment in moments.values()]
            figure = f"p50 {percentile(delays, 0.5):.1f} s, p99 {percentile(delays, 0.99):.1f} s"
            met = percentile(delays, 0.99) <= poll + WORK
            yield Row(f"ready at once → {state}, {on}", figure, f"p99 ≤ {poll + WORK:.0f} s", met)
        yield Row(f"the same, core time for each of {on}", compare(before, after, CLUSTERS))
        count = len((await _show(cloud))["clusters"])
        yield Row(f"clusters at Magnum in the end, {on}", str(count), str(CLUSTERS), count == CLUSTERS)
        for follower in followers:
            follower.cancel()


async def _declare_project(client: Client, cloud: Mapping[str, Any]) -> None:
    """Declare the project of a cloud, and wait until it is known to answer."""
    login = {"user": {"id": cloud["user_id"], "password": cloud["password"]}, "project": {"id": cloud["project_id"]}}
    auth = {"type": "password", "password": login}
    spec = {"url": f"{cloud['url']}/v3", "auth": auth, "template": cloud["template"]}
    await client.create(Project.restore({"metadata": {"name": "project", "namespace": NAMESPACE}, "spec": spec}))

    async def is_online() -> bool:
        (project,) = (await client.list(Project, NAMESPACE)).items
        return project.status.state is ProjectState.ONLINE and project.status.checked is not None

    async with asyncio.timeout(LIMIT):
        while not await is_online():  # noqa: ASYNC110 - the API is asked, as a user would
            await asyncio.sleep(0.1)


async def _create_all(client: Client, progress: Progress) -> float:
    """Create the clusters; return the seconds until Magnum was asked for the last one."""
    started = time.perf_counter()
    bodies = [{"metadata": {"name": f"m-{number:03}", "namespace": NAMESPACE}, "spec": {}} for number in range(CLUSTERS)]
    await asyncio.gather(*(client.create(MagnumCluster.restore(body)) for body in bodies))
    async with asyncio.timeout(LIMIT):
        while len(progress.asked) < CLUSTERS:  # noqa: ASYNC110 - the watch beside counts them
            await asyncio.sleep(0.05)
    return time.perf_counter() - started


async def _follow_magnum_clusters(client: Client, progress: Progress) -> None:
    async for event in client.watch(MagnumCluster, NAMESPACE, resource_version="0"):
        name, status = event.object.metadata.name, event.object.status
        if status.cluster_id is not None:
            progress.asked.add(name)
        if status.state is MagnumClusterState.RUNNING:
            progress.running.setdefault(name, time.perf_counter())


async def _follow_clusters(client: Client, progress: Progress) -> None:
    async for event in client.watch(Cluster, NAMESPACE, resource_version="0"):
        if event.object.status.state is ClusterState.ONLINE:
            progress.online.setdefault(event.object.metadata.name, time.perf_counter())


async def _measure_waiting(cloud: aiohttp.ClientSession, pids: Mapping[str, int], on: str) -> AsyncIterator[Row]:
    """Look at what it costs that all of them are in creation, and nothing changes."""
    before = costs(pids)
    asked = sum((await _show(cloud))["requests"].values())
    await asyncio.sleep(WAIT)
    for name, used in costs(pids).items():
        share = (used - before[name]) / WAIT
        expected = "≤ 15 % of a core" if name == "magnum" else ""
        figure = f"{memory_mib(pids[name]):.0f} MiB RSS, {share:.1%} of a core"
        yield Row(f"waiting: {name}, {on}", figure, expected, not expected or share <= 0.15)
    asked = sum((await _show(cloud))["requests"].values()) - asked
    yield Row(f"waiting: requests to the cloud, {on}", f"{asked / WAIT:.1f}/s")


async def _finish(cloud: aiohttp.ClientSession, progress: Progress) -> float:
    """Let all clusters be ready at once, and wait until they are of use; return when they were ready."""
    ready = time.perf_counter()
    async with cloud.post("/_simulator/finish") as answer:
        answer.raise_for_status()
    async with asyncio.timeout(LIMIT):
        while min(len(progress.running), len(progress.online)) < CLUSTERS:  # noqa: ASYNC110 - the watches beside count them
            await asyncio.sleep(0.05)
    return ready


async def _show(cloud: aiohttp.ClientSession) -> dict[str, Any]:
    async with cloud.get("/_simulator") as answer:
        shown: dict[str, Any] = await answer.json()
        return shown
