"""Deleting, draining and losing clusters that applications run on: nothing is lost, and nothing is left behind."""

from collections.abc import Callable
from functools import partial

import pytest
from integration.kubernetes.conftest import Targets
from integration.kubernetes.world import (
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    Target,
    World,
    applications,
    clusters,
    collector,
    config_map,
    deployment,
    eventually,
)

from krake.client import NotFound
from krake.controller.scheduler.controller import build as build_scheduler
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.data.metadata import ReasonCode
from krake.simulator import Failure

State = ApplicationState
scheduler = partial(build_scheduler, SchedulerConfig())
impatient = partial(applications, lost_cluster_grace=1.0)


async def delete(world: World, target: Target, *, cascade: bool = False) -> None:
    await world.client.delete(Cluster, Key(NAMESPACE, target.name), cascade=cascade)


async def change(world: World, target: Target, **spec: object) -> None:
    await world.client.patch(Cluster, Key(NAMESPACE, target.name), {"spec": spec})


async def until_unregistered(world: World, target: Target) -> None:
    async def is_gone() -> bool:
        try:
            await world.cluster(target.name)
        except NotFound:
            return True
        return False

    await eventually(is_gone, bool)


async def register(world: World, *targets: Target) -> None:
    for target in targets:
        await world.register(target)
        await world.cluster_until(target.name, ClusterState.ONLINE)


def runs_on(target: Target) -> Callable[[Application], bool]:
    def accept(app: Application) -> bool:
        status = app.status
        there = status.running_on == status.scheduled_to == target.ref and status.placed_on == [target.ref]
        return there and status.state is State.RUNNING and app.metadata.owners == [target.ref]

    return accept


async def is_empty(target: Target) -> bool:
    return await target.get(DEPLOYMENT, "echo") is None and await target.get(CONFIG_MAP, "settings") is None


async def create(world: World, target: Target) -> None:
    await world.create(deployment(), config_map(a="1"))
    await world.until(runs_on(target))


@pytest.mark.parametrize("migration", [True, False])
async def test_the_applications_of_a_deleted_cluster_move_before_it_goes(
    world: World, targets: Targets, migration: bool
) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await world.client.patch(Application, Key(NAMESPACE, "app"), {"spec": {"constraints": {"migration": migration}}})
        await register(world, second)
        await delete(world, first)
        await until_unregistered(world, first)
        await world.until(runs_on(second))
    assert await is_empty(first)
    assert await second.get(CONFIG_MAP, "settings") is not None


async def test_whoever_fits_nowhere_is_taken_from_the_cluster_and_comes_back(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await delete(world, first)
        await until_unregistered(world, first)
        app = await world.app()
        assert (app.status.state, app.status.placed_on, app.metadata.owners) == (State.PENDING, [], [])
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
        assert await is_empty(first)
        await register(world, second)
        await world.until(runs_on(second))


async def test_a_vanished_cluster_holds_nobody_up(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, impatient(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await register(world, second)
        await first.control.stop()
        await delete(world, first)
        await until_unregistered(world, first)
        await world.until(runs_on(second))
        await eventually(world.told, lambda reasons: "LetGo" in reasons)


async def test_whoever_fits_nowhere_is_free_of_a_vanished_cluster_too(world: World, target: Target) -> None:
    async with world.running(scheduler, impatient(), clusters, collector):
        await register(world, target)
        await create(world, target)
        await target.control.stop()
        await delete(world, target)
        await until_unregistered(world, target)
        app = await world.app()
        assert (app.status.state, app.status.placed_on, app.status.running_on) == (State.PENDING, [], None)
        assert app.metadata.deleted is None


async def test_a_cluster_that_is_removed_by_force_is_left(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await register(world, second)
        await world.client.delete(Cluster, Key(NAMESPACE, first.name), force=True)
        await world.until(runs_on(second))


async def test_whoever_is_on_the_way_to_a_cluster_that_is_deleted_stays_where_it_was(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await register(world, second)
        second.control.fail(Failure("errors"))
        await change(world, first, drain=True)
        await world.until(lambda app: app.status.state is State.MIGRATING and second.ref in app.status.placed_on)
        await delete(world, second)
        second.control.recover()
        await until_unregistered(world, second)
        await world.until(runs_on(first))
    assert await is_empty(second)


async def test_whoever_is_on_the_way_from_a_cluster_that_is_deleted_arrives(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await register(world, second)
        second.control.fail(Failure("errors"))
        await change(world, first, drain=True)
        await world.until(lambda app: app.status.state is State.MIGRATING and second.ref in app.status.placed_on)
        await delete(world, first)
        second.control.recover()
        await until_unregistered(world, first)
        await world.until(runs_on(second))
    assert await is_empty(first)


@pytest.mark.parametrize("migration", [True, False])
async def test_a_move_from_a_deleted_cluster_that_fails_leads_to_another_one(
    world: World, targets: Targets, migration: bool
) -> None:
    """It can not go back: nothing is bound to what is being deleted."""
    first, second, third = await targets(3)
    settings = {"migration": {"timeout": 4, "retry": {"timeout": 1}}}
    async with world.running(scheduler, applications(**settings), clusters, collector):
        await register(world, first)
        await create(world, first)
        await world.client.patch(Application, Key(NAMESPACE, "app"), {"spec": {"constraints": {"migration": migration}}})
        await register(world, second)
        await second.create(deployment())  # somebody else's, of the same name
        await delete(world, first)
        await world.until(lambda app: app.status.state is State.MIGRATING and app.status.reason is not None)
        assert await first.get(DEPLOYMENT, "echo") is not None
        await register(world, third)
        await until_unregistered(world, first)
        await world.until(runs_on(third))
    assert await is_empty(first)
    assert await second.get(CONFIG_MAP, "settings") is None


async def test_a_drained_cluster_is_empty_and_takes_nothing_until_it_is_open_again(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await register(world, first)
        await create(world, first)
        await register(world, second)
        await change(world, first, unschedulable=True, drain=True)
        await world.until(runs_on(second))
        assert await is_empty(first)
        await delete(world, second)
        await until_unregistered(world, second)
        app = await world.app()
        assert app.status.reason is not None
        assert "The cluster is drained" in app.status.reason.message
        await change(world, first, unschedulable=False, drain=False)
        await world.until(runs_on(first))
