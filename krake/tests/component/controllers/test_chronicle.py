"""What the scheduler writes down of its decisions, as users read it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from component.controllers.world import add_app, add_cluster, eventually, running

from krake.client import Client, NotFound
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key
from krake.data.kubernetes import Application, Cluster
from krake.data.placements import Placement

PLACEMENT = Key("red", "application-app")


@pytest.fixture
async def scheduler(api: str) -> AsyncIterator[None]:
    async with running(partial(build, SchedulerConfig(reschedule_after=0.2)), api):
        yield


async def see_history(client: Client, accept: Callable[[Placement], bool]) -> Placement:
    async def look() -> Placement | None:
        try:
            return await client.get(Placement, PLACEMENT)
        except NotFound:
            return None

    found = await eventually(look, lambda placement: placement is not None and accept(placement))
    assert found is not None
    return found


@pytest.mark.usefixtures("scheduler")
async def test_decisions_are_kept_with_what_they_were_made_from(client: Client) -> None:
    await add_cluster(client, "north", state="OFFLINE")
    await add_cluster(client, "south")
    app = await add_app(client)
    placement = await see_history(client, lambda each: len(each.decisions) == 1)
    assert placement.metadata.owners == [app.ref]
    assert placement.subject.uid == app.metadata.uid
    (decision,) = placement.decisions
    assert decision.choice is not None
    assert (decision.choice.name, decision.former, decision.considered, decision.refused) == ("south", None, 2, {"state": 1})
    assert {each.place.name: each.message for each in decision.candidates if each.rule} == {
        "north": "The cluster is OFFLINE, not ONLINE."
    }


@pytest.mark.usefixtures("scheduler")
async def test_a_history_tells_every_move_and_why(client: Client) -> None:
    await add_cluster(client, "south")
    await add_app(client)
    await see_history(client, lambda each: len(each.decisions) == 1)
    await add_cluster(client, "west")
    await client.patch(Cluster, Key("red", "south"), {"spec": {"drain": True}})
    placement = await see_history(client, lambda each: len(each.decisions) == 2)
    latest, first = placement.decisions
    assert latest.choice is not None
    assert latest.former == first.choice
    assert (latest.choice.name, latest.cause) == ("west", "The cluster is drained: applications are to leave it.")


async def test_a_restart_neither_loses_nor_repeats_anything(client: Client, api: str) -> None:
    await add_cluster(client, "south")
    await add_app(client)
    for _ in range(2):
        async with running(partial(build, SchedulerConfig(reschedule_after=0.2)), api):
            before = await see_history(client, lambda each: len(each.decisions) == 1)
    async with running(partial(build, SchedulerConfig(reschedule_after=0.2)), api):
        await add_cluster(client, "west")
        await client.patch(Cluster, Key("red", "south"), {"spec": {"drain": True}})
        after = await see_history(client, lambda each: len(each.decisions) > 1)
    assert after.decisions[1].since == before.decisions[0].since
    assert [each.choice and each.choice.name for each in after.decisions] == ["west", "south"]


async def test_an_application_of_the_same_name_begins_a_history_of_its_own(client: Client, api: str) -> None:
    await add_cluster(client, "south")
    await add_app(client)
    async with running(partial(build, SchedulerConfig()), api):
        await see_history(client, lambda each: len(each.decisions) == 1)
    await client.delete(Application, Key("red", "app"), force=True)
    again = await add_app(client, labels=["zone is a"])
    async with running(partial(build, SchedulerConfig()), api):
        placement = await see_history(client, lambda each: each.subject.uid == again.metadata.uid)
    assert [each.ground for each in placement.decisions] == ["NOTHING"]


@pytest.mark.usefixtures("scheduler")
async def test_a_history_goes_with_its_application(client: Client, api: str) -> None:
    await add_cluster(client, "south")
    await add_app(client)
    await see_history(client, lambda each: len(each.decisions) == 1)

    async def is_gone() -> bool:
        for kind, key in ((Application, Key("red", "app")), (Placement, PLACEMENT)):
            try:
                await client.get(kind, key)
            except NotFound:
                continue
            return False
        return True

    async with running(partial(build_gc, ControllerConfig()), api):
        await client.delete(Application, Key("red", "app"))
        await eventually(is_gone, bool)


async def test_nothing_is_left_of_an_application_that_is_gone_before_it_was_written_down(client: Client, api: str) -> None:
    await add_cluster(client, "south")
    async with running(partial(build, SchedulerConfig()), api):
        for _ in range(5):
            await add_app(client)
            await asyncio.sleep(0)
            await client.delete(Application, Key("red", "app"), force=True)
        await add_app(client, "last")
        last = Key("red", "application-last")

        async def look() -> set[str]:
            return {each.metadata.name for each in (await client.list(Placement, "red")).items}

        await eventually(look, lambda names: names == {last.name})
