"""The infrastructure controller is killed at every single thing that it asks of others: nothing is lost, nothing is doubled."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Any

from component.controllers.clouds import (
    Accept,
    add_cloud_of,
    add_provider,
    config,
    happens,
    infrastructure_controller,
    order_cluster,
    see,
    see_gone,
    template,
)
from component.controllers.magnum import ConfinedClient, Fate
from component.controllers.world import running, running_process
from fixtures.simulated_clouds import StartProvider

from krake.adapters.infrastructure import Connector
from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.infrastructure.controller import InfrastructureController
from krake.controller.infrastructure.homes import Sight
from krake.controller.runtime import ControllerConfig, Parts, Recorder
from krake.controller.runtime.process import serve
from krake.data import Key
from krake.data.infrastructure import Cloud, InfrastructureProvider, mark_of
from krake.data.kubernetes import Cluster, ClusterState
from krake.simulator.infrastructure import SimulatedProvider

AT_ONCE = 16
MOST = 80
"""A whole life takes fewer calls."""


class FatefulConnector(Connector):
    """Leads to a provider whose requests are counted."""

    fate: Fate

    def connect(self, *args: Any, **options: Any) -> Any:
        access, fate = super().connect(*args, **options), self.fate

        class Counted:
            close = access.close

            def __getattr__(self, name: str) -> Any:
                return lambda *args: fate.guard(partial(getattr(access, name), *args))

        return Counted()


class PlainClient(ConfinedClient):
    """A client that sees one namespace only, and the global kinds."""

    async def list(self, kind: Any, *args: Any, **options: Any) -> Any:
        plain = kind.definition.namespaced
        return await (super().list(kind, **options) if plain else Client.list(self, kind, **options))

    def watch(self, kind: Any, *args: Any, **options: Any) -> Any:
        plain = kind.definition.namespaced
        return super().watch(kind, **options) if plain else Client.watch(self, kind, **options)


@asynccontextmanager
async def confined(api: str, namespace: str, fate: Fate) -> AsyncIterator[None]:
    """Run a controller for one namespace that hangs when it meets its fate, and is killed with the end of the block."""
    settings = config(poll_interval=0.1, observe_interval=1.0, search_time=0.2)
    async with PlainClient(api) as client:
        client.namespace = namespace
        connector = FatefulConnector(settings.providers.destinations, "providers.allow", 2.0)
        client.fate = connector.fate = fate
        recorder, sight = Recorder(client, "infrastructure"), Sight.of(client)
        controller = InfrastructureController(client, settings, sight, recorder, connector)
        parts = Parts([sight.clusters, *sight.hosts], controller.controllers, resources=[recorder, connector])
        task = asyncio.create_task(serve("doomed", parts, client, ControllerConfig(), asyncio.Event()))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def made_for(provider: SimulatedProvider, cluster: Cluster) -> list[str]:
    """The ids of all infrastructures with the mark of a cluster."""
    return [id for id, made in provider.infrastructures.items() if mark_of(cluster.metadata.uid) in json.dumps(made.template)]


def is_ready(machines: int) -> Accept:
    """Return whether a cluster is done, with so many machines."""

    def accept(cluster: Cluster) -> bool:
        known = cluster.status.infrastructure
        ready = cluster.status.state is ClusterState.CONNECTING and bool(cluster.spec.kubeconfig)
        return ready and known is not None and len(known.machines) == machines

    return accept


async def live(client: Client, provider: SimulatedProvider, namespace: str) -> None:
    """Have a cluster be created, resized and deleted with its home, and find each of that done exactly once."""
    await order_cluster(client, namespace=namespace)
    cluster = await see(client, is_ready(2), namespace=namespace)
    assert made_for(provider, cluster) == [cluster.status.cluster_id]
    await client.patch(Cluster, cluster.key, {"spec": {"tosca": template(3)}})
    cluster = await see(client, is_ready(4), namespace=namespace)
    assert made_for(provider, cluster) == [cluster.status.cluster_id]
    assert len(provider.infrastructures[str(cluster.status.cluster_id)].machines) == 4
    names = ((Cluster, "cluster"), (Cloud, "cloud"), (InfrastructureProvider, "im"))
    for kind, name in names:
        await client.delete(kind, Key(namespace, name))
    for kind, name in names:
        await see_gone(client, kind, name, namespace=namespace)
    assert made_for(provider, cluster) == []


async def die_once(api: str, client: Client, provider: SimulatedProvider, at: int) -> bool:
    """Have a cluster live with a controller that is killed at a call of it; returns whether there was such a call."""
    namespace = f"life-{at}"
    await add_provider(client, provider.url, namespace=namespace)
    await add_cloud_of(client, namespace=namespace)
    fate = Fate(at, done=True)
    life = asyncio.create_task(live(client, provider, namespace))
    async with confined(api, namespace, fate):
        death = asyncio.create_task(fate.met.wait())
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
    async with confined(api, namespace, Fate(inf, done=False)):
        await life
    return fate.met.is_set()


async def test_a_controller_that_is_killed_at_any_moment_goes_on_when_it_is_back(
    api: str, client: Client, simulated_provider: SimulatedProvider
) -> None:
    """What is asked for is done, and the answer does not arrive. To be killed before a call is to be killed after another."""
    async with running(partial(build_gc, ControllerConfig()), api):
        for first in range(1, MOST, AT_ONCE):
            lives = (die_once(api, client, simulated_provider, at) for at in range(first, first + AT_ONCE))
            if not all(await asyncio.gather(*lives)):
                break
    assert AT_ONCE < first < MOST - AT_ONCE
    assert simulated_provider.infrastructures == {}


async def test_a_process_that_is_killed_leaves_nothing_behind(
    api: str, client: Client, simulated_provider: SimulatedProvider
) -> None:
    simulated_provider.settings.boot_delay = 0.5
    await add_provider(client, simulated_provider.url)
    await add_cloud_of(client)
    module, options = "krake.controller.infrastructure", ("--providers-allow", "127.0.0.1", "--poll-interval", "0.1")
    async with running(partial(build_gc, ControllerConfig()), api):
        async with running_process(module, api, *options) as process:
            await order_cluster(client)
            cluster = await see(client, lambda cluster: cluster.status.cluster_id is not None)
            process.kill()
        async with running_process(module, api, *options):
            await see(client, lambda cluster: cluster.status.state is ClusterState.CONNECTING)
            assert made_for(simulated_provider, cluster) == [cluster.status.cluster_id]
            await client.delete(Cluster, cluster.key)
            await see_gone(client)
    assert simulated_provider.infrastructures == {}


async def test_a_process_that_is_killed_while_machines_are_added_adds_them_once(
    api: str, client: Client, simulated_provider: SimulatedProvider
) -> None:
    """The provider shows nothing of what it has begun before the first machine is there."""
    await add_provider(client, simulated_provider.url)
    await add_cloud_of(client)
    module, options = "krake.controller.infrastructure", ("--providers-allow", "127.0.0.1", "--poll-interval", "0.1")
    options = (*options, "--search-time", "0.5")
    async with running(partial(build_gc, ControllerConfig()), api):
        async with running_process(module, api, *options) as process:
            await order_cluster(client)
            cluster = await see(client, is_ready(2))
            found = simulated_provider.infrastructures[str(cluster.status.cluster_id)]
            simulated_provider.settings.launch_delay = 3.0
            await client.patch(Cluster, cluster.key, {"spec": {"tosca": template(3)}})
            await happens(lambda: found.template["topology_template"] == template(3)["topology_template"])
            process.kill()
        async with running_process(module, api, *options):
            await see(client, is_ready(4))
            assert len(found.machines) == 4
            await client.delete(Cluster, cluster.key)
            await see_gone(client)
    assert simulated_provider.infrastructures == {}


async def test_two_controllers_at_once_make_nothing_twice(
    api: str, client: Client, simulated_provider: SimulatedProvider
) -> None:
    namespaces = [f"pair-{number}" for number in range(6)]
    # While one of them waits for an answer, the other one looks for what is created: longer than any answer takes.
    async with (
        infrastructure_controller(api, search_time=30.0),
        infrastructure_controller(api, search_time=30.0),
        running(partial(build_gc, ControllerConfig()), api),
    ):
        for namespace in namespaces:
            await add_provider(client, simulated_provider.url, namespace=namespace)
            await add_cloud_of(client, namespace=namespace)
        await asyncio.gather(*(live(client, simulated_provider, namespace) for namespace in namespaces))
    assert simulated_provider.infrastructures == {}


async def test_clusters_that_are_deleted_at_any_moment_leave_nothing_behind(
    api: str, client: Client, simulated_provider: SimulatedProvider
) -> None:
    await add_provider(client, simulated_provider.url)
    await add_cloud_of(client)

    async def live_shortly(number: int) -> None:
        name = f"cluster-{number}"
        cluster = await order_cluster(client, name)
        await asyncio.sleep(number * 0.015)  # any moment will do, each must go well
        await client.delete(Cluster, cluster.key)
        await see_gone(client, name=name)

    async with infrastructure_controller(api), running(partial(build_gc, ControllerConfig()), api):
        await asyncio.gather(*map(live_shortly, range(40)))
    assert simulated_provider.infrastructures == {}


async def test_a_cloud_that_gets_another_provider_meanwhile_leaves_nothing_at_the_old_one(
    api: str, client: Client, start_simulated_provider: StartProvider
) -> None:
    old, new = await start_simulated_provider(), await start_simulated_provider()
    old.settings.boot_delay = 1.0
    await add_provider(client, old.url)
    await add_provider(client, new.url, "new")
    await add_cloud_of(client)
    async with infrastructure_controller(api), running(partial(build_gc, ControllerConfig()), api):
        await order_cluster(client)
        cluster = await see(client, lambda cluster: cluster.status.cluster_id is not None)
        moved = {"spec": {"openstack": {"infrastructure_provider": {"name": "new"}}}}
        await client.patch(Cloud, Key("red", "cloud"), moved)
        await client.delete(InfrastructureProvider, Key("red", "im"))
        await see(client, lambda cluster: cluster.status.state is ClusterState.CONNECTING)
        assert made_for(old, cluster) == [cluster.status.cluster_id]
        await client.delete(Cluster, cluster.key)
        await see_gone(client)
        await see_gone(client, InfrastructureProvider, "im")
    assert old.infrastructures == new.infrastructures == {}
