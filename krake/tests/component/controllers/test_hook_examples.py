"""The programs of the examples understand Krake: they run here as they would in their containers."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from fixtures import polling

from krake.adapters.shutdown import CallFailed, put
from krake.controller.kubernetes.application.hooks.calls import DEADLINE, SIGNATURE, TIMESTAMP, sign
from krake.data.manifests import check_manifest
from krake.up.process import free_port

EXAMPLES = Path(__file__).resolve().parents[4] / "examples/templates/applications"
TOKEN = "t0k"


class Api:
    """What the programs call."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Any] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((request.method, request.path, await request.json()))
        return web.json_response({})

    async def called(self) -> bool:
        return bool(self.calls)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    found = Api()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


def program(name: str) -> str:
    manifest = list(yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()))
    check_manifest(manifest)
    text: str = manifest[0]["data"]["main.py"]
    return text


async def start(name: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program(name), env=environment)


async def test_the_job_says_that_it_is_complete(api: Api) -> None:
    process = await start("hook-complete", KRAKE_COMPLETE_TOKEN=TOKEN, KRAKE_COMPLETE_URL=f"{api.url}/complete")
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert api.calls == [("PUT", "/complete", {"token": TOKEN})]


async def test_the_keeper_gets_ready_for_krake_and_nobody_else(api: Api) -> None:
    port = free_port()
    environment = {"KRAKE_SHUTDOWN_TOKEN": TOKEN, "KRAKE_SHUTDOWN_URL": f"{api.url}/shutdown", "PORT": str(port)}
    process = await start("hook-shutdown", **environment)
    now = datetime.now(UTC)

    async def ask(path: str = "/shutdown", token: str = TOKEN, sent: datetime = now) -> str:
        timestamp, deadline = int(sent.timestamp()), int(sent.timestamp()) + 60
        headers = {TIMESTAMP: str(timestamp), DEADLINE: str(deadline), SIGNATURE: sign(token, timestamp, deadline)}
        try:
            await put(f"http://127.0.0.1:{port}{path}", headers, local=True)
        except CallFailed as error:
            return str(error)
        return ""

    async def listens() -> bool:
        return "status 403" in await ask("/elsewhere")

    try:
        await polling.until(listens)
        assert "status 403" in await ask(token="another")
        assert "status 403" in await ask(sent=now - timedelta(hours=1))
        assert api.calls == []
        assert await ask() == ""
        await polling.until(api.called)
        assert api.calls == [("PUT", "/shutdown", {"token": TOKEN})]
    finally:
        process.kill()
        await process.wait()
