"""Serves what is in volumes, read only, to those who know the token."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from .tree import END, FRAME, PIECE, pieces, read_text, walk

SILENCE = 120.0
SIGN_OF_LIFE = 64 * PIECE


class Server(http.server.ThreadingHTTPServer):
    """Answers to those who know the token.

    :param volumes: the folder of the volumes.
    :param access: the folder of the certificate and the token.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, volumes: str, access: str, port: int) -> None:
        self.volumes, self.access = os.path.realpath(volumes), access
        self.address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        super().__init__(("", port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.access, "tls.crt"), os.path.join(self.access, "tls.key"))
        plain.settimeout(SILENCE)
        # The handshake is left to the thread of the connection, so nobody holds up the others by being slow.
        return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # whoever is on the other side comes again


class Handler(http.server.BaseHTTPRequestHandler):
    """`GET /list/VOLUME`, and `GET /file/VOLUME/OFFSET/PATH`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        token = read_text(self.server.access, "token")
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            return self.refuse(401)
        parts = os.fsdecode(unquote_to_bytes(self.path)).split("/")
        if len(parts) < 3 or {"", ".", ".."} & set(parts[1:]) or parts[2] not in os.listdir(self.server.volumes):
            return self.refuse(404)
        root = os.path.join(self.server.volumes, parts[2])
        if parts[1] == "list" and len(parts) == 3:
            return self.answer(self.listing(root))
        if parts[1] == "file" and len(parts) > 4 and parts[3].isdecimal():
            path = os.path.join(root, *parts[4:])
            if os.path.dirname(path) == os.path.realpath(os.path.dirname(path)):  # no link leads out of the volume
                return self.send_file(path, int(parts[3]))
        return self.refuse(404)

    def refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in parts:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                if len(part) == FRAME.size:
                    self.wfile.flush()  # it is there to be seen
            self.wfile.write(b"0\r\n\r\n")
        except BaseException:
            self.close_connection = True  # what was sent is not all, and must not look so
            raise

    def listing(self, root: str) -> Iterator[bytes]:
        digest, size, lines = hashlib.sha256(), 0, []
        for entry in walk(root):
            line = json.dumps(entry).encode() + b"\n"
            digest.update(line)
            size += entry.get("size", 0)
            lines.append(line)
            if len(lines) == 1000:
                yield b"".join(lines)
                lines.clear()
        yield b"".join(lines)
        yield json.dumps({"type": "all", "size": size, "digest": digest.hexdigest()}).encode() + b"\n"

    def send_file(self, path: str, offset: int) -> None:
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return self.refuse(404)
        try:
            self.answer(self.frames(file, offset, os.fstat(file).st_size))
        finally:
            os.close(file)

    def frames(self, file: int, offset: int, size: int) -> Iterator[bytes]:
        """Yield a file from an offset on, and the digest of all of it."""
        digest, reached, silent = hashlib.sha256(), 0, 0
        for position, data in pieces(file, 0, size):
            skip_hole(digest, position - reached)
            digest.update(data)
            reached = position + len(data)
            if reached > offset:
                start = max(position, offset)
                yield FRAME.pack(start, reached - start) + data[start - position :]
                continue
            silent += len(data)
            if silent >= SIGN_OF_LIFE:
                silent = 0
                yield FRAME.pack(reached, 0)
        skip_hole(digest, size - reached)
        yield FRAME.pack(size, END) + digest.digest()


def skip_hole(digest: Any, length: int) -> None:
    zeros = bytes(min(length, PIECE)) if length > 0 else b""
    while length > 0:
        digest.update(zeros[:length])
        length -= PIECE
