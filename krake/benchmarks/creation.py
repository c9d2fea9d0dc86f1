"""200 clusters in creation at once on a simulated cloud: what waiting costs, and how soon they are ONLINE in the end."""

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
from krake.data.infrastructure import Cloud, CloudState, InfrastructureProvider
from krake.data.kubernetes import Cluster, ClusterState

CLUSTERS = 200
LIMIT = 300.0
SETTLE = 10.0
WAIT = 40.0
# Seconds that all the clusters that are ready at once may take, beside the wait for the next look at them.
WORK = 15.0
# Seconds from one look to the next: what the default is for real clouds, and what `krake up` takes for simulated ones.
POLLS = (30.0, 1.0)
IM, CLOUD = "im-provider", "cloud"
PARTS = ("infrastructure", "scheduler", "cluster", "gc", "api", "etcd", "simulator")

TOSCA = {
    "tosca_definitions_version": "tosca_simple_yaml_1_0",
    "topology_template": {
        "node_templates": {"front": {"type": "tosca.nodes.indigo.Compute"}},
        "outputs": {"kubeconfig": {"value": {"get_attribute": ["front", "kubeconfig"]}}},
    },
}


@dataclass
class Progress:
    """The infrastructures of the clusters, when what became of these, and how often they were written."""

    created: dict[str, str] = field(default_factory=dict)
    connecting: dict[str, float] = field(default_factory=dict)
    online: dict[str, float] = field(default_factory=dict)
    writes: int = 0


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    for poll in POLLS:
        async for row in _measure(directory / f"{poll:.0f}", poll):
            yield row


async def _measure(directory: Path, poll: float) -> AsyncIterator[Row]:
    variables = {"KRAKE_POLL_INTERVAL": str(poll)}
    on = f"{CLUSTERS} clusters in creation, looked at every {poll:.0f} s"
    async with (
        running_krake(directory, 0, 1, variables) as ready,
        Client(ready["api"]) as client,
        aiohttp.ClientSession(ready["simulated"]["provider"]["url"]) as provider,
    ):
        pids: dict[str, int] = {name: ready["pids"][name] for name in PARTS}
        await _register(client, ready["simulated"])
        await _tune(provider, boot_delay=3600, configure_delay=0)
        progress = Progress()
        follower = asyncio.create_task(_follow(client, progress))
        before = costs(pids)
        yield Row(f"create → asked of the provider, all of {on}", f"{await _create_all(client, progress):.1f} s")
        yield Row(f"the same, core time for each of {on}", compare(before, costs(pids), CLUSTERS))
        await asyncio.sleep(SETTLE)
        async for row in _measure_waiting(provider, pids, progress, on):
            yield row
        before = costs(pids)
        ready_at = await _finish(provider, progress)
        after = costs(pids)
        for state, moments in (("CONNECTING", progress.connecting), ("ONLINE", progress.online)):
            delays = [moment - ready_at for moment in moments.values()]
            figure = f"p50 {percentile(delays, 0.5):.1f} s, p99 {percentile(delays, 0.99):.1f} s"
            expected = f"p99 ≤ {poll + WORK:.0f} s" if state == "ONLINE" else ""
            met = not expected or percentile(delays, 0.99) <= poll + WORK
            yield Row(f"ready at once → {state}, {on}", figure, expected, met)
        yield Row(f"the same, core time for each of {on}", compare(before, after, CLUSTERS))
        count = len((await _show(provider))["infrastructures"])
        yield Row(f"infrastructures at the provider in the end, {on}", str(count), str(CLUSTERS), count == CLUSTERS)
        follower.cancel()


async def _create_all(client: Client, progress: Progress) -> float:
    """Create the clusters; return the seconds until the last infrastructure was asked for."""
    started = time.perf_counter()
    await asyncio.gather(*(_create(client, f"cluster-{number:03}") for number in range(CLUSTERS)))
    async with asyncio.timeout(LIMIT):
        while len(progress.created) < CLUSTERS:  # noqa: ASYNC110 - the watch beside counts them
            await asyncio.sleep(0.05)
    return time.perf_counter() - started


async def _register(client: Client, simulated: Mapping[str, Any]) -> None:
    spec = {"type": "im", "im": dict(simulated["provider"])}
    await client.create(InfrastructureProvider.restore({"metadata": {"name": IM, "namespace": NAMESPACE}, "spec": spec}))
    (cloud,) = simulated["clouds"]
    login = {
        "user": {"username": cloud["username"], "password": cloud["password"]},
        "project": {"name": cloud["project"]},
    }
    openstack = {
        "url": cloud["url"],
        "auth": {"type": "password", "password": login},
        "infrastructure_provider": {"name": IM, "namespaced": True},
    }
    spec = {"type": "openstack", "openstack": openstack}
    await client.create(Cloud.restore({"metadata": {"name": CLOUD, "namespace": NAMESPACE}, "spec": spec}))
    async with asyncio.timeout(LIMIT):
        while not await _is_online(client):  # noqa: ASYNC110 - the API is asked, as a user would
            await asyncio.sleep(0.1)


async def _is_online(client: Client) -> bool:
    return all(each.status.state is CloudState.ONLINE for each in (await client.list(Cloud, NAMESPACE)).items)


async def _tune(provider: aiohttp.ClientSession, **settings: Any) -> None:
    async with provider.patch("/_simulator/settings", json=settings) as answer:
        answer.raise_for_status()


async def _show(provider: aiohttp.ClientSession) -> dict[str, Any]:
    async with provider.get("/_simulator") as answer:
        shown: dict[str, Any] = await answer.json()
        return shown


async def _create(client: Client, name: str) -> None:
    body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"tosca": TOSCA, "constraints": {"cloud": {}}}}
    await client.create(Cluster.restore(body))


async def _follow(client: Client, progress: Progress) -> None:
    async for event in client.watch(Cluster, NAMESPACE, resource_version="0"):
        name, status = event.object.metadata.name, event.object.status
        progress.writes += 1
        if status.cluster_id is not None:
            progress.created.setdefault(name, status.cluster_id)
        if status.state in (ClusterState.CONNECTING, ClusterState.ONLINE):
            progress.connecting.setdefault(name, time.perf_counter())
        if status.state is ClusterState.ONLINE:
            progress.online.setdefault(name, time.perf_counter())


async def _measure_waiting(
    provider: aiohttp.ClientSession, pids: Mapping[str, int], progress: Progress, on: str
) -> AsyncIterator[Row]:
    """Look at what it costs that all of them are in creation, and nothing changes."""
    before = costs(pids)
    asked, writes = sum((await _show(provider))["requests"].values()), progress.writes
    await asyncio.sleep(WAIT)
    for name, used in costs(pids).items():
        share = (used - before[name]) / WAIT
        expected = "≤ 15 % of a core" if name == "infrastructure" else ""
        figure = f"{memory_mib(pids[name]):.0f} MiB RSS, {share:.1%} of a core"
        yield Row(f"waiting: {name}, {on}", figure, expected, not expected or share <= 0.15)
    asked = sum((await _show(provider))["requests"].values()) - asked
    yield Row(f"waiting: requests to the provider, {on}", f"{asked / WAIT:.1f}/s")
    yield Row(f"waiting: writes to the API in {WAIT:.0f} s, {on}", f"{progress.writes - writes}")


async def _finish(provider: aiohttp.ClientSession, progress: Progress) -> float:
    """Let all infrastructures be ready at once, and wait until their clusters are online; return when they were ready."""
    ready = time.perf_counter()
    async with provider.post("/_simulator/finish") as answer:
        answer.raise_for_status()
    async with asyncio.timeout(LIMIT):
        while len(progress.online) < CLUSTERS:  # noqa: ASYNC110 - the watch beside counts them
            await asyncio.sleep(0.05)
    return ready
