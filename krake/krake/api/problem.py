"""What is answered instead of a result: problem documents (RFC 9457)."""

import json
import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from aiohttp import web
from marshmallow import ValidationError

from krake.data.kinds import Kind
from krake.data.metadata import Key
from krake.data.schema import flatten_errors
from krake.ports.store import Compacted, Full, StoreError, TooLarge, Unavailable

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}

_SHOWN_ERRORS = 20
_LISTED_ERRORS = 200
"""More help nobody, and an answer should not be many times as large as the request."""
_SHOWN_CHARACTERS = 500


class Title(Enum):
    """The named problems; the value is the anchor in the documentation."""

    NOT_FOUND_ERROR = "not-found-error"
    RESOURCE_ALREADY_EXISTS = "resource-already-exists"
    UPDATE_ERROR = "update-error"
    TRANSACTION_ERROR = "transaction-error"
    RESOURCE_VERSION_GONE = "resource-version-gone"
    STORE_UNAVAILABLE = "store-unavailable"
    TOO_MANY_REQUESTS = "too-many-requests"
    INVALID_KEYSTONE_TOKEN = "invalid-keystone-token"
    INVALID_KEYCLOAK_TOKEN = "invalid-keycloak-token"
    INVALID_TOKEN = "invalid-token"
    IDENTITY_SERVICE_UNAVAILABLE = "identity-service-unavailable"


FieldError = tuple[str, str]
"""The dotted path of a field and what is wrong with it."""


class Problem(Exception):
    """The request cannot be served; raised anywhere below a handler."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: Title | None = None,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def document(self, base_url: str) -> dict[str, Any]:
        """Return the problem document; *base_url* is where problems are explained."""
        document: dict[str, Any] = {"type": "about:blank", "status": self.status, "detail": self.detail}
        if self.title is not None:
            kind = f"{base_url}#{self.title.value}" if base_url else "about:blank"
            document = {"type": kind, "title": self.title.name, "status": self.status, "detail": self.detail}
        if self.errors:
            document["errors"] = [{"field": field, "message": message} for field, message in self.errors]
        return document

    def response(self, base_url: str) -> web.Response:
        """Return the answer to the request."""
        text = json.dumps(self.document(base_url))
        return web.Response(text=text, status=self.status, headers=self.headers, content_type=CONTENT_TYPE)


def of_fields(errors: Iterable[FieldError], status: int = 422) -> Problem:
    """Return the problem of a request in which fields, parameters or parts of the path are wrong."""
    cut = [(field, _shorten(message)) for field, message in errors]
    shown = [f"{field}: {message}" if field else message for field, message in cut[:_SHOWN_ERRORS]]
    if len(cut) > len(shown):
        shown.append(f"and {len(cut) - len(shown)} more")
    return Problem(status, "; ".join(shown), errors=cut[:_LISTED_ERRORS])


def of_validation(error: ValidationError) -> Problem:
    """Return the problem of a body that breaks its declaration."""
    return of_fields(flatten_errors(error.messages))


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def not_found(kind: Kind, key: Key) -> Problem:
    """Return the problem of an object that does not exist."""
    place = "" if key.namespace is None else f" in namespace '{key.namespace}'"
    return Problem(404, f"'{kind}' '{key.name}' does not exist{place}", title=Title.NOT_FOUND_ERROR)


def already_exists(kind: Kind, key: Key) -> Problem:
    """Return the problem of an object that is to be created but is there."""
    place = "" if key.namespace is None else f" in namespace '{key.namespace}'"
    return Problem(409, f"{kind} '{key.name}' already exists{place}", title=Title.RESOURCE_ALREADY_EXISTS)


def refused(status: int, detail: str) -> Problem:
    """Return the problem of a change that the object does not allow now."""
    return Problem(status, detail, title=Title.UPDATE_ERROR)


def outdated(detail: str) -> Problem:
    """Return the problem of a change that was overtaken by another one."""
    return Problem(409, detail, title=Title.TRANSACTION_ERROR)


def gone(revision: int) -> Problem:
    """Return the problem of a version that is too old, or that this store has never had."""
    detail = f"The history since resource version {revision} is not known (any more); list anew and watch from there."
    return Problem(410, detail, title=Title.RESOURCE_VERSION_GONE)


def gone_from_sight() -> Problem:
    """Return the problem of a watcher who may see the secrets of what it watches from now on, or may not any more."""
    detail = "You may see other parts of the objects now than when the watch began; list anew and watch from there."
    return Problem(410, detail, title=Title.RESOURCE_VERSION_GONE)


def last_line(problem: Problem) -> bytes:
    """Return the line that ends a watch with a problem."""
    return json.dumps({"type": "ERROR", "object": problem.document("")}).encode() + b"\n"


def unavailable(detail: str) -> Problem:
    """Return the problem of a store that cannot be used now."""
    return Problem(503, detail, title=Title.STORE_UNAVAILABLE, headers=RETRY_AFTER)


def of_http(error: web.HTTPException) -> Problem:
    """Return the problem of what the HTTP server refuses by itself: unknown paths, methods and bodies that are too large."""
    headers = {name: value for name, value in error.headers.items() if name.lower() not in ("content-type", "content-length")}
    detail = f"{error.status}: {error.reason}"
    if error.status == 413 and error.text:
        detail = error.text
    return Problem(error.status, detail, headers=headers)


def too_many(detail: str, seconds: float) -> Problem:
    """Return the problem of a client that has to wait for so many *seconds*."""
    return Problem(429, detail, title=Title.TOO_MANY_REQUESTS, headers={"Retry-After": str(math.ceil(seconds))})


def of_store(error: StoreError) -> Problem:
    """Return the problem that an error of the store means to a client; where the store is, is not told."""
    if isinstance(error, TooLarge):
        return Problem(413, "The object is larger than the store takes.")
    if isinstance(error, Compacted):
        return gone(error.revision)
    if isinstance(error, Unavailable) and error.outcome_unknown:
        return unavailable("The store did not confirm the write, which may have been applied; read the object to find out.")
    if isinstance(error, Full):
        return unavailable("The store is full. Objects can be read but not written until an administrator makes space in it.")
    if isinstance(error, Unavailable):
        return unavailable("The store cannot be reached now. Nothing was changed; try again.")
    return unavailable("The store refuses to serve Krake; the log of the API says why.")
