"""What every request passes: an id, authentication, problem documents for all that goes wrong, figures and the access log."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from marshmallow import ValidationError

from krake.api.authentication import Authenticator, identify
from krake.api.cross_origin import CrossOrigin
from krake.api.figures import Figures
from krake.api.problem import Problem, of_store, of_validation
from krake.api.requests import IDENTITY, REQUEST_ID, REQUEST_ID_HEADER, USER, request_id_of, route_of
from krake.api.routes import check_hook_route
from krake.ports.store import StoreError, Unavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger("krake.api")
access = logging.getLogger("krake.api.access")

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths for probes, which have no users."""


class Gate:
    """The one middleware.

    :param problem_base_url: where problems are explained.
    """

    def __init__(
        self, chain: Sequence[Authenticator], figures: Figures, cross_origin: CrossOrigin, problem_base_url: str
    ) -> None:
        self._chain = chain
        self._figures = figures
        self._cross_origin = cross_origin
        self._problem_base_url = problem_base_url

    def install(self, app: web.Application) -> None:
        """Let all requests to *app* pass."""
        app.middlewares.append(self._pass)
        app.on_response_prepare.append(self._mark)

    @web.middleware
    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request[REQUEST_ID] = request_id_of(request)
        request[USER] = ""
        status = 499  # The client has gone before there was an answer.
        try:
            response = await self._serve(request, handler)
            status = response.status
            return response
        finally:
            duration = time.perf_counter() - started
            self._figures.count(request.method, route_of(request), status, duration)
            # Reads outnumber everything else by far, and would bury it.
            level = logging.DEBUG if request.method in _READS and status < 400 else logging.INFO
            if access.isEnabledFor(level):
                milliseconds, user = duration * 1000, request[USER] or "-"
                line = f"{request.method} {request.raw_path} {status} {milliseconds:.1f} ms {user} {request[REQUEST_ID]}"
                access.log(level, "%s", line)

    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in PUBLIC:
                if request.method == "OPTIONS":
                    return self._cross_origin.answer_options(request)
                request[IDENTITY] = await identify(self._chain, request)
                request[USER] = request[IDENTITY].name
                if request[IDENTITY].hooks_only:
                    check_hook_route(request)
            return await handler(request)
        except Exception as error:
            problem = self._diagnose(request, error)
        return problem.response(self._problem_base_url)

    def _diagnose(self, request: web.Request, error: Exception) -> Problem:
        match error:
            case Problem():
                return error
            case ValidationError():
                return of_validation(error)
            case web.HTTPException():
                return _of_http(error)
            case StoreError():
                if not isinstance(error, Unavailable):
                    logger.error("Request %s failed in the store: %s", request[REQUEST_ID], error)
                return of_store(error)
        logger.error("Request %s (%s %s) failed.", request[REQUEST_ID], request.method, request.raw_path, exc_info=error)
        return Problem(
            500, f"Krake has failed to serve this request; its log says why, under request id {request[REQUEST_ID]}."
        )

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
        self._cross_origin.mark(request, response)


def _of_http(error: web.HTTPException) -> Problem:
    """Return the problem of what the HTTP server refuses by itself: unknown paths, methods and bodies that are too large."""
    headers = {name: value for name, value in error.headers.items() if name.lower() not in ("content-type", "content-length")}
    detail = f"{error.status}: {error.reason}"
    if error.status == 413 and error.text:
        detail = error.text
    return Problem(error.status, detail, headers=headers)
