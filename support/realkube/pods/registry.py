"""A registry of the stand-in images: every pull in the sandbox comes here, whichever registry it names."""

import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from .images import Images

PORT = 5000
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/?]+)")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, images: Images, request: socket, address: Any, server: Any) -> None:
        self._images = images
        super().__init__(request, address, server)

    def do_GET(self) -> None:
        digest, kind = self._find()
        blob = self._images.blobs.get(digest or "")
        self.send_response(404 if blob is None else 200)
        if blob is None:
            kind, blob = "application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such stand-in"}]}'
        else:
            self.send_header("Docker-Content-Digest", digest or "")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(blob)

    do_HEAD = do_GET

    def _find(self) -> tuple[str | None, str]:
        """Return the digest of what is asked for, and its content type."""
        match = _PATH.match(self.path)
        if match is None:
            return None, ""
        if match["kind"] == "blobs":
            return match["reference"], "application/octet-stream"
        current = self._images.manifests.get(match["repository"])
        named_otherwise = ":" in match["reference"] and match["reference"] != current
        return (None if named_otherwise else current), _MANIFEST

    def log_message(self, *_: object) -> None:
        pass


def serve(images: Images, address: str) -> None:
    """Serve *images* at *address* in a thread, until the process ends."""
    server = ThreadingHTTPServer((address, PORT), partial(_Handler, images))
    threading.Thread(target=server.serve_forever, name="registry", daemon=True).start()
