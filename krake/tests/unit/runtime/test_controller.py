import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from krake.client import Conflict, Unavailable
from krake.controller.runtime import Controller, Result
from krake.lib.backoff import Backoff

SHORT = Backoff(0.001, 0.002)


@asynccontextmanager
async def running(controller: Controller[str]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(controller.run())
    try:
        async with asyncio.timeout(30):
            yield task
    finally:
        controller.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(predicate: Callable[[], bool]) -> None:
    while not predicate():  # noqa: ASYNC110 (the deadline is that of `running`)
        await asyncio.sleep(0.001)


async def test_many_keys_with_several_workers_but_no_key_with_two() -> None:
    active: set[str] = set()
    most, done = 0, []

    async def reconcile(key: str) -> None:
        nonlocal most
        assert key not in active
        active.add(key)
        most = max(most, len(active))
        await asyncio.sleep(0)
        controller.enqueue("again") if key == "a" else None
        await asyncio.sleep(0.001)
        active.remove(key)
        done.append(key)

    controller: Controller[str] = Controller("test", reconcile, workers=3)
    async with running(controller):
        for _ in range(20):
            for key in "abcdefgh":
                controller.enqueue(key)
            await asyncio.sleep(0.001)
        await until(lambda: set(done) == set("abcdefgh") | {"again"} and not active)
    assert most == 3
    assert len(done) < 20 * 8, "what is enqueued again while it waits is handled once"


async def test_a_key_that_fails_is_tried_again_and_costs_no_other_key_anything() -> None:
    tries: dict[str, int] = {}

    async def reconcile(key: str) -> None:
        tries[key] = tries.get(key, 0) + 1
        if key == "poison" or tries[key] < 3:
            raise RuntimeError(key)

    controller: Controller[str] = Controller("test", reconcile, workers=1, backoff=SHORT)
    async with running(controller) as task:
        for key in ("poison", "a", "b"):
            controller.enqueue(key)
        await until(lambda: tries.get("a") == tries.get("b") == 3 and tries["poison"] > 10)
        assert not task.done()


async def test_an_outage_of_the_api_costs_a_key_no_more_than_its_length() -> None:
    tries = 0

    async def reconcile(_: str) -> None:
        nonlocal tries
        tries += 1
        if tries <= 30:
            raise Unavailable(0, {"detail": "away"})

    controller: Controller[str] = Controller("test", reconcile, backoff=Backoff(0.001, 60.0))
    async with running(controller):
        controller.enqueue("a")
        await until(lambda: tries == 31)


async def test_the_result_says_when_to_look_again() -> None:
    times: list[float] = []

    async def reconcile(_: str) -> Result:
        times.append(asyncio.get_running_loop().time())
        return Result(requeue_after=0.05) if len(times) < 3 else Result()

    controller: Controller[str] = Controller("test", reconcile)
    async with running(controller):
        controller.enqueue("a")
        await until(lambda: len(times) == 3)
        await asyncio.sleep(0.1)
    assert len(times) == 3
    assert min(times[1] - times[0], times[2] - times[1]) >= 0.049


async def test_debounce_holds_a_key_back() -> None:
    done: list[float] = []

    async def reconcile(_: str) -> None:
        done.append(asyncio.get_running_loop().time())

    controller: Controller[str] = Controller("test", reconcile, debounce=0.05)
    started = asyncio.get_running_loop().time()
    async with running(controller):
        controller.enqueue("a")
        await until(lambda: bool(done))
    assert done[0] - started >= 0.049


def hang(_: str) -> Awaitable[None]:
    return asyncio.Event().wait()  # type: ignore[return-value]


async def cancel_itself(_: str) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("misbehave", [hang, cancel_itself])
async def test_a_key_that_hangs_or_is_cancelled_from_inside_gives_its_worker_back(
    misbehave: Callable[[str], Awaitable[None]],
) -> None:
    done: list[str] = []

    async def reconcile(key: str) -> None:
        if key == "bad":
            await misbehave(key)
        done.append(key)

    controller: Controller[str] = Controller("test", reconcile, workers=1, time_limit=0.02, backoff=SHORT)
    async with running(controller):
        controller.enqueue("bad")
        controller.enqueue("good")
        await until(lambda: done == ["good"])
        controller.enqueue("other")
        await until(lambda: done == ["good", "other"])


async def test_stopping_ends_what_is_under_way_and_begins_nothing_new() -> None:
    begun, release, done = asyncio.Event(), asyncio.Event(), []

    async def reconcile(key: str) -> None:
        begun.set()
        await release.wait()
        done.append(key)

    controller: Controller[str] = Controller("test", reconcile, workers=1)
    async with running(controller) as task:
        controller.enqueue("a")
        controller.enqueue("b")
        await begun.wait()
        controller.stop()
        release.set()
        await task
    assert done == ["a"]


async def test_cancelling_ends_what_is_under_way_at_once() -> None:
    begun, cancelled = asyncio.Event(), []

    async def reconcile(key: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(key)
            raise

    controller: Controller[str] = Controller("test", reconcile)
    async with running(controller) as task:
        controller.enqueue("a")
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert cancelled == ["a"]


async def test_the_traceback_of_a_lasting_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    async def reconcile(_: str) -> None:
        nonlocal tries
        tries += 1
        match tries:
            case 1 | 2 | 3:
                raise RuntimeError("broken")
            case 4:
                raise Unavailable(0, {"detail": "away"})
            case 5:
                raise Conflict(409, {"detail": "changed"})

    controller: Controller[str] = Controller("test", reconcile, backoff=SHORT)
    with caplog.at_level(logging.INFO):
        async with running(controller):
            controller.enqueue("a")
            await until(lambda: tries == 6)
    records = [record for record in caplog.records if record.name.startswith("krake")]
    assert [(record.levelname, record.exc_info is not None) for record in records] == [
        ("ERROR", True),
        ("WARNING", False),
        ("WARNING", False),
        ("WARNING", False),
        ("INFO", False),
    ]
