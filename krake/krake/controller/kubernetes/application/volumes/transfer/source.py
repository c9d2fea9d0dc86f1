"""The other side, as the one that fetches sees it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from urllib.parse import quote

from .tree import END, FRAME, read_text

SERVER_NAME = "krake-volumes"
CONNECT = 10.0
SILENCE = 60.0


class Final(Exception):
    """The copy can not succeed, however often it is tried."""


class Lost(Exception):
    """The other side does not answer, or not as it should; it may do so later."""


class Changed(Exception):
    """A file is not any more what it was when it was listed."""


class Source:
    """The other side, one connection for each thread. All its methods raise `Lost`, `Changed`, and `Final` if it refuses."""

    def __init__(self, access: str, volume: str) -> None:
        self.access, self.volume = access, volume
        self.local = threading.local()
        self.connections: list[Connection] = []

    def entries(self) -> Iterator[bytes]:
        """Yield the lines of what is in the volume."""
        answer = self._get(f"/list/{quote(self.volume)}")
        with self._listening():
            yield from iter(answer.readline, b"")

    def read(self, path: str, offset: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield position, length and content of what is in a file; the last one has the length `END`."""
        answer = self._get(f"/file/{quote(self.volume)}/{offset}/{quote(os.fsencode(path))}")
        while True:
            with self._listening():
                position, length = FRAME.unpack(self._exactly(answer, FRAME.size))
                data = self._exactly(answer, 32 if length == END else length)
                if length == END:
                    answer.read()  # the connection is used again
            yield position, length, data
            if length == END:
                return

    def close(self) -> None:
        """Close the connections of all threads, which must have ended."""
        for connection in self.connections:
            connection.close()

    def forget(self) -> None:
        """Connect anew next time."""
        connection = self.local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()
            self.connections.remove(connection)

    def _get(self, path: str) -> http.client.HTTPResponse:
        with self._listening():
            connection = self.local.__dict__.get("connection") or self._connect()
            token = read_text(self.access, "token")
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer: http.client.HTTPResponse = connection.getresponse()
            if answer.status == 401:
                raise Final("The source refuses the token of the copy.")
            if answer.status == 404:
                answer.read()
                raise Changed("It is not there any more.")
            if answer.status != 200:
                raise Lost(f"The source answered with status {answer.status}.")
            return answer

    def _connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=os.path.join(self.access, "tls.crt"))
        problems = []
        for host, port in json.loads(read_text(self.access, "addresses")):
            connection = Connection(host, port, timeout=CONNECT, context=context)
            try:
                connection.connect()
                connection.sock.settimeout(SILENCE)
            except OSError as error:
                problems.append(f"{host}:{port}: {error}")
                connection.close()
                continue
            self.local.connection = connection
            self.connections.append(connection)
            return connection
        raise Lost(f"The source can not be reached: {'; '.join(problems)}.")

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, struct.error) as error:
            self.forget()
            raise Lost(f"The connection to the source broke: {str(error) or type(error).__name__}.") from error
        except GeneratorExit:
            self.forget()  # there is more to come that nobody waits for
            raise

    @staticmethod
    def _exactly(answer: http.client.HTTPResponse, length: int) -> bytes:
        data = answer.read(length) if length else b""
        if len(data) < length:
            raise ConnectionResetError("the answer ended too early")
        return data


class Connection(http.client.HTTPSConnection):
    """Trusts the one certificate, wherever it is shown."""

    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self.pinned = context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.pinned.wrap_socket(plain, server_hostname=SERVER_NAME)
