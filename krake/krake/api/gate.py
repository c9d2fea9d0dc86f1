"""What every request passes: an id, limits, authentication, problem documents for all that goes wrong, and the books."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import hdrs, web
from marshmallow import ValidationError

from krake.api.authentication import Authenticator, identify
from krake.api.cross_origin import CrossOrigin
from krake.api.openapi.handlers import PATHS
from krake.api.operations import Operations
from krake.api.operations.connection import CLIENT_GONE, Connection
from krake.api.operations.redaction import redact
from krake.api.problem import Problem, of_http, of_store, of_validation
from krake.api.requests import IDENTIFY, IDENTITY, REQUEST_ID, REQUEST_ID_HEADER, USER, request_id_of, route_of
from krake.api.routes import check_hook_route
from krake.lib import context
from krake.ports.store import Full, StoreError, Unavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger("krake.api")
access = logging.getLogger("krake.api.access")

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = frozenset({"/livez", "/readyz", "/metrics"}) | PATHS
"""Paths for probes, which have no users, and for those who want to know how to become one."""
_AUTHENTICATION_OUTCOMES = {401: "refused", 503: "unavailable"}


class Gate:
    """The one middleware.

    :param problem_base_url: where problems are explained.
    """

    def __init__(
        self, chain: Sequence[Authenticator], operations: Operations, cross_origin: CrossOrigin, problem_base_url: str
    ) -> None:
        self._chain = chain
        self._operations = operations
        self._figures = operations.figures
        self._cross_origin = cross_origin
        self._problem_base_url = problem_base_url

    def install(self, app: web.Application) -> None:
        """Let all requests to *app* pass."""
        app.middlewares.append(self._pass)
        app.on_response_prepare.append(self._mark)

    @web.middleware
    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        if isinstance(request.protocol, Connection):
            request.protocol.begin()
        request[REQUEST_ID] = request_id_of(request)
        request[USER] = ""
        # Each request is served in a task of its own.
        context.request_id.set(request[REQUEST_ID])
        self._figures.in_flight += 1
        response: web.StreamResponse | None = None
        try:
            response = await self._serve(request, handler)
            return response
        finally:
            self._figures.in_flight -= 1
            self._note(request, response, time.perf_counter() - started)

    def _note(self, request: web.Request, response: web.StreamResponse | None, seconds: float) -> None:
        status = CLIENT_GONE if response is None else response.status
        self._figures.count(request.method, route_of(request), status, seconds)
        self._operations.audit.note(request, status, seconds, response)
        # Reads outnumber everything else by far, and would bury it.
        level = logging.DEBUG if request.method in _READS and status < 400 else logging.INFO
        if access.isEnabledFor(level):
            path, user = redact(request.raw_path), request[USER] or "-"
            line = f"{request.method} {path} {status} {seconds * 1000:.1f} ms {user} {request[REQUEST_ID]}"
            access.log(level, "%s", line)

    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in PUBLIC:
                if request.method == "OPTIONS":
                    return self._cross_origin.answer_options(request)
                await self._identify(request)
            return await handler(request)
        except Exception as error:
            problem = self._diagnose(request, error)
        return problem.response(self._problem_base_url)

    async def _identify(self, request: web.Request) -> None:
        limits = self._operations.limits
        limits.check_address(request)
        try:
            identity = await identify(self._chain, request)
        except Problem as problem:
            self._figures.count_authentication("", _AUTHENTICATION_OUTCOMES.get(problem.status, "failed"))
            if problem.status == 401:
                limits.count_failed_login(request)
            raise
        limits.remember_login(request)
        self._figures.count_authentication(identity.way, "success")
        request[IDENTITY] = identity
        request[IDENTIFY] = lambda: identify(self._chain, request)
        request[USER] = identity.name
        limits.check_user(identity, request)
        if identity.hooks_only:
            check_hook_route(request)
        self._cross_origin.check(request, identity)

    def _diagnose(self, request: web.Request, error: Exception) -> Problem:
        match error:
            case Problem():
                return error
            case ValidationError():
                return of_validation(error)
            case web.HTTPException():
                return of_http(error)
            case StoreError():
                if isinstance(error, Full) or not isinstance(error, Unavailable):
                    logger.error("Request %s failed in the store: %s", request[REQUEST_ID], error)
                return of_store(error)
        path = redact(request.raw_path)
        logger.error("Request %s (%s %s) failed.", request[REQUEST_ID], request.method, path, exc_info=error)
        return Problem(
            500, f"Krake has failed to serve this request; its log says why, under request id {request[REQUEST_ID]}."
        )

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        # aiohttp refuses some requests by itself, before anything of ours sees them.
        response.headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID) or request_id_of(request)
        self._cross_origin.mark(request, response)
        if self._operations.stopping.begun:
            # The next request of this client is for another process.
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"
        if not isinstance(response, web.Response):
            self._operations.audit.note_opened(request, response.status)
