"""Serves the description of the API, and the page to browse it."""

import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Self

from aiohttp import hdrs, web

from krake.api.openapi.document import make_document
from krake.api.routes import Route
from krake.data.kinds import Resource

Serve = Callable[[web.Request], Awaitable[web.Response]]

_PAGE = {
    "/docs": ("index.html", "text/html"),
    "/docs/page.js": ("page.js", "text/javascript"),
    "/docs/page.css": ("page.css", "text/css"),
}
PATHS = frozenset({"/openapi.json", *_PAGE})
"""What is served here: for everybody, as it tells nothing of what is stored."""
_SAFE = {
    # Nothing of another origin is loaded, asked or shown, and nothing that a description says can become a script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is the same for all requests."""

    content: bytes
    compressed: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, content_type: str) -> Self:
        """Return the text, with all that is served of it."""
        tag = hashlib.sha256(content).hexdigest()[:32]
        return cls(content, gzip.compress(content, mtime=0), content_type, tag)

    def answer(self, request: web.Request) -> web.Response:
        """Return the answer to a request: the text, unless the client has it already."""
        response = web.Response(headers=_SAFE)
        response.etag = self.etag
        response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        if any(each.value in (self.etag, "*") for each in request.if_none_match or ()):
            response.set_status(304)
            return response
        response.content_type = self.content_type
        response.charset = "utf-8"
        response.body = self.content
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            response.body = self.compressed
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        return response


def add_description(router: web.UrlDispatcher, routes: Iterable[tuple[type[Resource], Route]]) -> None:
    """Add the routes of the description of an API with *routes*."""
    # Whoever serves a route is not described, and is to be kept by none but the API itself.
    texts = {"/openapi.json": _describe(tuple((kind, replace(route, serve=_serve_nothing)) for kind, route in routes))}
    page = resources.files(__package__) / "page"
    texts |= {path: Text.of((page / name).read_bytes(), content_type) for path, (name, content_type) in _PAGE.items()}
    for path, text in texts.items():
        router.add_get(path, _serving(text))


@lru_cache(maxsize=1)
def _describe(routes: tuple[tuple[type[Resource], Route], ...]) -> Text:
    """Return the description. It takes a tenth of a second: it is made once for all APIs of a process with the same routes."""
    return Text.of(json.dumps(make_document(routes), separators=(",", ":")).encode(), "application/json")


async def _serve_nothing(request: web.Request, _: object) -> web.StreamResponse:
    raise web.HTTPNotFound


def _serving(text: Text) -> Serve:
    async def serve(request: web.Request) -> web.Response:
        return text.answer(request)

    return serve
