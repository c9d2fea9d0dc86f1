"""A thousand who watch and wait, and fifty who never read, hurt nobody else."""

import asyncio
import json
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest
from fixtures.api import Http
from fixtures.api_process import RunApi
from fixtures.etcd import wipe
from fixtures.polling import until
from fixtures.samples import path_of, sample

from krake.adapters.etcd import EtcdStore
from krake.data.core import Metric, Role

ROLES = path_of(Role)
METRICS = path_of(Metric)
IDLE = 1000
SLOW = 50
GOOD = 5
CHANGES = 300
SIZE = 20_000


class Watcher(asyncio.Protocol):
    """Watches a collection; notes the lines, or only that there was an end."""

    def __init__(self, path: str) -> None:
        self.open = asyncio.Event()
        self.closed = asyncio.Event()
        self.received = b""
        self._path = path
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(f"GET {self._path}?watch&heartbeat=0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.received += data
        if b"\r\n\r\n" in self.received:
            self.open.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def stop_reading(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()

    def read_on(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    @property
    def events(self) -> list[Any]:
        """The events in the chunks of the answer so far."""
        whole, _, _ = self.received.rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n") if line.startswith(b'{"type"')]


@asynccontextmanager
async def watching(port: int, path: str, count: int, buffer: int | None = None) -> AsyncIterator[list[Watcher]]:
    """Open so many watches. *buffer* is what the kernel takes for each, in bytes."""
    watchers = []
    try:
        for _ in range(count):
            link = socket.socket()
            link.setblocking(False)
            if buffer is not None:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", port))
            _, watcher = await asyncio.get_running_loop().create_connection(lambda: Watcher(path), sock=link)
            watchers.append(watcher)
        async with asyncio.timeout(30):
            await asyncio.gather(*(watcher.open.wait() for watcher in watchers))
        yield watchers
    finally:
        for watcher in watchers:
            watcher.close()


def large_role(change: int) -> dict[str, Any]:
    rules = [{"api": "x", "resources": ["y" * SIZE], "namespaces": [], "verbs": []}]
    return {"metadata": {"name": "large", "labels": {"change": str(change)}}, "rules": rules}


async def change_often(http: Http) -> float:
    """Change a role again and again; return the median of the seconds that reading another object took meanwhile."""
    durations: list[float] = []

    async def read() -> None:
        while True:
            started = time.perf_counter()
            assert (await http.get(f"{METRICS}/other")).status == 200
            durations.append(time.perf_counter() - started)

    reading = asyncio.create_task(read())
    try:
        for change in range(CHANGES):
            assert (await http.put(f"{ROLES}/large", large_role(change))).status == 200
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return statistics.median(durations)


@pytest.mark.slow
async def test_nobody_suffers(run_api: RunApi, etcd_store: EtcdStore) -> None:
    await wipe(etcd_store)
    async with (
        run_api("--watch-per-user", "5000", "--watch-buffer", "50") as api,
        aiohttp.ClientSession() as session,
    ):
        http = Http(session, api.url)
        assert (await http.post(METRICS, sample(Metric, "other"))).status == 201
        assert (await http.post(ROLES, large_role(CHANGES))).status == 201
        undisturbed = await change_often(http)
        async with (
            watching(api.port, METRICS, IDLE) as idle,
            watching(api.port, ROLES, GOOD) as good,
            watching(api.port, ROLES, SLOW, buffer=4096) as slow,
        ):
            for watcher in slow:
                watcher.stop_reading()
            before = api.memory
            disturbed = await change_often(http)
            # All changes at once are 6 MB; kept for each slow reader, they would be 300 MB.
            assert api.memory - before < 100 * 2**20
            # With two cores for everything, others are at most held up by what the good readers are told.
            assert disturbed < 20 * undisturbed + 0.05
            for watcher in slow:
                watcher.read_on()
            async with asyncio.timeout(60):
                await asyncio.gather(*(watcher.closed.wait() for watcher in slow))
            assert all(len(watcher.events) < CHANGES for watcher in slow)
            for watcher in good:
                await until(lambda watcher=watcher: has_events(watcher, CHANGES))
                changes = [event["object"]["metadata"]["labels"]["change"] for event in watcher.events]
                assert changes == [str(change) for change in range(CHANGES)]
            assert not any(watcher.closed.is_set() for watcher in (*idle, *good))
            changed = await http.patch(f"{METRICS}/other", {"metadata": {"labels": {"a": "b"}}})
            for watcher in idle:
                await until(lambda watcher=watcher: has_events(watcher, 1))
                assert watcher.events == [{"type": "MODIFIED", "object": changed.json}]


async def has_events(watcher: Watcher, count: int) -> bool:
    return watcher.received.count(b"}\n") >= count and len(watcher.events) >= count
