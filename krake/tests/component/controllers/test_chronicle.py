"""What the scheduler writes down of its decisions, as users read it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest
from component.controllers.hosts import add_cloud, declare_cluster
from component.controllers.world import add_app, add_cluster, eventually, running
from fixtures.api import Serve
from fixtures.proxy import Proxy
from unit.scheduler.worlds import NOW, make_app, make_candidate

from krake.client import Client, NotFound
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.controller.scheduler.explaining.chronicle import Chronicle
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key
from krake.data.kubernetes import Application, Cluster
from krake.data.placements import Placement

PLACEMENT = Key("red", "application-app")


@pytest.fixture
async def scheduler(api: str) -> AsyncIterator[None]:
    async with running(partial(build, SchedulerConfig(reschedule_after=0.2)), api):
        yield


async def see_history(client: Client, accept: Callable[[Placement], bool], name: str = PLACEMENT.name) -> Placement:
    async def look() -> Placement | None:
        try:
            return await client.get(Placement, Key("red", name))
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


@pytest.mark.usefixtures("scheduler")
async def test_the_cloud_of_a_cluster_is_explained_as_well(client: Client) -> None:
    await add_cloud(client, "plain", labels={"zone": "a"})
    await add_cloud(client, "other")
    cluster = await declare_cluster(client, "made", wants=["zone is a"])
    placement = await see_history(client, lambda each: each.decisions[0].choice is not None, "cluster-made")
    assert placement.metadata.owners == [cluster.ref]
    (decision,) = placement.decisions
    assert decision.choice is not None
    assert (decision.choice.kind, decision.choice.name, decision.considered, decision.refused) == (
        "Cloud",
        "plain",
        2,
        {"label": 1},
    )
    assert {each.place.name: each.rule for each in decision.candidates} == {"plain": None, "other": "label"}


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


def decide_on(chronicle: Chronicle, app: Application, *names: str) -> None:
    """Have a decision written down: of clusters by these names, the first one is the best."""
    candidates = [make_candidate(name, {"load": (1 - number / 10, 1.0)}) for number, name in enumerate(names)]
    snapshot = Snapshot(NOW, tuple(candidates))
    chronicle.note(app, decide(app, snapshot), snapshot)


async def test_what_is_decided_during_an_outage_is_written_after_it(
    client: Client, api: str, start_proxy: Callable[[int], Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(int(api.rsplit(":", 1)[1]))
    async with Client(proxy.url) as through, Chronicle(through) as chronicle:
        app = make_app()
        decide_on(chronicle, app, "north", "south")
        await see_history(client, lambda each: len(each.decisions) == 1)
        await proxy.refuse()
        decide_on(chronicle, app, "south", "north")
        await asyncio.sleep(0.1)
        decide_on(chronicle, app, "west")
        for _ in range(100):
            decide_on(chronicle, app, "west", "north")
        await proxy.resume()
        placement = await see_history(client, lambda each: len(each.decisions) == 3)
    assert [each.choice and each.choice.name for each in placement.decisions] == ["west", "south", "north"]


async def test_a_process_that_ends_writes_what_it_can(client: Client) -> None:
    async with Chronicle(client) as chronicle:
        for number in range(20):
            app = make_app()
            decide_on(chronicle, replace(app, metadata=replace(app.metadata, name=f"app-{number}")), "north")
    assert len((await client.list(Placement, "red")).items) == 20


async def test_whoever_may_not_write_placements_says_so_once(serve_api: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "krake"):
        async with serve_api(authorization="RBAC") as http, Client(http.url) as client, Chronicle(client) as chronicle:
            for number in range(3):
                app = make_app()
                decide_on(chronicle, replace(app, metadata=replace(app.metadata, name=f"app-{number}")), "north")
    said = [record.getMessage() for record in caplog.records if "not written down" in record.getMessage()]
    assert len(said) == 1
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
