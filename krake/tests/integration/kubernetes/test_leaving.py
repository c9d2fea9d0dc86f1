"""Applications leave clusters: those that fit nowhere, and those whose cluster goes or is lost."""

from functools import partial
from typing import Any

from integration.kubernetes.conftest import Targets
from integration.kubernetes.test_crashes import unbind
from integration.kubernetes.world import (
    CONFIG_MAP,
    DEPLOYMENT,
    Target,
    World,
    applications,
    collector,
    config_map,
    deployment,
    eventually,
)

from krake.client import NotFound
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.data.metadata import ReasonCode
from krake.ports.cluster import ObjectType
from krake.simulator import Failure

State = ApplicationState
CLAIM = ObjectType("v1", "PersistentVolumeClaim")


async def settle(world: World, targets: Targets, count: int = 2) -> list[Target]:
    found = await targets(count)
    for target in found:
        await world.register(target, state=ClusterState.ONLINE)
    return found


async def until_unregistered(world: World, target: Target) -> None:
    async def is_gone() -> bool:
        try:
            await world.cluster(target.name)
        except NotFound:
            return True
        return False

    await eventually(is_gone, bool)


async def drop(world: World, target: Target, **options: Any) -> None:
    await world.client.delete(Cluster, Key("red", target.name), **options)


async def test_what_fits_nowhere_stays_declared_and_is_placed_again_later(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications()):
        await world.create(config_map(a="1"), deployment(), on=old)
        await world.until_state(State.RUNNING)
        await unbind(world, [old], "app")
        app = await world.until(lambda app: app.status.running_on is None and not app.metadata.owners)
        assert app.status.state is State.PENDING
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
        assert (app.status.placed_on, app.status.last_applied_manifest, app.status.services) == ([], [], {})
        assert await old.get(DEPLOYMENT, "echo") is None
        await world.bind(new)
        app = await world.until_state(State.RUNNING)
        assert app.status.placed_on == [new.ref]
        assert app.status.reason is None
        await world.delete()
    told = await world.told()
    assert "Unbound" in told


async def test_what_fits_nowhere_finds_its_data_again(world: World, targets: Targets) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    claim["spec"] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}  # type: ignore[assignment]
    [only] = await settle(world, targets, 1)
    async with world.running(applications(), collector):
        await world.create(claim, config_map(a="1"), on=only)
        await eventually(partial(only.get, CONFIG_MAP, "settings"), lambda found: found is not None)
        before = await eventually(partial(only.get, CLAIM, "data"), lambda found: found is not None)
        await unbind(world, [only], "app")
        await world.until(lambda app: app.status.running_on is None and not app.metadata.owners and not app.status.placed_on)
        assert await only.get(CONFIG_MAP, "settings") is None
        await world.bind(only)
        await eventually(partial(only.get, CONFIG_MAP, "settings"), lambda found: found is not None)
        await world.until(lambda app: app.status.placed_on == [only.ref])
        after = await only.get(CLAIM, "data")
        assert before is not None
        assert after is not None
        assert before["metadata"]["uid"] == after["metadata"]["uid"]
        await world.delete()
        await world.until_gone()
        assert await only.get(CLAIM, "data") is None
    assert "DataLeft" in await world.told()


async def test_a_cluster_that_is_deleted_goes_once_its_applications_have_moved(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications(), collector):
        await world.create(config_map(a="1"), deployment(), on=old)
        await world.until_state(State.RUNNING)
        await drop(world, old)
        await world.bind(new)
        await until_unregistered(world, old)
        app = await world.until_state(State.RUNNING)
        assert (app.status.running_on, app.metadata.owners) == (new.ref, [new.ref])
    assert await old.get(DEPLOYMENT, "echo") is None
    assert await old.get(CONFIG_MAP, "settings") is None


async def test_a_lost_cluster_that_is_deleted_is_waited_for_for_a_while_only(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications(lost_cluster_grace=1), collector):
        await world.create(config_map(a="1"), on=old)
        await world.create(config_map("stuck", a="1"), on=old, name="stuck")
        await world.create(config_map("gone", a="1"), on=old, name="gone")
        for name in ("app", "stuck", "gone"):
            await world.until_state(State.RUNNING, name)
        old.control.fail(Failure("unreachable"))
        await drop(world, old)
        await world.bind(new)
        await unbind(world, [old], "stuck")
        await world.delete("gone")
        await until_unregistered(world, old)
        await world.until_gone("gone")
        app = await world.until(lambda app: app.status.state is State.RUNNING and app.metadata.owners == [new.ref])
        assert (app.status.running_on, app.status.placed_on) == (new.ref, [new.ref])
        stuck = await world.until(lambda app: not app.metadata.owners, "stuck")
        assert (stuck.status.placed_on, stuck.status.running_on) == ([], None)
        for name in ("app", "stuck"):
            await eventually(partial(world.told, name), lambda told: "LetGo" in told)


async def test_a_lost_cluster_that_is_back_in_time_is_cleaned_up(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications(lost_cluster_grace=3600), collector):
        await world.create(config_map(a="1"), on=old)
        await world.until_state(State.RUNNING)
        old.control.fail(Failure("unreachable"))
        await drop(world, old)
        await world.bind(new)
        await world.until(lambda app: app.status.running_on == new.ref)
        assert await world.cluster(old.name)
        old.control.recover()
        await until_unregistered(world, old)
    assert await old.get(CONFIG_MAP, "settings") is None
    assert "LetGo" not in await world.told()


async def test_an_application_whose_data_is_lost_with_its_cluster_begins_anew(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications(lost_cluster_grace=1), collector):
        await world.create(config_map(a="1"), on=old, migration_strategy="delete_first")
        await world.until_state(State.RUNNING)
        old.control.fail(Failure("unreachable"))
        await world.bind(new)
        app = await world.until(lambda app: app.status.reason is not None)
        assert (app.status.state, app.status.running_on) == (State.MIGRATING, old.ref)
        await drop(world, old)
        app = await world.until(lambda app: app.status.state is State.RUNNING and app.status.running_on == new.ref)
        assert app.status.placed_on == [new.ref]


async def test_what_is_asked_in_vain_on_a_lost_cluster_does_not_hold_it_for_ever(world: World, targets: Targets) -> None:
    (old,) = await settle(world, targets, 1)
    hook = {"hooks": ["shutdown"], "shutdown_grace_time": 3600, "shutdown_failure_strategy": "give_up"}
    async with world.running(applications(lost_cluster_grace=1), collector):
        await world.create(config_map(a="1"), on=old, **hook)
        await world.until_state(State.RUNNING)
        old.control.fail(Failure("unreachable"))
        await drop(world, old)
        await world.delete()
        await world.until_gone()
        await until_unregistered(world, old)


async def test_an_update_begins_anew_what_was_tried_often_enough(world: World, targets: Targets) -> None:
    (target,) = await settle(world, targets, 1)
    await target.create(config_map(a="theirs"))
    async with world.running(applications()):
        await world.create(config_map(a="1"), on=target, backoff_limit=1, backoff_delay=1)
        app = await world.until(lambda app: app.status.state is State.FAILED and app.status.retries == 0)
        app = await world.until(lambda app: app.status.scheduled_retry is None)
        assert (app.status.state, app.status.retries) == (State.FAILED, 0)
        await target.delete(CONFIG_MAP, "settings")
        await world.client.act(Application, app.key, "retry")
        app = await world.until_state(State.RUNNING)
        assert (app.status.retries, app.status.scheduled_retry, app.status.reason) == (None, None, None)
        await target.create(config_map("other", a="theirs"))
        await world.update(config_map("other", a="1"), on=target)
        await world.until(lambda app: app.status.state is State.FAILED and app.status.scheduled_retry is None)
        await world.update(config_map("mine", a="1"), on=target)
        await world.until(lambda app: app.status.state is State.RUNNING and app.status.retries is None)
    assert await target.get(CONFIG_MAP, "mine") is not None
