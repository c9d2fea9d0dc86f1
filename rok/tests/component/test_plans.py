"""``rok plan`` against a real API; the test answers as the scheduler would."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from command import Rok
from krake.client import Client
from krake.data import Key
from krake.data.plans import Plan

NAMESPACE = "system:admin"


async def plans(client: Client) -> list[Plan]:
    return (await client.list(Plan, NAMESPACE)).items


@asynccontextmanager
async def answering(client: Client, **status: Any) -> AsyncIterator[list[Plan]]:
    """Answer all plans so; yields those that were asked."""
    asked: list[Plan] = []

    async def answer() -> None:
        while True:
            for plan in await plans(client):
                if plan.status.observed_generation == 0:
                    asked.append(plan)
                    changes = {"status": {"state": "DONE", "settled": True, "observed_generation": 1, **status}}
                    await client.patch(Plan, Key(NAMESPACE, plan.metadata.name), changes, subresource="status")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(answer())
    try:
        yield asked
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


MOVE = {"application": "demo", "former": "east", "choice": "west", "why": "It is drained."}


async def test_the_status_tells_whether_anything_changes(rok: Rok, client: Client) -> None:
    async with answering(client):
        done = await rok("plan")
    assert (done.status, done.err) == (0, "")
    assert "nothing would move" in done.out
    async with answering(client, moving=1, moves=[MOVE]):
        done = await rok("plan")
    assert done.status == 2
    assert done.lines == [["demo", "east", "west", "at once", "It is drained."]]
    async with answering(client, unfit=1, newly_unfit=1, misfits=[{"application": "new", "why": "There is no room."}]):
        assert (await rok("plan")).status == 2
    async with answering(client, unfit=1, misfits=[{"application": "old", "why": "There is no room."}]):
        assert (await rok("plan")).status == 0
    assert await plans(client) == []


async def test_machines_get_all_of_the_answer(rok: Rok, client: Client) -> None:
    async with answering(client, moving=1, moves=[MOVE]) as asked:
        done = await rok("plan --drain east -o json")
    assert (done.status, done.json["moves"][0]["choice"], done.json["moving"]) == (2, "west", 1)
    assert [plan.spec.drain for plan in asked] == [["east"]]


async def test_what_the_scheduler_refuses_is_told(rok: Rok, client: Client) -> None:
    reason = {"code": "INVALID_RESOURCE", "message": "There is no cluster 'esat'."}
    async with answering(client, state="FAILED", reason=reason):
        done = await rok("plan --drain esat")
    assert (done.status, done.out) == (1, "")
    assert done.err == "rok: error: There is no cluster 'esat'.\n"
    assert await plans(client) == []


async def test_what_the_api_refuses_is_told(rok: Rok, client: Client) -> None:
    done = await rok("plan --drain", *["x"], *[word for number in range(1000) for word in ("--drain", f"c{number}")])
    assert done.status == 1
    assert "spec.drain" in done.err


async def test_a_scheduler_that_does_not_answer_is_not_waited_for_for_ever(rok: Rok, client: Client) -> None:
    done = await rok("plan --timeout 0.5")
    assert done.status == 1
    assert "the scheduler has not answered within 0.5 s: is it running?" in done.err
    assert await plans(client) == []


async def test_an_interrupted_plan_is_taken_away(rok: Rok, client: Client) -> None:
    process = await rok.start("plan")
    async with asyncio.timeout(30):
        while True:
            if await plans(client):
                break
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode() == "rok: error: interrupted; nothing was changed\n"
    assert await plans(client) == []


async def test_wrong_files_are_failures(rok: Rok) -> None:
    done = await rok("plan -f nothing.yaml")
    assert done.status == 1
    assert "can not read nothing.yaml" in done.err


async def test_a_user_needs_no_more_than_plans(rok: Rok, client: Client) -> None:
    """What is sent is all in the plan: nothing else is read."""
    rok.write("app.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}})
    async with answering(client) as asked:
        assert (await rok("plan -f app.yaml", "--constraint", "app=zone is b")).status == 0
    sent = json.loads(json.dumps(asked[0].spec.serialize()))
    assert sent["applications"][0]["name"] == "app"
    assert sent["constraints"][0]["labels"] == ["zone is b"]
