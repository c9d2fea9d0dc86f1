"""Applications leave a drained cluster as fast as their disruption budget lets them: the scheduler against a real API."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from component.controllers.world import add_app, add_cluster, eventually, ref, running

from krake.client import Client
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import MovesConfig, SchedulerConfig
from krake.data import Key
from krake.data.kubernetes import Application, Cluster
from krake.data.placements import Placement

NAMES = ("a", "b", "c")


@pytest.fixture(autouse=True)
async def scheduler(api: str, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    moves = getattr(request, "param", MovesConfig())
    async with running(partial(build, SchedulerConfig(reschedule_after=0.2, moves=moves)), api):
        yield


async def places(client: Client) -> dict[str, str]:
    found = (await client.list(Application, namespace="red")).items
    return {app.metadata.name: app.status.scheduled_to.name for app in found if app.status.scheduled_to}


async def run(client: Client, name: str, cluster: str) -> None:
    """Say what the application controller would: an application is ready on a cluster."""
    place = ref(Cluster, cluster).serialize()
    status = {"state": "RUNNING", "running_on": place, "placed_on": [place], "reason": None}
    await client.patch(Application, Key("red", name), {"status": status}, subresource="status")


async def add_running(client: Client, budget: dict[str, Any]) -> None:
    for name in NAMES:
        await add_app(client, name)
        await client.patch(Application, Key("red", name), {"spec": {"constraints": {"disruption_budget": budget}}})
        await eventually(partial(places, client), lambda found, name=name: found.get(name) == "north")
    for name in NAMES:
        await run(client, name, "north")


async def settle(client: Client, name: str) -> None:
    """Return when the scheduler has worked through all that happened so far."""
    await add_app(client, name, labels=["nobody is here"])
    await eventually(partial(client.get, Application, Key("red", name)), lambda app: app.status.reason is not None)
    await client.delete(Application, Key("red", name))


async def test_one_after_the_other_leaves(client: Client) -> None:
    await add_cluster(client, "north")
    await add_running(client, {"labels": [], "max_unavailable": 1})
    await add_cluster(client, "south")
    await client.patch(Cluster, Key("red", "north"), {"spec": {"drain": True}})
    await settle(client, "witness")
    held = "Its disruption budget lets 1 be unavailable at once, and 1 are: "
    await eventually(partial(reasons_to_wait, client), lambda found: sum(each.startswith(held) for each in found) == 2)
    for number in range(1, len(NAMES) + 1):
        moved = await eventually(partial(places, client), lambda found, number=number: there(found) >= number)
        await settle(client, f"witness-{number}")
        assert there(await places(client)) == number
        for name, cluster in moved.items():
            await run(client, name, cluster)
    await eventually(partial(reasons_to_wait, client), lambda found: not any(found))


async def reasons_to_wait(client: Client) -> list[str]:
    """Why the latest decision about each application that the test is about is not carried out yet; empty if it is."""
    kept = {each.metadata.name: each for each in (await client.list(Placement, "red")).items}
    return [kept[name].decisions[0].waits or "" if name in kept else "" for name in (f"application-{each}" for each in NAMES)]


@pytest.mark.parametrize("scheduler", [MovesConfig(at_once=1)], indirect=True)
async def test_who_waits_for_its_turn_says_so_and_tells_of_the_move_when_it_was_made(client: Client) -> None:
    await add_cluster(client, "north")
    for name in NAMES:
        await add_app(client, name)
        await eventually(partial(places, client), lambda found, name=name: found.get(name) == "north")
        await run(client, name, "north")
    await add_cluster(client, "south")
    await client.patch(Cluster, Key("red", "north"), {"spec": {"drain": True}})
    await eventually(partial(reasons_to_wait, client), lambda found: sum("waits for its turn" in each for each in found) == 2)
    for number in range(1, len(NAMES) + 1):
        moved = await eventually(partial(places, client), lambda found, number=number: there(found) == number)
        for name, cluster in moved.items():
            await run(client, name, cluster)
    await eventually(partial(reasons_to_wait, client), lambda found: not any(found))
    history = (await client.get(Placement, Key("red", "application-c"))).decisions
    assert [each.choice and each.choice.name for each in history] == ["south", "north"]
    bound = (await client.get(Application, Key("red", "c"))).status.scheduled
    assert bound is not None
    assert abs((history[0].since - bound).total_seconds()) < 5


def there(found: dict[str, str]) -> int:
    return sum(cluster == "south" for cluster in found.values())
