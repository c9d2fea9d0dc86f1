"""The servers that are measured, as processes of their own."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from krake.api.secrets.keyfile import create_key_file
from krake.api.secrets.keys import KEY_SIZE, Key
from krake.up.etcd import EtcdProcess
from krake.up.parts import CommandPart, answers
from krake.up.process import free_port


@dataclass(frozen=True)
class Api:
    """A running API, with the etcd below it."""

    port: int
    etcd: EtcdProcess
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def running_api(directory: Path) -> AsyncIterator[Api]:
    """Run an etcd, with fsync, and an API on it, with one user who may do everything."""
    async with EtcdProcess(directory / "etcd") as etcd, api_on(etcd) as api:
        yield api


@contextlib.asynccontextmanager
async def api_on(etcd: EtcdProcess, user: str = "system:admin", authorization: str = "always-allow") -> AsyncIterator[Api]:
    """Run an API on an etcd; everybody is *user*."""
    port, key_file = free_port(), etcd.data_dir / "secrets.keys"
    if not key_file.exists():
        create_key_file(key_file, Key("bench", bytes(KEY_SIZE)))
    command = [sys.executable, "-m", "krake.api", "--config", os.devnull, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--etcd-port", str(etcd.client_port), "--authorization", authorization]
    command += ["--authentication-strategy-static-enabled", "--authentication-strategy-static-name", user]
    command += ["--secrets-key-file", str(key_file), "--rate-per-second", "0"]
    part = CommandPart(command, ready=answers(f"http://127.0.0.1:{port}/readyz"), print_line=_ignore)
    await part.start()
    try:
        yield Api(port, etcd, part.pid)
    finally:
        await part.stop()


_BARE = """
import sys, uvloop
from aiohttp import web
body = open(sys.argv[2], "rb").read()
async def answer(request):
    return web.Response(body=body, content_type="application/json", charset="utf-8")
app = web.Application()
app.router.add_get("/{tail:.*}", answer)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


@contextlib.asynccontextmanager
async def bare_server(body: bytes, directory: Path) -> AsyncIterator[int]:
    """Run an aiohttp server whose only handler returns *body*, on uvloop as the API; gives its port."""
    content = directory / "body"
    await asyncio.to_thread(content.write_bytes, body)
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-c", _BARE, str(port), str(content)]
    part = CommandPart(command, ready=answers(f"http://127.0.0.1:{port}/"), print_line=_ignore)
    await part.start()
    try:
        yield port
    finally:
        await part.stop()


def _ignore(line: str) -> None:
    """What the servers log is not looked at."""
