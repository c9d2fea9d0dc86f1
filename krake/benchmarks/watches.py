"""How long after a change its watchers see it, with 1, 100 and 1,000 of them.

The time runs from before the request is sent until the watcher has read the line, so it includes the write itself.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

from benchmarks.measuring import HttpConnection, Row, http_request, percentile
from benchmarks.samples import COLLECTION, application_bytes
from benchmarks.servers import running_api

WATCHERS = (1, 100, 1000)
CHANGES = 50
INTERVAL = 0.1
SENT = re.compile(rb'"sent": "t(\d+)"')


async def measure(directory: Path) -> AsyncIterator[Row]:
    """Yield the rows of this measurement."""
    async with running_api(directory) as api:
        writer = await HttpConnection.open(api.port)
        await writer.send(http_request("POST", COLLECTION, application_bytes("watched")))
        for count in WATCHERS:
            delays = await _watch(api.port, count, writer)
            complete = len(delays) == count * CHANGES
            p50, p99 = (1000 * percentile(delays, share) for share in (0.5, 0.99))
            figure = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(delays):,} of {count * CHANGES:,} lines"
            yield Row(
                f"change → watcher, {count:,} watcher{'s' if count > 1 else ''}",
                figure,
                "p99 ≤ 100 ms, none lost",
                p99 <= 100 and complete,
            )
        writer.close()


async def _watch(port: int, count: int, writer: HttpConnection) -> list[float]:
    """Have *count* watchers in a process of their own see all changes; return their delays in seconds."""
    watchers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.watches", str(port), str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    assert watchers.stdin
    assert watchers.stdout
    await watchers.stdout.readline()
    for _ in range(CHANGES):
        patch = json.dumps({"metadata": {"labels": {"sent": f"t{time.monotonic_ns()}"}}}).encode()
        request = http_request("PATCH", f"{COLLECTION}/watched", patch)
        await writer.send(request)
        await asyncio.sleep(INTERVAL)
    await asyncio.sleep(1)
    watchers.stdin.close()
    delays: list[float] = json.loads(await watchers.stdout.readline())
    await watchers.wait()
    return delays


class _Watcher(asyncio.Protocol):
    """Reads a watch stream and notes how old each change is when its line is there."""

    def __init__(self, delays: list[float], subscribed: asyncio.Semaphore) -> None:
        self._delays = delays
        self._subscribed = subscribed
        self._rest = b""
        self._head = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(
            f"GET {COLLECTION}?watch&heartbeat=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._head:
            self._head = False
            self._subscribed.release()
        now = time.monotonic_ns()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if found := SENT.search(line):
                self._delays.append((now - int(found[1])) / 1e9)


async def _run_watchers(port: int, count: int) -> None:
    delays: list[float] = []
    subscribed = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.create_connection(lambda: _Watcher(delays, subscribed), "127.0.0.1", port)
    for _ in range(count):
        await subscribed.acquire()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(delays), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_run_watchers(int(sys.argv[1]), int(sys.argv[2])))
