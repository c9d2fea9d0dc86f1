"""An HTTP service on loopback that answers by routes, and can be told to fail."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from krake.simulator.failures import SIMULATED, Failure, Trouble
from krake.simulator.kubernetes.listener import Listener, bind

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTROL = "/_simulator"


@dataclass
class Accident:
    """What happens to the next requests that fit.

    :param pattern: is searched in ``METHOD /path``.
    :param times: for how many requests.
    :param status: what is answered instead of doing it; ``None`` does it, but the answer gets lost.
    """

    pattern: str
    times: int = 1
    status: int | None = None


class Service:
    """One such service, on a port of its own.

    `accidents` befall single requests; `requests` counts what was asked, by ``METHOD /path``.
    """

    def __init__(self, routes: Callable[[], Sequence[web.AbstractRouteDef]], *, port: int = 0) -> None:
        self._routes = routes
        self.port = port
        self._trouble = Trouble(self._connections, _fail)
        self.accidents: list[Accident] = []
        self.requests: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None

    @property
    def failure(self) -> Failure:
        """How it answers at present."""
        return self._trouble.failure

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Begin to serve, on the same port as before if it ran already."""
        bound = bind(self.port)
        self.port = bound.getsockname()[1]
        app = web.Application(middlewares=[self._intercept])
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        assert self._runner.server is not None
        self._listener = Listener(bound, self._runner.server)

    async def stop(self) -> None:
        """Stop serving; connections are refused from now on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._trouble.release()
        self.cut_connections()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def fail(self, failure: Failure) -> None:
        """Answer like this from now on; an unreachable or hanging service cuts its open connections."""
        self._trouble.begin(failure)

    def recover(self) -> None:
        self.fail(Failure())
        self.accidents.clear()

    def lose_answers(self, pattern: str, times: int = 1) -> None:
        """Do what the next requests ask for, but cut the connection instead of answering; see `Accident`."""
        self.accidents.append(Accident(pattern, times))

    def answer_with(self, status: int, pattern: str, times: int = 1) -> None:
        """Answer the next requests with this status, without doing anything; see `Accident`."""
        self.accidents.append(Accident(pattern, times, status))

    def count(self, pattern: str) -> int:
        """How many requests were made of which ``METHOD /path`` has the pattern in it."""
        return sum(number for asked, number in self.requests.items() if re.search(pattern, asked))

    def cut_connections(self) -> None:
        """Drop every open connection."""
        self._trouble.cut_connections()

    def _connections(self) -> Iterable[web.RequestHandler]:
        server = self._runner.server if self._runner is not None else None
        return server.connections if server is not None else ()

    @web.middleware
    async def _intercept(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            return await handler(request)
        asked = f"{request.method} {request.path}"
        self.requests[asked] += 1
        if (broken := await self._trouble.befall(request)) is not None:
            return broken
        accident = self._accident(asked)
        if accident is not None and accident.status is not None:
            return web.Response(status=accident.status, text="simulated failure", headers=SIMULATED)
        answer = await handler(request)
        answer.headers.update(SIMULATED)
        if accident is not None and request.transport is not None:
            request.transport.abort()
        return answer

    def _accident(self, asked: str) -> Accident | None:
        for accident in self.accidents:
            if accident.times > 0 and re.search(accident.pattern, asked):
                accident.times -= 1
                return accident
        return None


def _fail() -> web.Response:
    return web.Response(status=500, text="simulated failure", headers=SIMULATED)


def switch(answer: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Let a function answer requests below `CONTROL`: by what it returns, as JSON, or with 400 if it can not do it."""

    async def respond(request: web.Request) -> web.Response:
        try:
            shown = await answer(request)
        except (LookupError, TypeError, ValueError) as error:
            return web.json_response({"detail": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(shown or {})

    return respond
