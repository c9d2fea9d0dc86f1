"""The scheduler, the application controller and the cluster controller on the same objects."""

from functools import partial

from integration.kubernetes.conftest import Targets
from integration.kubernetes.world import (
    CONFIG_MAP,
    NAMESPACE,
    World,
    applications,
    clusters,
    collector,
    config_map,
    deployment,
    eventually,
)

from krake.controller.scheduler.controller import build as build_scheduler
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState, Constraints
from krake.data.kubernetes import ClusterConstraints as Wanted
from krake.data.metadata import ReasonCode

State = ApplicationState
scheduler = partial(build_scheduler, SchedulerConfig())


async def label(world: World, name: str, zone: str | None) -> None:
    await world.client.patch(Cluster, Key(NAMESPACE, name), {"metadata": {"labels": {"zone": zone}}})


async def create(world: World) -> Application:
    app = await world.create(deployment(), config_map(a="1"))
    labels = [LabelConstraint.parse("zone is north")]
    constraints = Constraints(cluster=Wanted(labels=labels))
    return await world.client.patch(Application, app.key, {"spec": {"constraints": constraints.serialize()}})


async def test_an_application_goes_where_it_fits_and_moves_when_it_has_to(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    async with world.running(scheduler, applications(), clusters, collector):
        await create(world)
        app = await world.until_state(State.FAILED)
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
        for target in (first, second):
            await world.register(target)
            await world.cluster_until(target.name, ClusterState.ONLINE)
        await label(world, first.name, "north")
        app = await world.until_state(State.RUNNING)
        assert app.status.running_on == first.ref
        assert app.status.reason is None
        await world.delete()
        await world.until_gone()


async def test_the_scheduler_s_reason_is_not_overwritten(world: World, targets: Targets) -> None:
    (only,) = await targets(1)
    async with world.running(scheduler, applications(), clusters):
        await world.register(only)
        await world.cluster_until(only.name, ClusterState.ONLINE)
        await label(world, only.name, "north")
        await create(world)
        await world.until_state(State.RUNNING)
        await label(world, only.name, "south")
        await world.until(lambda app: app.status.reason is not None)
        await only.change(CONFIG_MAP, "settings", {"data": {"a": "wrong"}})
        await eventually(lambda: only.get(CONFIG_MAP, "settings"), lambda found: found and found["data"] == {"a": "1"})
        app = await world.app()
        assert app.status.state is State.RUNNING
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
        await label(world, only.name, "north")
        app = await world.until(lambda app: app.status.reason is None)
        assert app.status.state is State.RUNNING


async def test_what_may_not_move_stays_and_is_updated_all_the_same(world: World, targets: Targets) -> None:
    first, second = await targets(2)
    for target in (first, second):
        await world.register(target, state=ClusterState.ONLINE)
    await label(world, first.name, "north")
    async with world.running(scheduler, applications()):
        app = await create(world)
        await world.until_state(State.RUNNING)
        constraints = Constraints(cluster=Wanted(labels=[LabelConstraint.parse("zone is south")]), migration=False)
        await world.client.patch(Application, app.key, {"spec": {"constraints": constraints.serialize()}})
        await label(world, second.name, "south")
        await world.client.patch(Application, app.key, {"spec": {"manifest": [deployment(), config_map(a="2")]}})
        await eventually(lambda: first.get(CONFIG_MAP, "settings"), lambda found: found and found["data"] == {"a": "2"})
        app = await world.until(lambda app: app.status.observed_generation == app.metadata.generation)
        assert (app.status.running_on, app.status.scheduled_to) == (first.ref, first.ref)
    assert await second.get(CONFIG_MAP, "settings") is None
