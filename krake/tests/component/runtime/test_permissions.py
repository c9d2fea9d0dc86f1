"""What controllers do when the API does not let them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fixtures.api import Http, Serve

from krake.client import Client
from krake.controller.runtime import Controller, Informer, Parts, Result
from krake.controller.runtime.process import Process
from krake.data import Key
from krake.data.core import Role
from krake.lib.backoff import Backoff

SHORT = Backoff(0.01, 0.05)
RULE = {"api": "core", "resources": ["roles"], "namespaces": [""], "verbs": ["list"]}


def static(name: str) -> dict[str, Any]:
    return {"strategy": {"static": {"enabled": True, "name": name}}}


@asynccontextmanager
async def started(url: str) -> AsyncIterator[tuple[Process, Informer[Role], asyncio.Event]]:
    """A process that follows roles and changes each that it sees."""
    async with Client(url) as client:
        informer = Informer(client, Role, backoff=SHORT)
        changed = asyncio.Event()

        async def change(key: Key) -> Result | None:
            await client.patch(Role, key, {"metadata": {"labels": {"seen": "yes"}}})
            changed.set()
            return None

        controller = Controller("labeller", change, backoff=SHORT)
        informer.on_change(lambda old, new: new and controller.enqueue(new.key))
        stop = asyncio.Event()
        process = Process("labeller", Parts([informer], [controller]), client, stop)
        running = asyncio.create_task(process.run(1.0))
        try:
            async with asyncio.timeout(30):
                yield process, informer, changed
        finally:
            stop.set()
            await running


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR" and "runtime" in record.name]


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 (nobody would set an event)
        await asyncio.sleep(0.01)


async def until_refused(caplog: pytest.LogCaptureFixture, times: int) -> None:
    """Wait until the API has refused so many requests, as its log says."""
    await until(
        lambda: sum(" 403 " in each.getMessage() for each in caplog.records if each.name == "krake.api.access") >= times
    )


async def grant(http: Http, name: str, **rule: Any) -> None:
    body = {"metadata": {"name": name}, "rules": [RULE | rule]}
    assert (await http.post("/core/roles", body)).status == 201
    assert (
        await http.post("/core/rolebindings", {"metadata": {"name": name}, "users": ["ann"], "roles": [name]})
    ).status == 201


async def test_a_missing_role_is_told_once_and_its_coming_is_noticed(
    serve_api: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with (
        serve_api() as admin,
        serve_api(authentication=static("ann"), authorization="RBAC") as strict,
        started(strict.url) as (process, informer, changed),
    ):
        await until(lambda: informer.trouble)
        waiting = process.waiting_for()
        assert len(waiting) == 1
        assert waiting[0].startswith("roles: User 'ann' may not list core roles")
        await until_refused(caplog, 10)
        said = errors(caplog)
        assert len(said) == 1
        assert "give this user a role with the verb list for roles of core in all namespaces" in said[0]
        caplog.clear()

        await grant(admin, "reader")
        await until(lambda: not process.waiting_for())
        await until_refused(caplog, 10)
        said = errors(caplog)
        assert len(said) == 1
        assert "User 'ann' may not update core roles" in said[0]
        assert "give this user a role that allows it" in said[0]
        assert all(record.exc_info is None for record in caplog.records)

        await grant(admin, "writer", verbs=["update"])
        await changed.wait()


async def test_whoever_is_not_known_is_told_how_to_be(serve_api: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve_api(authentication={}) as http, started(http.url) as (process, informer, _):
        await until(lambda: informer.trouble)
        assert process.waiting_for() == ["roles: No user has been authenticated. (401)"]
    said = errors(caplog)
    assert len(said) == 1
    assert "show a certificate (tls.client_cert and tls.client_key) or a token (token_file)" in said[0]
