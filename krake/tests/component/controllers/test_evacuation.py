"""Clusters that are cordoned, drained, tainted or deleted, against a real API, with the scheduler and the garbage collector.

There is no application controller: applications are bound, and nothing of them is anywhere.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from component.controllers.world import add_app, add_cluster, eventually, names, ref, running, set_state

from krake.client import Client, Conflict, NotFound
from krake.controller.gc.controller import build as build_collector
from krake.controller.runtime import ControllerConfig
from krake.controller.scheduler.controller import build as build_scheduler
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key, ReasonCode
from krake.data.events import Event
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterBinding

SERVED = 30.0
"""Seconds for which a placement stands: longer than any test, so that what happens is not the timer's doing."""


@pytest.fixture(autouse=True)
async def controllers(api: str) -> AsyncIterator[None]:
    scheduler = running(partial(build_scheduler, SchedulerConfig(reschedule_after=SERVED)), api)
    async with scheduler, running(partial(build_collector, ControllerConfig()), api):
        yield


async def see(client: Client, accept: Callable[[Application], bool], name: str = "app") -> Application:
    return await eventually(partial(client.get, Application, Key("red", name)), accept)


async def see_placed(client: Client, cluster: str, name: str = "app") -> Application:
    return await see(client, lambda app: app.status.scheduled_to == ref(Cluster, cluster), name)


async def see_unbound(client: Client, name: str = "app") -> Application:
    return await see(client, lambda app: app.status.scheduled_to is None and app.status.reason is not None, name)


async def change(client: Client, cluster: str, **spec: Any) -> None:
    await client.patch(Cluster, Key("red", cluster), {"spec": spec})


async def settle(client: Client) -> None:
    """Return when the scheduler has worked through all that happened so far."""
    for name in ("witness-1", "witness-2"):
        await add_app(client, name, labels=["nobody is here"])
        await see(client, lambda app: app.status.reason is not None, name)
        await client.delete(Application, Key("red", name))


def gone(client: Client, cluster: str) -> Callable[[], Any]:
    async def look() -> bool:
        return cluster not in await names(client, [Cluster])

    return look


async def told(client: Client, name: str) -> set[str]:
    return {event.reason for event in (await client.list(Event)).items if event.regarding.name == name}


async def test_a_cordoned_cluster_keeps_what_it_has_and_takes_nothing_new(client: Client) -> None:
    await add_cluster(client, "north")
    await add_app(client, "old")
    placed = await see_placed(client, "north", "old")
    await change(client, "north", unschedulable=True)
    await add_app(client, "new", backoff_limit=0)
    await see_unbound(client, "new")
    assert await client.get(Application, Key("red", "old")) == placed
    await change(client, "north", unschedulable=False)
    await see_placed(client, "north", "new")


async def test_applications_leave_a_drained_cluster_as_far_as_they_can(client: Client) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    for name, more in {"free": {}, "pinned": {"migration": False}, "picky": {"labels": ["zone is a"]}}.items():
        await add_app(client, name, **more)
        await see_placed(client, "north", name)
    await add_cluster(client, "south")
    await change(client, "north", drain=True)
    await see_placed(client, "south", "free")
    pinned = await see(client, lambda app: app.status.reason is not None, "pinned")
    picky = await see(client, lambda app: app.status.reason is not None, "picky")
    for app, words in ((pinned, "it does not allow migration. The cluster is drained"), (picky, "no other cluster fits")):
        assert app.status.scheduled_to == ref(Cluster, "north")
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
        assert words in app.status.reason.message
        assert app.status.state is not ApplicationState.FAILED
    await eventually(partial(told, client, "pinned"), lambda reasons: "FailedScheduling" in reasons)
    await add_cluster(client, "east", labels={"zone": "a"})
    await see_placed(client, "east", "picky")
    await change(client, "north", drain=False)
    await see(client, lambda app: app.status.reason is None, "pinned")


async def test_taints_send_away_and_keep_away_whoever_does_not_tolerate_them(client: Client) -> None:
    await add_cluster(client, "north")
    tolerations = [{"key": "fire", "operator": "Exists"}]
    for name in ("tough", "shy"):
        await add_app(client, name)
        await see_placed(client, "north", name)
    await client.patch(Application, Key("red", "tough"), {"spec": {"tolerations": tolerations}})
    await add_cluster(client, "south", state="OFFLINE")
    await change(client, "north", taints=[{"key": "fire", "effect": "NoExecute"}])
    await see(client, lambda app: app.status.reason is not None, "shy")
    await set_state(client, "south", "ONLINE")
    await see_placed(client, "south", "shy")
    await settle(client)
    await see_placed(client, "north", "tough")


@pytest.mark.parametrize("migration", [True, False])
async def test_the_applications_of_a_deleted_cluster_go_elsewhere(client: Client, migration: bool) -> None:
    await add_cluster(client, "north")
    await add_app(client, migration=migration)
    await see_placed(client, "north")
    await add_cluster(client, "south")
    await client.delete(Cluster, Key("red", "north"))
    app = await see_placed(client, "south")
    await eventually(gone(client, "north"), bool)
    assert app.metadata.deleted is None
    assert app.metadata.owners == [ref(Cluster, "south")]


@pytest.mark.parametrize("migration", [True, False])
async def test_whoever_fits_nowhere_is_unbound_and_placed_again_as_soon_as_it_fits(client: Client, migration: bool) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    await add_cluster(client, "south", labels={"zone": "b"})
    await add_app(client, labels=["zone is a"], migration=migration, backoff_limit=0)
    await see_placed(client, "north")
    await client.delete(Cluster, Key("red", "north"))
    app = await see_unbound(client)
    assert (app.status.state, app.status.scheduled, app.metadata.deleted) == (ApplicationState.PENDING, None, None)
    assert app.status.reason is not None
    assert app.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
    assert "south: The application asks for the label zone is a; zone is b." in app.status.reason.message
    await eventually(gone(client, "north"), bool)
    await eventually(partial(told, client, "app"), lambda reasons: "Unbound" in reasons)
    await settle(client)
    # What it waits for is told anew, and it is still not its own fault.
    assert (await client.get(Application, Key("red", "app"))).status.state is ApplicationState.PENDING
    await client.patch(Cluster, Key("red", "south"), {"metadata": {"labels": {"zone": "a"}}})
    placed = await see_placed(client, "south")
    assert placed.metadata.owners == [ref(Cluster, "south")]
    await see(client, lambda app: app.status.reason is None)


async def test_whoever_can_not_stay_on_a_cluster_that_was_removed_by_force_leaves_it(client: Client) -> None:
    await add_cluster(client, "north")
    await add_app(client, migration=False)
    await see_placed(client, "north")
    await client.delete(Cluster, Key("red", "north"), force=True)
    await see_unbound(client)
    await add_cluster(client, "north")
    await see_placed(client, "north")


async def test_what_is_cleared_away_is_left_in_peace(client: Client) -> None:
    """Until it is nowhere any more, its state is that of the application controller."""
    await add_cluster(client, "north")
    await add_app(client, backoff_limit=3)
    await see_placed(client, "north")
    north = [ref(Cluster, "north").serialize()]
    await client.patch(Application, Key("red", "app"), {"status": {"placed_on": north}}, subresource="status")
    await client.delete(Cluster, Key("red", "north"))
    await see_unbound(client)
    reason = {"code": "KUBERNETES_ERROR", "message": "It did not get ready."}
    status = {"state": "DEGRADED", "reason": reason}
    cleared = await client.patch(Application, Key("red", "app"), {"status": status}, subresource="status")
    await add_cluster(client, "useless", state="OFFLINE")
    await settle(client)
    assert await client.get(Application, Key("red", "app")) == cleared
    status = {"state": "PENDING", "reason": None, "placed_on": []}
    await client.patch(Application, Key("red", "app"), {"status": status}, subresource="status")
    app = await see(client, lambda app: app.status.reason is not None and app.status.scheduled_retry is not None)
    assert app.status.state is ApplicationState.PENDING


async def test_whoever_is_on_the_way_to_a_deleted_cluster_stays_where_it_was(client: Client) -> None:
    await add_cluster(client, "north", labels={"zone": "a"})
    await add_app(client, labels=["zone is a"])
    await see_placed(client, "north")
    north, south = (ref(Cluster, name).serialize() for name in ("north", "south"))
    status = {"state": "RUNNING", "running_on": north, "placed_on": [north]}
    await client.patch(Application, Key("red", "app"), {"status": status}, subresource="status")
    await add_cluster(client, "south", labels={"zone": "a"})
    await change(client, "north", drain=True)
    await see_placed(client, "south")
    status = {"state": "MIGRATING", "placed_on": [north, south], "migration_timeout": 10**10}
    await client.patch(Application, Key("red", "app"), {"status": status}, subresource="status")
    await client.delete(Cluster, Key("red", "south"))
    app = await see_placed(client, "north")
    # The application controller has yet to clear up there.
    assert {owner.name for owner in app.metadata.owners} == {"north", "south"}
    await settle(client)
    assert (await client.get(Cluster, Key("red", "south"))).metadata.deleted is not None
    metadata = {"owners": [north]}
    await client.patch(Application, Key("red", "app"), {"metadata": metadata})
    await eventually(gone(client, "south"), bool)


async def test_nothing_is_bound_to_a_cluster_that_waits_for_its_applications(client: Client) -> None:
    await add_cluster(client, "north")
    await add_app(client, finalizers=["someone.example/holds"])
    await see_placed(client, "north")
    await client.delete(Cluster, Key("red", "north"), cascade=True)
    await see(client, lambda app: app.metadata.deleted is not None)
    await add_app(client, "late")
    with pytest.raises(Conflict):
        await client.act(Application, Key("red", "late"), "binding", ClusterBinding(cluster=ref(Cluster, "north")))
    await client.patch(Application, Key("red", "app"), {"metadata": {"finalizers": []}})
    await eventually(gone(client, "north"), bool)
    with pytest.raises(NotFound):
        await client.get(Application, Key("red", "app"))
