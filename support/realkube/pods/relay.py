"""Connections between the loopback of the machine and the sandbox: a socket keeps the network it was made in."""

import asyncio
import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .mounts import MACHINE

Address = tuple[str, int]

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_CHUNK = 1 << 16
_PATIENCE = 10.0


class Relay:
    """Relays TCP connections, in both directions; *machine* is an open file of the machine's network namespace."""

    def __init__(self, machine: int) -> None:
        self._machine = machine
        self._sandbox = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._running: set[asyncio.Task[None]] = set()

    async def publish(self, address: Address, target: Address, link: asyncio.Event) -> asyncio.Server:
        """Lead connections to *address* of the machine to *target* in the sandbox. While *link* is not set, nothing moves.

        Raises:
            OSError: The address is in use.
        """
        return await self._serve(self._machine, address, self._sandbox, target, link)

    async def admit(self, port: int) -> asyncio.Server:
        """Let Pods reach *port* of the machine's loopback.

        Raises:
            OSError: It is let in already.
        """
        link = asyncio.Event()
        link.set()
        return await self._serve(self._sandbox, (MACHINE, port), self._machine, ("127.0.0.1", port), link)

    async def _serve(self, at: int, address: Address, to: int, target: Address, link: asyncio.Event) -> asyncio.Server:
        listener = self._socket(at)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(64)
        except OSError:
            listener.close()
            raise

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await link.wait()
            far = self._socket(to)
            try:
                async with asyncio.timeout(_PATIENCE):
                    await asyncio.get_running_loop().sock_connect(far, target)
            except OSError:  # a time limit is one, too
                far.close()
                writer.transport.abort()
                return
            far_reader, far_writer = await asyncio.open_connection(sock=far)
            try:
                await asyncio.gather(_pump(reader, far_writer, link), _pump(far_reader, writer, link))
            finally:
                writer.close()
                far_writer.close()

        return await asyncio.start_server(accept, sock=listener)

    def _socket(self, namespace: int) -> socket.socket:
        with self._inside(namespace):
            made = socket.socket()
        made.setblocking(False)
        return made

    @contextmanager
    def _inside(self, namespace: int) -> Iterator[None]:
        _enter(namespace)
        try:
            yield
        finally:
            _enter(self._sandbox)


def _enter(namespace: int) -> None:
    """Move this thread, and nothing else, to another network."""
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: asyncio.Event) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            await link.wait()
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.transport.abort()
