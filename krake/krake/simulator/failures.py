"""Ways in which what is simulated can fail on demand."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from aiohttp import web

Mode = Literal["none", "unreachable", "hanging", "garbage", "slow", "errors"]

MODES: tuple[str, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a server answers at present.

    `unreachable` cuts every connection, `hanging` accepts and never answers, `garbage` answers with bytes that are no
    JSON, `slow` waits `delay` seconds before each answer, `errors` answers this share (`rate`, 0 to 1) of requests with 500.
    """

    mode: Mode = "none"
    delay: float = 5.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"{self.mode!r} is no failure mode; choose one of {', '.join(MODES)}")
        if self.delay < 0 or not 0 <= self.rate <= 1:
            raise ValueError("a delay must not be negative and a rate must be between 0 and 1")


SIMULATED = {"X-Simulated": "krake"}
_GARBAGE = b"<html><body>Everything is fine, but this is \x00\xff not JSON {[</body></html>\n"


class Trouble:
    """What is wrong with a server, and what that does to those who ask it.

    :param connections: gives those that are open.
    :param error: makes the answer to a request that fails.
    """

    def __init__(
        self, connections: Callable[[], Iterable[web.RequestHandler]], error: Callable[[], web.StreamResponse]
    ) -> None:
        self.failure = Failure()
        self._connections = connections
        self._error = error
        self._recovered = asyncio.Event()

    def begin(self, failure: Failure, *, spare: asyncio.BaseTransport | None = None) -> None:
        """Let the server answer like this from now on.

        One that is unreachable or hangs has its open connections cut, except one to `spare`.
        """
        self.release()
        self._recovered = asyncio.Event()
        self.failure = failure
        if failure.mode in ("unreachable", "hanging"):
            self.cut_connections(spare)

    def release(self) -> None:
        """Let those go on who hang."""
        self._recovered.set()

    def cut_connections(self, spare: asyncio.BaseTransport | None = None) -> None:
        """Drop every open connection, except one to `spare`."""
        for connection in list(self._connections()):
            if connection.transport is not None and connection.transport is not spare:
                connection.transport.abort()

    async def befall(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Return how a request fails; ``None`` if it is to be answered, perhaps late."""
        match self.failure.mode:
            case "unreachable":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=503)
            case "hanging":
                await self._recovered.wait()
            case "garbage":
                return web.Response(body=_GARBAGE, content_type="text/html", headers=SIMULATED)
            case "slow":
                await asyncio.sleep(self.failure.delay)
            case "errors" if random.random() < self.failure.rate:
                return self._error()
        return None
