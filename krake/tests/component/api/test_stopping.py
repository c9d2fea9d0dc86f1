"""The end of an API process, as its clients see it."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.api import Http
from fixtures.api_process import ApiProcess, RunApi
from fixtures.etcd import wipe
from fixtures.polling import until
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.core import Role
from krake.up.process import free_port

ROLES = path_of(Role)


@pytest.fixture(autouse=True)
async def empty(etcd_store: EtcdStore) -> None:
    await wipe(etcd_store)


async def readiness(api: ApiProcess) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{api.url}/readyz?verbose") as response:
        return response.status, await response.text()


async def test_requests_are_taken_for_a_while_but_it_is_not_ready_any_more(run_api: RunApi) -> None:
    async with run_api("--stop-delay", "2") as api, aiohttp.ClientSession() as session:
        http = Http(session, api.url)
        assert (await http.get(ROLES)).headers.get("Connection") != "close"
        api.process.send_signal(signal.SIGTERM)

        async def is_unready() -> bool:
            status, text = await readiness(api)
            return status == 503 and "[-]stopping failed: The process is stopping." in text

        await until(is_unready)
        answer = await http.get(ROLES)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await api.end() == 0
        assert "Traceback" not in api.output


async def test_watches_end_properly_and_what_is_under_way_is_finished(run_api: RunApi, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    async with run_api("--audit-file", str(file), "--audit-reads") as api, aiohttp.ClientSession() as session:
        http = Http(session, api.url)
        created = await http.post(ROLES, sample(Role))
        async with http.watch(ROLES) as lines, http.watch(ROLES, resource_version="0") as past:
            assert await past.next() == ("ADDED", created.json)
            gate = asyncio.Event()

            async def slowly() -> Any:
                yield b'{"metadata": {"name": "late"}, '
                await gate.wait()
                yield b'"rules": []}'

            late = asyncio.create_task(http("POST", ROLES, data=slowly()))
            await until(lambda: in_flight(http, 4))
            api.process.send_signal(signal.SIGTERM)
            # A clean end of the stream, not a cut one: that would be an exception.
            assert await lines.next_line() == b""
            assert await past.next_line() == b""
            gate.set()
            assert (await late).status == 201
        assert await api.end() == 0
    audit = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["verb"], line["name"]) for line in audit if line["method"] == "POST"] == [
        ("create", "sample"),
        ("create", "late"),
    ]
    assert [line["stage"] for line in audit if line["verb"] == "list"] == ["open", "open", "end", "end"]


async def in_flight(http: Http, count: int) -> bool:
    """Whether so many requests are served, the one that asks included."""
    return f"krake_api_requests_in_flight {count}.0" in (await http.get("/metrics")).text


async def test_a_second_signal_ends_it_at_once(run_api: RunApi) -> None:
    async with run_api("--stop-delay", "60") as api:
        api.process.send_signal(signal.SIGTERM)
        await until(lambda: says(api, "Stopping"))
        api.process.send_signal(signal.SIGINT)
        assert await api.end(5) == 128 + signal.SIGINT


async def says(api: ApiProcess, text: str) -> bool:
    return text in api.output


class Client:
    """Writes and reads without a pause, at whichever API it reaches."""

    def __init__(self, name: str, urls: list[str]) -> None:
        self.name = name
        self.urls = urls
        self.turn = 0
        self.done = 0
        self.errors: list[str] = []
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Create, read and delete objects until told to stop."""
        async with aiohttp.ClientSession() as session:
            while not self.stop.is_set():
                for method, path, body in self._round():
                    await self._send(session, method, path, body)
                self.done += 1

    def _round(self) -> list[tuple[str, str, Any]]:
        name = f"{self.name}-{self.done}"
        return [("POST", ROLES, sample(Role, name)), ("GET", f"{ROLES}/{name}", None), ("DELETE", f"{ROLES}/{name}", None)]

    async def _send(self, session: aiohttp.ClientSession, method: str, path: str, body: Any) -> None:
        for _ in range(200):
            try:
                async with session.request(method, self.urls[self.turn] + path, json=body) as response:
                    if response.status >= 300 and not (response.status == 404 and method == "GET"):
                        self.errors.append(f"{method} {path}: {response.status} {await response.text()}")
                    return
            except aiohttp.ClientConnectorError as error:
                if not isinstance(error.os_error, ConnectionRefusedError):
                    self.errors.append(f"{method} {path}: {error!r}")
                self.turn = 1 - self.turn
                await asyncio.sleep(0.05)
            except aiohttp.ClientError as error:
                self.errors.append(f"{method} {path}: {error!r}")
                return
        self.errors.append(f"{method} {path}: nobody listens")


@pytest.mark.slow
async def test_a_rolling_restart_of_two_processes_is_not_noticed(run_api: RunApi) -> None:
    ports = free_port(), free_port()
    clients = [Client(f"c{number}", [f"http://127.0.0.1:{port}" for port in ports]) for number in range(6)]
    for number, client in enumerate(clients):
        client.turn = number % 2
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(run_api(port=port)) for port in ports]
        running = [asyncio.create_task(client.run()) for client in clients]
        for port, api in zip(ports, apis, strict=True):
            await until(partial(all_moved, clients, [client.done for client in clients]))
            api.process.send_signal(signal.SIGTERM)
            assert await api.end() == 0
            await until(partial(all_moved, clients, [client.done for client in clients]))
            await stack.enter_async_context(run_api(port=port))
        for client in clients:
            client.stop.set()
        await asyncio.gather(*running)
    assert not [error for client in clients for error in client.errors]
    assert all(client.done for client in clients)


async def all_moved(clients: list[Client], before: list[int]) -> bool:
    return all(client.done >= done + 3 for client, done in zip(clients, before, strict=True))
