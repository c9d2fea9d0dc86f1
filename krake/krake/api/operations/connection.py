"""What a client does wrong before there is a request, or when it does not take the answer."""

import asyncio
import resource
from collections import OrderedDict
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import ClientConnectionResetError, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from yarl import URL

from krake.api.operations.figures import Figures
from krake.api.problem import Problem, of_http
from krake.api.requests import REQUEST_ID_HEADER, new_request_id

IDLE_LIMIT = 75.0
"""Seconds that a connection may take to bring its first request, or the next one, with all its headers."""
CLIENT_GONE = 499
"""The status, for the log and the figures, of requests whose clients have not waited for the answer."""
ANSWER_LIMIT = 300.0
"""Seconds that a client may take to read an answer. (A watch has its own way to get rid of who does not read.)"""


MOST_WAITING = 10_000
"""So many connections may wait for a request of their clients, even if the system allows for more files."""


def most_waiting() -> int:
    """Return how many connections may wait for a request: the other half of the files is for those that are served."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_WAITING if soft == resource.RLIM_INFINITY else min(MOST_WAITING, soft // 2)


class Lobby:
    """The connections that wait for their clients to ask for something.

    Whoever just holds connections must not keep others out: if there are too many, who has waited longest must leave.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[Connection, None] = OrderedDict()

    def enter(self, connection: "Connection") -> None:
        """Begin to wait."""
        self._waiting[connection] = None
        if len(self._waiting) > self._most:
            oldest, _ = self._waiting.popitem(last=False)
            oldest.hang_up()

    def leave(self, connection: "Connection") -> None:
        """End to wait."""
        self._waiting.pop(connection, None)


def make_request(server: web.Server, message: RawRequestMessage, *parts: Any) -> web.BaseRequest:
    """Make a request of what was read.

    The parser of aiohttp gives a CONNECT that names no target no path at all, and the URL of the request before it.
    """
    if message.path is None:
        message = message._replace(path="", url=URL())
    return server.request_factory(message, *parts)


class Connection(web.RequestHandler):
    """A client's connection; answers what is no proper HTTP by a problem document as well.

    :param problem_base_url: where problems are explained.
    """

    __slots__ = ("_figures", "_lobby", "_problem_base_url")

    def __init__(self, server: web.Server, figures: Figures, lobby: Lobby, problem_base_url: str) -> None:
        # No access log of aiohttp: the gate writes one.
        options: dict[str, Any] = {"keepalive_timeout": IDLE_LIMIT, "access_log": None}
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._request_factory = partial(make_request, server)
        self._figures = figures
        self._lobby = lobby
        self._problem_base_url = problem_base_url

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._lobby.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lobby.leave(self)
        super().connection_lost(exc)

    def begin(self) -> None:
        """A request has come, and will be served."""
        self._lobby.leave(self)

    def hang_up(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is malformed; only its sender needs to hear of it."""
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # aiohttp stumbles when it repeats an unknown `Expect` that is no text.
            problem = Problem(417, "The server cannot meet what the header 'Expect' asks for.")
        elif isinstance(exc, ClientConnectionResetError):
            # It left before aiohttp could tell it to continue with the body; nobody reads this.
            problem = Problem(CLIENT_GONE, "The client has gone away.")
        elif status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        elif isinstance(exc, LineTooLong):
            problem = Problem(431, "The first line of the request, or one of its headers, is too long.")
        else:
            said = " ".join((message or "").split("\n", 1)[0].split()).rstrip(":.")
            problem = Problem(400, f"The request is malformed HTTP{f': {said}' if said else ''}.")
        self._figures.count("other", "", problem.status, 0.0)
        response = problem.response(self._problem_base_url)
        response.headers[REQUEST_ID_HEADER] = new_request_id()
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()
        return response

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log what went wrong here; a body that can not be read after the answer to it is its sender's business."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **options)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            # aiohttp refuses an unknown `Expect` before anything of ours is asked.
            resp = of_http(resp).response(self._problem_base_url)
        # Far cheaper than `asyncio.timeout`, and this is done for every request.
        limit = asyncio.get_running_loop().call_later(ANSWER_LIMIT, self.hang_up)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            limit.cancel()
            if self.transport is not None:
                self._lobby.enter(self)
