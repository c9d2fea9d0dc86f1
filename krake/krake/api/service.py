"""The routes that belong to no kind: what this server is, who is asking, and how it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from aiohttp import web

from krake import __version__, exposition
from krake.api.authorization import roles_of
from krake.api.cache import Cache
from krake.api.handlers import answer
from krake.api.operations.figures import Figures
from krake.api.operations.health import Health
from krake.api.problem import CONTENT_TYPE, RETRY_AFTER, Problem, Title
from krake.api.query import is_set
from krake.api.reader import Reader
from krake.api.requests import USER
from krake.lib.finding import Finding, render


class ServiceHandlers:
    """Handles the requests about the server itself."""

    def __init__(self, cache: Cache, reader: Reader, figures: Figures, health: Health) -> None:
        self._health = health
        self._cache = cache
        self._reader = reader
        self._figures = figures

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/", self.version)
        router.add_get("/me", self.me)
        router.add_get("/release", self.release)
        router.add_get("/livez", self.live)
        router.add_get("/readyz", self.ready)
        router.add_get("/metrics", self.metrics)

    async def version(self, request: web.Request) -> web.Response:
        """``GET /``."""
        return web.json_response({"version": __version__})

    async def me(self, request: web.Request) -> web.Response:
        """``GET /me``: the user and the roles bound to it."""
        self._reader.check()
        user = request[USER]
        return answer(json.dumps({"user": user, "roles": roles_of(user, self._cache)}).encode())

    async def release(self, request: web.Request) -> web.Response:
        """``GET /release``: what one shouts before it rises."""
        return web.json_response("You released the Krake.", status=202)

    async def live(self, request: web.Request) -> web.Response:
        """``GET /livez``: the process serves requests."""
        return web.json_response({"status": "live"})

    async def ready(self, request: web.Request) -> web.Response:
        """``GET /readyz``: the cache is loaded, and the store answers now; with ``?verbose``, what was found in detail."""
        verbose = is_set(request.query, "verbose")
        findings = await self._health.examine(informing=verbose)
        failing = [each for each in findings if each.fatal]
        if verbose:
            return _verbose(request, findings, ready=not failing)
        if failing:
            raise _unready(failing)
        return web.json_response({"status": "ready", "revision": str(self._cache.revision)})

    async def metrics(self, request: web.Request) -> web.Response:
        """``GET /metrics``."""
        return web.Response(body=await self._figures.expose(), headers={"Content-Type": exposition.CONTENT_TYPE})


def _unready(failing: Sequence[Finding]) -> Problem:
    detail = " ".join(f"{each.name}: {each.message}" for each in failing)
    return Problem(503, detail, title=Title.STORE_UNAVAILABLE, headers=RETRY_AFTER)


def _verbose(request: web.Request, findings: Sequence[Finding], *, ready: bool) -> web.Response:
    status = 200 if ready else 503
    if "json" not in request.headers.get("Accept", ""):
        return web.Response(text=render(findings), status=status)
    checks = [asdict(each) for each in findings]
    if ready:
        return web.json_response({"status": "ready", "checks": checks})
    document = _unready([each for each in findings if each.fatal]).document("")
    return web.json_response(document | {"checks": checks}, status=status, headers=RETRY_AFTER, content_type=CONTENT_TYPE)
