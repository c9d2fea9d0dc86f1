"""Moves wait for their turn, those of each namespace for themselves."""

import asyncio
from typing import Any

from krake.controller.scheduler.applications.movement import Move, Movement
from krake.data import Key


async def test_no_namespace_waits_for_the_moves_of_another() -> None:
    called: set[Key] = set()
    somebody = asyncio.Event()

    def call(key: Key) -> None:
        called.add(key)
        somebody.set()

    moving = {"greedy": 0, "modest": 0}
    wanted: dict[str, Any] = {"at_once": 2, "per_minute": 600, "failover_per_minute": 6}
    movement = Movement(call, moving=lambda namespace: moving[str(namespace)], **wanted)

    def ask(namespace: str, move: Move, rank: int = 0) -> list[bool]:
        return [movement.allows(Key(namespace, f"{move.name}-{number}"), move, rank) for number in range(3)]

    assert ask("greedy", Move.FAILOVER, rank=-(10**9)) == [True, False, False]
    assert ask("modest", Move.FAILOVER) == [True, False, False]

    moving["greedy"] = 2  # on their way for ever
    assert ask("greedy", Move.VOLUNTARY, rank=-(10**9)) == [False, False, False]
    assert ask("modest", Move.VOLUNTARY) == [True, True, True]

    running = asyncio.create_task(movement.run())
    moving["greedy"] = 1
    movement.wake()
    try:
        async with asyncio.timeout(30):
            await somebody.wait()
    finally:
        running.cancel()
    assert called == {Key("greedy", "VOLUNTARY-0")}
