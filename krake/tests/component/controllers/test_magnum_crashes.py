"""The Magnum controller is killed at every single thing that it asks of others: nothing is lost, and nothing is there twice."""

import asyncio
from functools import partial
from math import inf

import pytest
from component.controllers.magnum import Fate, clusters_of, confined, declare, declare_project, see_gone, see_running
from component.controllers.world import running

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.data import Key
from krake.data.openstack import MagnumCluster
from krake.simulator.openstack.magnum import SimulatedMagnum

AT_ONCE = 12
MOST = 60
"""A whole life takes fewer calls."""


async def live(client: Client, magnum: SimulatedMagnum, key: Key) -> None:
    """Have a cluster be created, resized and deleted, and find each of that done exactly once."""

    def at_magnum() -> list[tuple[str, int]]:
        return [(each.id, each.node_count) for each in magnum.clusters.values() if each.name == f"krake-{uid}"]

    await declare(client, key, node_count=1)
    found = await see_running(client, 1, key)
    uid = found.metadata.uid
    assert at_magnum() == [(found.status.cluster_id, 1)]
    assert len(await clusters_of(client, key)) == 1
    await client.patch(MagnumCluster, key, {"spec": {"node_count": 2}})
    await see_running(client, 2, key)
    assert at_magnum() == [(found.status.cluster_id, 2)]
    await client.delete(MagnumCluster, key)
    await see_gone(client, key)
    assert at_magnum() == []
    assert await clusters_of(client, key) == []


async def die_once(api: str, client: Client, magnum: SimulatedMagnum, at: int, done: bool) -> bool:
    """Have a cluster live with a controller that is killed at a call of it; returns whether there was such a call."""
    key = Key(f"life-{at}", "mine")
    await declare_project(client, magnum, namespace=key.namespace)
    fate = Fate(at, done=done)
    life = asyncio.create_task(live(client, magnum, key))
    async with confined(api, f"life-{at}", fate):
        death = asyncio.create_task(fate.met.wait())
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
    async with confined(api, f"life-{at}", Fate(inf, done=False)):
        await life
    return fate.met.is_set()


@pytest.mark.parametrize("done", [False, True], ids=["before it is asked", "before the answer arrives"])
async def test_a_controller_that_is_killed_at_any_moment_goes_on_when_it_is_back(
    api: str, client: Client, simulated_magnum: SimulatedMagnum, done: bool
) -> None:
    async with running(partial(build_gc, ControllerConfig()), api):
        for first in range(1, MOST, AT_ONCE):
            lives = (die_once(api, client, simulated_magnum, at, done) for at in range(first, first + AT_ONCE))
            if not all(await asyncio.gather(*lives)):
                break
    assert AT_ONCE < first < MOST - AT_ONCE
