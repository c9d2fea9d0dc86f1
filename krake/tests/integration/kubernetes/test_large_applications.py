"""Applications that are nearly too large, or too large, to be written down."""

from typing import Any

from integration.kubernetes.world import CONFIG_MAP, Target, World, applications, collector, config_map, eventually

from krake.data.kubernetes import ApplicationState as State


def large(kilobytes: int) -> list[dict[str, Any]]:
    return [config_map(f"part-{number}", text="x" * 10_000) for number in range(kilobytes // 10)]


async def test_what_is_observed_is_left_out_where_there_is_no_room_for_it(world: World, simulated_target: Target) -> None:
    target = simulated_target
    await world.register(target)
    async with world.running(applications(), collector):
        await world.create(*large(600), on=target)
        app = await world.until_state(State.RUNNING)
        assert app.status.running_on == target.ref
        assert len(app.status.last_applied_manifest) == 60
        assert app.status.last_observed_manifest == []
        await world.delete()
        await world.until_gone()
    assert await target.get(CONFIG_MAP, "part-0") is None


async def test_what_is_too_large_is_told_and_can_be_corrected(world: World, simulated_target: Target) -> None:
    target = simulated_target
    await world.register(target)
    async with world.running(applications(), collector):
        await world.create(config_map("part-0"), on=target)
        await world.until_state(State.RUNNING)
        await world.update(*large(900), on=target)
        app = await world.until_state(State.FAILED)
        assert app.status.reason is not None
        assert "too large" in app.status.reason.message
        assert await target.get(CONFIG_MAP, "part-0") is not None
        await world.update(config_map("part-1"), on=target)
        await world.until_state(State.RUNNING)
        await eventually(lambda: target.get(CONFIG_MAP, "part-0"), lambda obj: obj is None)
        await world.delete()
        await world.until_gone()
