"""What a process tells about itself by HTTP, on the loopback interface."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web

from krake import exposition
from krake.controller.runtime.settings import SettingsError
from krake.lib.finding import Finding, render

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


@asynccontextmanager
async def serve_health(
    port: int, waiting_for: Callable[[], list[str]], examine: Callable[[], list[Finding]]
) -> AsyncIterator[int]:
    """Serve ``/livez``, ``/readyz`` and ``/metrics``; yields the port.

    :param waiting_for: names what must happen before the process is ready.
    :param examine: tells everything in detail, for ``/readyz?verbose``.
    :raises SettingsError: the port is taken.
    """

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        missing = waiting_for()
        if "verbose" in request.query and "json" not in request.headers.get("Accept", ""):
            return web.Response(text=render(examine()), status=503 if missing else 200)
        document: dict[str, Any] = {"status": "waiting" if missing else "ok", "waiting_for": missing}
        if "verbose" in request.query:
            document["checks"] = [asdict(finding) for finding in examine()]
        return web.json_response(document, status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition.expose(), headers={"Content-Type": exposition.CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise SettingsError(
                f"health_port: cannot listen on {HOST}:{port} ({error.strerror}); choose another port."
            ) from None
        bound: int = runner.addresses[0][1]
        log.info("Health and metrics are at http://%s:%d/readyz.", HOST, bound)
        yield bound
    finally:
        await runner.cleanup()
