"""Clusters are lost, come back and flap, and applications move no faster than they may: the scheduler against a real API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from component.controllers.world import MANIFEST, add_app, add_cluster, eventually, ref, running, set_state

from krake.client import Client
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import FailoverConfig, MovesConfig, SchedulerConfig
from krake.data import Key, ReasonCode
from krake.data.kubernetes import Application, Cluster

AFTER = 0.5
"""Seconds after which a cluster counts as lost here."""


def scheduling(api: str, **settings: Any) -> AbstractAsyncContextManager[None]:
    config = {"reschedule_after": 0.2, "failover": FailoverConfig(after=AFTER, fail_back_after=3600), **settings}
    return running(partial(build, SchedulerConfig(**config)), api)


@pytest.fixture
async def scheduler(api: str) -> AsyncIterator[None]:
    async with scheduling(api):
        yield


async def place_of(client: Client, name: str) -> str | None:
    bound = (await client.get(Application, Key("red", name))).status.scheduled_to
    return bound.name if bound else None


async def see_at(client: Client, cluster: str, name: str = "app") -> None:
    await eventually(partial(place_of, client, name), lambda place: place == cluster)


async def say(client: Client, name: str = "app", **status: Any) -> None:
    """Say what the application controller would."""
    await client.patch(Application, Key("red", name), {"status": status}, subresource="status")


async def run_at(client: Client, cluster: str, name: str = "app") -> None:
    """Have an application run on its cluster."""
    place = ref(Cluster, cluster).serialize()
    await say(client, name, state="RUNNING", running_on=place, placed_on=[place], reason=None)


async def miss(client: Client, name: str = "app") -> None:
    """Have the application controller find that the cluster of an application can not be reached."""
    await say(client, name, state="DEGRADED", reason={"code": "CLUSTER_NOT_REACHABLE", "message": "No route to host."})


async def add_running(client: Client, cluster: str, *names: str, **more: Any) -> None:
    for name in names:
        await add_app(client, name, **more)
        await see_at(client, cluster, name)
        await run_at(client, cluster, name)


@asynccontextmanager
async def steady(client: Client, *places: tuple[str, str]) -> AsyncIterator[None]:
    """Hold for the block, and for as long as it takes to lose a cluster twice, that applications stay where they are."""
    yield
    end = asyncio.get_running_loop().time() + 2 * AFTER + 0.5
    while asyncio.get_running_loop().time() < end:
        for name, place in places:
            assert await place_of(client, name) == place
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("scheduler")
async def test_a_cluster_is_lost_only_if_both_controllers_say_so_for_a_while(client: Client) -> None:
    await add_cluster(client, "north")
    await add_running(client, "north", "app", "other")
    await add_cluster(client, "south")
    async with steady(client, ("app", "north"), ("other", "north")):
        await set_state(client, "north", "OFFLINE")
    async with steady(client, ("app", "north"), ("other", "north")):
        await set_state(client, "north", "ONLINE")
        await miss(client)
        await miss(client, "other")
    await set_state(client, "north", "OFFLINE")
    lost = (await client.get(Cluster, Key("red", "north"))).status.out_of_use
    for name in ("app", "other"):
        await see_at(client, "south", name)
        moved = (await client.get(Application, Key("red", name))).status.scheduled
        assert moved is not None
        assert lost is not None
        assert (moved - lost).total_seconds() >= AFTER


@pytest.mark.usefixtures("scheduler")
async def test_a_short_interruption_moves_nothing_and_one_that_goes_on_is_not_forgotten(client: Client) -> None:
    await add_cluster(client, "north")
    await add_running(client, "north", "app")
    await add_cluster(client, "south")
    async with steady(client, ("app", "north")):
        await set_state(client, "north", "OFFLINE")
        await miss(client)
        await set_state(client, "north", "CONNECTING")
        await set_state(client, "north", "ONLINE")
        await run_at(client, "north")
    async with steady(client, ("app", "north")):
        await set_state(client, "north", "OFFLINE")
        await miss(client)
        await set_state(client, "north", "CONNECTING")
    # It seemed to come back, but has been of no use all the time.
    await set_state(client, "north", "OFFLINE")
    await see_at(client, "south")


@pytest.mark.usefixtures("scheduler")
async def test_what_fits_nowhere_else_stays_bound_and_goes_as_soon_as_it_can(client: Client) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    await add_running(client, "north", "app", labels=["zone is a"])
    await add_cluster(client, "south")
    async with steady(client, ("app", "north")):
        await set_state(client, "north", "OFFLINE")
        await miss(client)
    app = await client.get(Application, Key("red", "app"))
    assert app.status.reason is not None
    assert app.status.reason.code is ReasonCode.CLUSTER_NOT_REACHABLE
    await client.patch(Cluster, Key("red", "south"), {"metadata": {"labels": {"zone": "a"}}})
    await see_at(client, "south")


@pytest.mark.usefixtures("scheduler")
async def test_a_cluster_that_came_back_takes_newcomers_but_nobody_who_has_a_good_place(client: Client) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    await set_state(client, "north", "OFFLINE")
    await add_cluster(client, "south")
    await client.patch(
        Cluster, Key("red", "south"), {"spec": {"taints": [{"key": "old", "value": "", "effect": "PreferNoSchedule"}]}}
    )
    await add_running(client, "south", "app")
    async with steady(client, ("app", "south")):
        await set_state(client, "north", "ONLINE")
        await add_app(client, "new")
        await see_at(client, "north", "new")
        await client.patch(Application, Key("red", "app"), {"metadata": {"labels": {"any": "change"}}})
    # Who has to leave may well go there.
    await client.patch(Cluster, Key("red", "south"), {"spec": {"drain": True}})
    await see_at(client, "north")


async def test_applications_of_a_lost_cluster_move_by_priority_at_a_limited_rate(client: Client, api: str) -> None:
    names = [f"app-{number:02}" for number in range(16)]
    await add_cluster(client, "north")
    async with scheduling(api):
        await add_running(client, "north", *names)
    for number, name in enumerate(names):
        await client.patch(Application, Key("red", name), {"spec": {"priority": number}})
    await add_cluster(client, "south")
    failover = FailoverConfig(after=AFTER, fail_back_after=3600, per_minute=60)
    async with scheduling(api, failover=failover):
        for name in names:
            await miss(client, name)
        await set_state(client, "north", "OFFLINE")
        for name in names:
            await see_at(client, "south", name)
    apps = (await client.list(Application, "red")).items
    moved = sorted((app.status.scheduled, app.spec.priority) for app in apps if app.status.scheduled)
    times, priorities = zip(*moved, strict=True)
    assert (times[-1] - times[0]).total_seconds() >= 5  # ten at once, six more at one per second
    assert list(priorities[10:]) == [5, 4, 3, 2, 1, 0]


async def test_no_more_move_at_once_of_their_own_accord_than_may(client: Client, api: str) -> None:
    names = [f"app-{number}" for number in range(6)]
    await add_cluster(client, "north")
    async with scheduling(api, moves=MovesConfig(at_once=2, per_minute=0)):
        await add_running(client, "north", *names)
        await add_cluster(client, "south")
        await client.patch(Cluster, Key("red", "north"), {"spec": {"drain": True}})

        async def look() -> list[str]:
            return [name for name in names if await place_of(client, name) == "south"]

        arrived: set[str] = set()
        for limit in (2, 4, 6):
            moving = await eventually(look, lambda found, limit=limit: len(found) >= limit)  # type: ignore[misc]
            await add_app(client, f"new-{limit}")
            await see_at(client, "south", f"new-{limit}")  # newcomers are not held up
            assert await look() == moving
            assert len(moving) == limit
            for name in set(moving) - arrived:
                await run_at(client, "south", name)
            arrived.update(moving)


async def test_who_was_changed_by_its_user_waits_for_nobody(client: Client, api: str) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    async with scheduling(api, moves=MovesConfig(at_once=1, per_minute=0)):
        await add_running(client, "north", "one", "two", "three")
        await add_cluster(client, "south", labels={"zone": "b"})
        for name in ("one", "two", "three"):
            changes = {"constraints": {"cluster": {"labels": ["zone is b"]}}, "manifest": [{**MANIFEST, "data": {"to": "b"}}]}
            await client.patch(Application, Key("red", name), {"spec": changes})
        for name in ("one", "two", "three"):
            await see_at(client, "south", name)


async def test_a_scheduler_that_starts_anew_knows_since_when_a_cluster_is_lost(client: Client, api: str) -> None:
    await add_cluster(client, "north")
    async with scheduling(api):
        await add_running(client, "north", "app")
        await set_state(client, "north", "OFFLINE")
        await miss(client)
    await add_cluster(client, "south")
    await asyncio.sleep(AFTER)
    async with scheduling(api):
        await see_at(client, "south")
