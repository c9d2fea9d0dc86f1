"""Recorders against the real API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from fixtures.api import Http, Serve
from fixtures.proxy import Proxy

from krake.client import Client
from krake.controller.runtime import Recorder
from krake.data import Key
from krake.data.core import Role
from krake.data.correlation import Correlator
from krake.data.events import Event, EventType, normal, warning
from krake.data.kubernetes import Application
from krake.data.metadata import WatchEventType
from krake.recording import EVENTS

StartProxy = Callable[[int], Awaitable[Proxy]]
LIMIT = 60.0
CAPACITY = 200
"""Events that a recorder keeps while it can not write."""


def app(name: str = "demo", uid: str = "u1") -> Application:
    return Application.restore({"metadata": {"name": name, "namespace": "ns", "uid": uid}})


@pytest.fixture
async def client(http: Http) -> AsyncIterator[Client]:
    async with Client(http.url) as client:
        yield client


async def events(client: Client, accept: Callable[[list[Event]], bool]) -> list[Event]:
    """Return the events, by time, once they are acceptable."""
    async with asyncio.timeout(LIMIT):
        while True:
            found = sorted((await client.list(Event)).items, key=lambda event: event.first)
            if accept(found):
                return found
            await asyncio.sleep(0.02)


def fates(fate: str) -> float:
    """How many events of this process have met a fate so far."""
    return EVENTS.labels(fate)._value.get()


async def test_what_is_recorded_is_stored_in_order(client: Client) -> None:
    began = datetime.now(UTC)
    async with Recorder(client, "tester") as recorder:
        recorder.record(app(), normal("Created", "All is there."), warning("Degraded", "Something is broken."))
        recorder.record(Role.definition.ref(Key(None, "admin")), normal("Seen", ""))
        created, degraded, seen = await events(client, lambda found: len(found) == 3)
    assert created.key.namespace == degraded.key.namespace == "ns"
    assert (created.type, created.reason, created.message) == (EventType.Normal, "Created", "All is there.")
    assert (degraded.type, degraded.component, degraded.count) == (EventType.Warning, "tester", 1)
    assert began <= created.first == created.last <= degraded.first <= datetime.now(UTC) + timedelta(seconds=1)
    assert created.regarding.uid == "u1"
    assert seen.key.namespace == "system"


async def test_equal_events_of_two_processes_are_one_that_counts(client: Client) -> None:
    first, second = Recorder(client, "tester"), Recorder(client, "tester")
    async with first, second:
        for recorder in (first, second):
            recorder.record(app(), warning("Failed", "No."))
        await events(client, lambda found: [each.count for each in found] == [2])
        for recorder in (first, second) * 4:
            recorder.record(app(), warning("Failed", "No."))
        assert [each.count for each in (await client.list(Event)).items] == [2]
    # What was held back, to be written together, is written at the end.
    (event,) = (await client.list(Event)).items
    assert event.count == 10
    assert event.first < event.last
    async with Recorder(client, "tester") as restarted:
        restarted.record(app(), warning("Failed", "No."))
        restarted.record(app(uid="another object"), warning("Failed", "No."))
    assert sorted(each.count for each in (await client.list(Event)).items) == [1, 11]


async def test_many_processes_at_once_count_right(client: Client) -> None:
    async def record() -> None:
        async with Recorder(client, "tester") as recorder:
            for _ in range(5):
                recorder.record(app(), warning("Failed", "No."))

    await asyncio.gather(*(record() for _ in range(8)))
    (event,) = await events(client, lambda found: True)
    assert event.count == 40


async def test_an_event_that_has_expired_begins_anew(client: Client) -> None:
    async with Recorder(client, "tester") as recorder:
        recorder.record(app(), normal("Created", ""))
        (event,) = await events(client, lambda found: len(found) == 1)
        await client.delete(Event, event.key)
        recorder.record(app(), normal("Created", ""))
    (again,) = (await client.list(Event)).items
    assert again.key == event.key
    assert again.count == 1


async def test_whoever_may_not_write_events_says_so_once(serve_api: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve_api(authorization="RBAC") as http, Client(http.url) as client:
        refused = fates("refused")
        with caplog.at_level(logging.WARNING, "krake"):
            async with Recorder(client, "tester") as recorder:
                for number in range(5):
                    recorder.record(app(), normal("Happened", str(number)))
        assert fates("refused") == refused + 5
    said = [record.getMessage() for record in caplog.records if "Events are not told" in record.getMessage()]
    assert len(said) == 1
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_nothing_is_lost_while_the_api_is_away_unless_it_is_too_much(
    client: Client, http: Http, start_proxy: StartProxy
) -> None:
    proxy = await start_proxy(int(http.url.rsplit(":", 1)[1]))
    overflow = fates("overflow")
    correlator = Correlator(capacity=CAPACITY)
    async with Client(proxy.url) as cut_off, Recorder(cut_off, "tester", correlator) as recorder:
        await proxy.refuse()
        for number in range(CAPACITY + 200):
            recorder.record(app(f"app-{number}"), normal("Created", ""))
            recorder.record(app(f"app-{number}"), normal("Created", ""))
        assert fates("overflow") - overflow == 400
        await proxy.resume()
        found = await events(client, lambda found: len(found) == CAPACITY)
    assert {event.count for event in found} == {2}
    assert {event.regarding.name for event in found} == {f"app-{number}" for number in range(200, CAPACITY + 200)}


async def test_an_api_that_hangs_holds_nobody_up(http: Http, start_proxy: StartProxy) -> None:
    proxy = await start_proxy(int(http.url.rsplit(":", 1)[1]))
    loop = asyncio.get_running_loop()
    async with Client(proxy.url) as client:
        async with Recorder(client, "tester") as recorder:
            proxy.hang()
            began = loop.time()
            for number in range(1000):
                recorder.record(app(f"app-{number}"), normal("Created", ""))
            assert loop.time() - began < 1
            await asyncio.sleep(0)
            ending = loop.time()
        assert loop.time() - ending < 5


async def test_what_can_not_be_told_fails_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    async with Recorder(client, "tester") as recorder:
        recorder.record(app(), normal("two words", "The API refuses this."))
        recorder.record(cast(Application, "no object"), normal("Fine", ""))
        recorder.record(app(), normal("Fine", ""))
        await events(client, lambda found: "Fine" in [each.reason for each in found])
    assert "can not be written" in caplog.text
    assert "can not be told" in caplog.text


async def test_events_are_watched_like_everything_else(client: Client) -> None:
    async with Recorder(client, "tester") as recorder, aclosing(client.watch(Event, "ns")) as watch:
        following = asyncio.create_task(anext(watch))
        async with asyncio.timeout(LIMIT):
            while not following.done():
                recorder.record(app(), normal("Created", ""))
                await asyncio.sleep(0.02)
        assert following.result().type is WatchEventType.ADDED
        assert following.result().object.reason == "Created"
