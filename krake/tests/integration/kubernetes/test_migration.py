"""Applications move with the new copy ready before the old one goes."""

import asyncio

from integration.kubernetes.conftest import Targets
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
    service,
)

from krake.data.kubernetes import ApplicationState, ClusterState
from krake.data.metadata import ReasonCode
from krake.simulator import Failure

State = ApplicationState


async def settle(world: World, targets: Targets, count: int = 2) -> list[Target]:
    found = await targets(count)
    for target in found:
        await world.register(target, state=ClusterState.ONLINE)
    return found


async def test_the_new_copy_is_ready_before_the_old_one_goes(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications()):
        await world.create(deployment(), service(), config_map(a="1"), on=old)
        before = await world.until_state(State.RUNNING)
        gap: list[str] = []

        async def watch() -> None:
            while True:
                ready = [
                    (found.get("status") or {}).get("readyReplicas")
                    for target in (old, new)
                    if (found := await target.get(DEPLOYMENT, "echo")) is not None
                ]
                if not any(ready):
                    gap.append("Nothing was ready.")

        watching = asyncio.create_task(watch())
        await world.bind(new)
        app = await world.until(lambda app: app.status.running_on == new.ref and app.metadata.owners == [new.ref])
        watching.cancel()
    assert not gap
    assert app.status.state is State.RUNNING
    assert app.status.reason is None
    assert app.metadata.owners == [new.ref]
    assert app.status.services != before.status.services
    assert await old.get(DEPLOYMENT, "echo") is None
    assert await old.get(CONFIG_MAP, "settings") is None
    assert await new.get(CONFIG_MAP, "settings") is not None


async def test_a_copy_that_does_not_become_ready_is_taken_back(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    new.control.set_node_count(0)  # nothing can run there
    async with world.running(applications(migration={"timeout": 1, "retry": {"timeout": 60}})):
        await world.create(deployment(), on=old)
        await world.until_state(State.RUNNING)
        await world.bind(new)
        app = await world.until(lambda app: app.status.placed_on == [old.ref] and app.metadata.owners == [old.ref])
        app = await world.until(lambda app: app.status.reason is not None)
        assert app.status.scheduled_to == old.ref
        assert app.status.state is State.RUNNING
        assert app.status.running_on == old.ref
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.RECONCILE_FAILED
        assert "stays where it is" in app.status.reason.message
        assert app.status.migration_retries == 1
        assert app.metadata.owners == [old.ref]
    assert await new.get(DEPLOYMENT, "echo") is None
    assert await old.get(DEPLOYMENT, "echo") is not None


async def test_what_the_new_cluster_rejects_is_taken_back_at_once(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    await new.create(config_map(a="theirs"))
    async with world.running(applications()):
        await world.create(config_map(a="1"), deployment(), on=old)
        await world.until_state(State.RUNNING)
        await world.bind(new)
        app = await world.until(lambda app: app.status.scheduled_to == old.ref and app.status.placed_on == [old.ref])
        app = await world.until(lambda app: app.status.reason is not None)
        assert app.status.reason is not None
        assert "not created by Krake" in app.status.reason.message
    found = await new.get(CONFIG_MAP, "settings")
    assert found is not None
    assert found["data"] == {"a": "theirs"}
    assert await new.get(DEPLOYMENT, "echo") is None


async def test_a_cluster_in_trouble_of_its_own_is_waited_for(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications()):
        await world.create(config_map(a="1"), on=old)
        await world.until_state(State.RUNNING)
        new.control.fail(Failure("errors", rate=1.0))
        await world.bind(new)
        app = await world.until(lambda app: app.status.reason is not None)
        assert (app.status.state, app.status.scheduled_to) == (State.MIGRATING, new.ref)
        new.control.recover()
        app = await world.until(lambda app: app.status.running_on == new.ref)
        assert (app.status.migration_retries, app.status.reason) == (0, None)


async def test_it_leaves_a_cluster_that_is_lost_and_cleans_up_later(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications()):
        await world.create(config_map(a="1"), on=old)
        await world.until_state(State.RUNNING)
        old.control.fail(Failure("unreachable"))
        await world.bind(new)
        app = await world.until(lambda app: app.status.running_on == new.ref)
        app = await world.until_state(State.RUNNING)
        assert app.status.placed_on == [old.ref, new.ref]
        assert app.metadata.owners == [old.ref, new.ref]
        old.control.recover()
        await world.until(lambda app: app.status.placed_on == [new.ref] and app.metadata.owners == [new.ref])
    assert await old.get(CONFIG_MAP, "settings") is None


async def test_a_changed_target_leaves_nothing_on_the_first_one(world: World, targets: Targets) -> None:
    old, first, second = await settle(world, targets, 3)
    first.control.set_node_count(0)
    async with world.running(applications(), collector):
        await world.create(deployment(), on=old)
        await world.until_state(State.RUNNING)
        await world.bind(first)
        await eventually(lambda: first.get(DEPLOYMENT, "echo"), bool)
        await world.bind(second)
        await world.until(lambda app: app.status.running_on == second.ref and app.metadata.owners == [second.ref])
        for target in (old, first):
            assert await target.get(DEPLOYMENT, "echo") is None
        await world.delete()
        await world.until_gone()
    assert await second.get(DEPLOYMENT, "echo") is None


async def test_there_are_never_two_copies_of_what_is_deleted_first(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    async with world.running(applications()):
        await world.create(deployment(), config_map(a="1"), on=old, migration_strategy="delete_first")
        await world.until_state(State.RUNNING)
        twice: list[str] = []

        async def watch() -> None:
            while True:
                later, earlier = await new.get(DEPLOYMENT, "echo"), await old.get(DEPLOYMENT, "echo")
                if later is not None and earlier is not None:
                    twice.append("There were two.")

        watching = asyncio.create_task(watch())
        await world.bind(new)
        app = await world.until(lambda app: app.status.running_on == new.ref and app.metadata.owners == [new.ref])
        watching.cancel()
    assert not twice
    assert (app.status.state, app.status.placed_on, app.status.shutdown_attempts) == (State.RUNNING, [new.ref], 0)


async def test_what_was_deleted_first_comes_back_where_it_was(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    new.control.set_node_count(0)
    async with world.running(applications(migration={"timeout": 1, "retry": {"timeout": 60}})):
        await world.create(deployment(), on=old, migration_strategy="delete_first")
        await world.until_state(State.RUNNING)
        await world.bind(new)
        await eventually(lambda: new.get(DEPLOYMENT, "echo"), bool)
        assert await old.get(DEPLOYMENT, "echo") is None
        app = await world.until(lambda app: app.status.state is State.RUNNING and app.metadata.owners == [old.ref])
        assert app.status.reason is not None
        assert app.status.reason.code is ReasonCode.RECONCILE_FAILED
        assert (app.status.migration_retries, app.status.placed_on) == (1, [old.ref])
    assert await old.get(DEPLOYMENT, "echo") is not None
    assert await new.get(DEPLOYMENT, "echo") is None


async def test_nobody_goes_back_to_a_cluster_that_is_lost(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    await new.create(config_map(a="theirs"))
    async with world.running(applications(migration={"timeout": 1, "retry": {"timeout": 60}})):
        await world.create(config_map(a="1"), on=old)
        await world.until_state(State.RUNNING)
        old.control.fail(Failure("unreachable"))
        await world.bind(new)
        app = await world.until(
            lambda app: app.status.reason is not None and "not created by Krake" in app.status.reason.message
        )
        assert (app.status.state, app.status.scheduled_to) == (State.MIGRATING, new.ref)
        await new.delete(CONFIG_MAP, "settings")
        app = await world.until(lambda app: app.status.running_on == new.ref)
        assert (app.status.migration_retries, app.status.reason) == (0, None)


async def test_what_is_stopped_for_its_volumes_starts_again_if_the_new_cluster_is_lost(world: World, targets: Targets) -> None:
    old, new = await settle(world, targets)
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    mounting = deployment()
    mounting["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]

    async def replicas() -> int | None:
        found = await old.get(DEPLOYMENT, "echo")
        return None if found is None else found["spec"]["replicas"]

    async with world.running(applications(migration={"timeout": 2, "retry": {"timeout": 60}})):
        await world.create(mounting, {**claim, "spec": spec}, on=old)
        await world.until_state(State.RUNNING)
        await world.bind(new)
        await eventually(replicas, lambda count: count == 0)
        new.control.fail(Failure("unreachable"))
        app = await world.until(lambda app: app.status.scheduled_to == old.ref and app.status.state is State.RUNNING)
        assert app.status.migration_retries == 1
        assert await replicas() == 1
        new.control.recover()
        await world.until(lambda app: app.metadata.owners == [old.ref] and not app.status.volumes)
