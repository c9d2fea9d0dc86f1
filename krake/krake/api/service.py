"""The routes that belong to no kind: what this server is, who is asking, and how it is."""

import json

from aiohttp import web

from krake import __version__
from krake.api.authorization import roles_of
from krake.api.cache import Cache
from krake.api.figures import Figures
from krake.api.handlers import answer
from krake.api.problem import unavailable
from krake.api.reader import Reader
from krake.api.requests import USER
from krake.ports.store import Store, StoreError


class ServiceHandlers:
    """Handles the requests about the server itself."""

    def __init__(self, store: Store, cache: Cache, reader: Reader, figures: Figures) -> None:
        self._store = store
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
        """``GET /readyz``: the cache is loaded, and the store answers now."""
        if self._cache.revision == 0:
            raise unavailable("The cache has not been loaded from the store yet.")
        try:
            await self._store.ping()
        except StoreError:
            raise unavailable("The store does not answer.") from None
        return web.json_response({"status": "ready", "revision": str(self._cache.revision)})

    async def metrics(self, request: web.Request) -> web.Response:
        """``GET /metrics``."""
        return web.Response(body=self._figures.expose(), content_type="text/plain", charset="utf-8")
