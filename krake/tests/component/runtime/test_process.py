"""A controller process from its start to its end, as the one who runs it sees it."""

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from textwrap import dedent

import aiohttp
import pytest
from aiohttp import web

from krake.client import Client
from krake.controller.runtime import Controller, ControllerConfig, Parts
from krake.controller.runtime.process import serve

STUBBORN = dedent(
    """
    import asyncio, logging, sys, time
    from krake.controller.runtime import Controller, ControllerConfig, Parts, run_process

    async def hang(key):
        print("begun", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            if mode == "block":
                time.sleep(60)
            print("cancelled", flush=True)

    def build(client):
        controller = Controller("stubborn", hang)
        controller.enqueue("a")
        return Parts(informers=[], controllers=[controller])

    mode, endpoint, drain_timeout, port = sys.argv[1:]
    logging.basicConfig(level="INFO", stream=sys.stdout)
    config = ControllerConfig(api_endpoint=endpoint, drain_timeout=float(drain_timeout), health_port=int(port))
    sys.exit(run_process("stubborn", build, config))
    """
)


class Running:
    """A process and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = ""

    async def until(self, pattern: str) -> str:
        """Wait for a line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while not (found := re.search(pattern, self.output)):
                line = await self.process.stdout.readline()
                assert line, f"The process ended with:\n{self.output}"
                self.output += line.decode()
        return found[found.re.groups]

    async def end(self, limit: float) -> int:
        """Wait for the end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(limit):
            self.output += (await self.process.stdout.read()).decode()
            return await self.process.wait()


@asynccontextmanager
async def running(mode: str, endpoint: str, drain_timeout: float, port: int = 0) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", STUBBORN, mode, endpoint, str(drain_timeout), str(port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    started = Running(process)
    try:
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await started.end(10)


@asynccontextmanager
async def answering_api() -> AsyncIterator[str]:
    """Enough of an API for a controller that watches nothing."""

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def closed_endpoint() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


async def fetch(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_without_an_api_it_waits_says_so_and_can_be_stopped() -> None:
    async with running("plain", closed_endpoint(), 5) as started:
        base = await started.until(r"(http://127\.0\.0\.1:\d+)/readyz")
        await started.until("waits for the API, next look in .*cannot be reached")
        assert (await fetch(f"{base}/livez"))[0] == 200
        status, body = await fetch(f"{base}/readyz")
        assert status == 503
        assert json.loads(body)["waiting_for"][0].startswith("the API: The API at ")
        status, body = await fetch(f"{base}/metrics")
        assert status == 200
        assert "krake_queue_depth" in body
        started.process.send_signal(signal.SIGTERM)
        assert await started.end(5) == 0
        assert "Traceback" not in started.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_under_way_when_stopped_gets_its_time_and_is_cancelled_then(number: signal.Signals) -> None:
    async with answering_api() as endpoint, running("plain", endpoint, 0.3) as started:
        base = await started.until(r"(http://127\.0\.0\.1:\d+)/readyz")
        await started.until("begun")
        assert (await fetch(f"{base}/readyz"))[0] == 200
        started.process.send_signal(number)
        await started.until("stopping")
        status, body = await fetch(f"{base}/readyz")
        assert (status, json.loads(body)["waiting_for"]) == (503, ["the end"])
        assert await started.end(5) == 0
        assert re.search("unfinished[^$]*cancelled[^$]*has stopped", started.output)


async def test_a_second_signal_ends_it_at_once() -> None:
    async with answering_api() as endpoint, running("plain", endpoint, 60) as started:
        await started.until("begun")
        started.process.send_signal(signal.SIGTERM)
        await started.until("stopping")
        started.process.send_signal(signal.SIGINT)
        assert await started.end(5) == 128 + signal.SIGINT


async def test_even_an_event_loop_that_hangs_does_not_keep_it_from_ending() -> None:
    async with answering_api() as endpoint, running("block", endpoint, 0.1) as started:
        await started.until("begun")
        started.process.send_signal(signal.SIGTERM)
        assert await started.end(15) == 1


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [("nonsense", "api_endpoint: 'nonsense' is not the URL of an API"), (None, "health_port: cannot listen")],
)
async def test_a_setting_that_cannot_be_used_is_told_in_one_line(endpoint: str | None, message: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with running("plain", endpoint or "http://127.0.0.1:1", 1, taken.getsockname()[1]) as started:
            assert await started.end(10) == 1
    assert message in started.output
    assert "Traceback" not in started.output


async def test_parts_live_inside_their_resources_and_are_started_again_if_they_break() -> None:
    story: list[str] = []
    stop = asyncio.Event()

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        story.append("open")
        yield
        story.append("close")

    async def reconcile(key: str) -> None:
        story.append(key)
        stop.set()
        await asyncio.sleep(0.01)
        story.append("done")

    async def tick() -> None:
        story.append("tick")
        if story.count("tick") == 1:
            raise RuntimeError("The clock is broken.")
        controller.enqueue("key")
        await asyncio.Event().wait()

    controller: Controller[str] = Controller("test", reconcile)
    parts = Parts(informers=[], controllers=[controller], tasks={"tick": tick}, resources=[resource()])
    config = ControllerConfig(drain_timeout=5)
    async with answering_api() as endpoint, Client(endpoint) as client, asyncio.timeout(30):
        await serve("test", parts, client, config, stop)
    assert story == ["open", "tick", "tick", "key", "done", "close"]
