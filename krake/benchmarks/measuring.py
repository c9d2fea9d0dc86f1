"""What the measurements share: the row of the table, percentiles, and a client that costs less than the servers it measures."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True)
class Row:
    """One line of the table.

    :param expected: what we want, as text; empty if nothing is expected.
    :param met: whether *figure* is as expected.
    """

    what: str
    figure: str
    expected: str = ""
    met: bool = True


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that is not exceeded by *share* (0..1) of all (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * int(share * 1000) // 1000) - 1)]


def median(samples: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(samples)


class HttpConnection(asyncio.Protocol):
    """Sends prepared requests over one connection and reads the answers just far enough to find their ends.

    A full HTTP client in Python is slower than the servers measured here, and would measure itself.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._end: int | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> "HttpConnection":
        """Connect to a port of the loopback interface."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("The server closed the connection."))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._end is None:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lower = bytes(self._buffer[:head]).lower()
            start = lower.index(b"content-length:") + len(b"content-length:")
            line_end = lower.find(b"\r\n", start)
            self._end = head + 4 + int(lower[start : line_end if line_end >= 0 else len(lower)])
        if len(self._buffer) >= self._end and self._answer is not None:
            answer, self._buffer, self._end = bytes(self._buffer), bytearray(), None
            if not self._answer.done():
                self._answer.set_result(answer)

    async def send(self, request: bytes) -> bytes:
        """Send a request; return the whole answer.

        :raises RuntimeError: the answer is not a success.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if answer[9:10] != b"2":
            raise RuntimeError(answer.decode(errors="replace")[:2000])
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def http_request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Work = Callable[[int, int], Awaitable[object]]


async def run_tasks(tasks: int, operations: int, work: Work) -> float:
    """Run ``work(task, number)`` *operations* times, spread over *tasks* that each do one after the other.

    Returns operations per second.
    """

    async def one(task: int) -> None:
        for number in range(task, operations, tasks):
            await work(task, number)

    started = time.perf_counter()
    await asyncio.gather(*(one(task) for task in range(tasks)))
    return operations / (time.perf_counter() - started)
