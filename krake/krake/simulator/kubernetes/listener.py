"""A listening socket that can be closed at any moment.

Not `asyncio.Server`: in Python 3.11 a connection that it accepts while being closed stays open with nobody behind it.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

_BACKLOG = 1024


def bind(port: int) -> socket.socket:
    """Return a socket that is bound to a port of the loopback, 0 for a free one. Raises OSError, with nothing left open."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


class Listener:
    """Accepts connections on a bound socket, from the running event loop, until it is closed.

    Raises OSError, with the socket closed, where another socket listens already.
    """

    def __init__(
        self, bound: socket.socket, factory: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None
    ) -> None:
        self._socket = bound
        self._factory = factory
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        bound.setblocking(False)
        try:
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
        self._loop.add_reader(bound, self._accept)

    def close(self) -> None:
        """Refuse connections from now on; those that are open go on."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return  # nobody is left, or has gone in the meantime
            connection.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(self._attend(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attend(self, connection: socket.socket) -> None:
        # Who does not come through the handshake is told by TLS itself.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(self._factory, connection, ssl=self._tls)
