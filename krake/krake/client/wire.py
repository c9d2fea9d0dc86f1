"""What is sent to the API and how its answers are read: values in, values out, no input or output.

Imports nothing but the standard library and the errors, so that the command line, which sends these requests by other means
than the controllers, starts fast. The functions named after operations (`get`, `create`, …) return the `Request` of the
operation; `parse` reads the answer, and `WatchDecoder` the stream that answers a `watch`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from krake.client.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
HEARTBEAT = 10
"""Seconds between the signs of life that a watch asks for."""
MISSED_HEARTBEATS = 3
"""After so many a watch is taken for dead."""


class Routed(Protocol):
    """What says where the objects of a kind are; `krake.data.Kind` does."""

    @property
    def api(self) -> str: ...

    @property
    def plural(self) -> str: ...

    @property
    def namespaced(self) -> bool: ...


@dataclass(frozen=True)
class Route:
    """Where the objects of a kind are, from plain strings."""

    api: str
    plural: str
    namespaced: bool


@dataclass(frozen=True)
class Request:
    """What to send. ``path`` is percent-encoded and starts with a slash."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def url(self, base: str) -> str:
        """The whole URL below that of the API, whose own path is kept."""
        return base.rstrip("/") + self.target

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def collection_path(route: Routed, namespace: str | None = None) -> str:
    """The path of the objects of one namespace, or of all.

    :raises ValueError: the kind has no namespaces, or *namespace* cannot be a part of a path.
    """
    if namespace is None:
        return f"/{_segment(route.api)}/{_segment(route.plural)}"
    if not route.namespaced:
        raise ValueError(f"The {route.plural} are not in namespaces; name none.")
    return f"/{_segment(route.api)}/namespaces/{_segment(namespace)}/{_segment(route.plural)}"


def object_path(route: Routed, namespace: str | None, name: str, subresource: str | None = None) -> str:
    """The path of an object, or of what is below it.

    :raises ValueError: a namespace is missing or too many, or a name cannot be a part of a path.
    """
    if route.namespaced and namespace is None:
        raise ValueError(f"The {route.plural} are in namespaces; name one.")
    path = f"{collection_path(route, namespace)}/{_segment(name)}"
    return path if subresource is None else f"{path}/{_segment(subresource)}"


def _segment(text: str) -> str:
    # Dots alone are taken for directories by anything between here and the API, and would reach another object.
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} is not a name.")
    return quote(text, safe="")


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _sending(method: str, path: str, body: Any, content_type: str = JSON, query: tuple[tuple[str, str], ...] = ()) -> Request:
    return Request(method, path, query, {"Accept": JSON, "Content-Type": content_type}, _json(body))


def _asking(method: str, path: str, query: tuple[tuple[str, str], ...] = ()) -> Request:
    return Request(method, path, query, {"Accept": JSON})


def _query(**parameters: str | int | None) -> tuple[tuple[str, str], ...]:
    return tuple((name.rstrip("_"), str(value)) for name, value in parameters.items() if value is not None)


def get(route: Routed, namespace: str | None, name: str) -> Request:
    """Read an object."""
    return _asking("GET", object_path(route, namespace, name))


def list_(
    route: Routed,
    namespace: str | None = None,
    *,
    label_selector: str | None = None,
    limit: int | None = None,
    continue_: str | None = None,
) -> Request:
    """Read the objects of a namespace, or of all; ``continue_`` is the token of a list that was cut at its limit."""
    query = _query(label_selector=label_selector, limit=limit, continue_=continue_)
    return _asking("GET", collection_path(route, namespace), query)


def watch(
    route: Routed,
    namespace: str | None = None,
    *,
    resource_version: str | None = None,
    heartbeat: int = HEARTBEAT,
    bookmarks: bool = False,
    label_selector: str | None = None,
) -> Request:
    """Follow the objects of a namespace, or of all, from a version on, or from now."""
    query = _query(
        watch="true",
        resource_version=resource_version,
        heartbeat=heartbeat,
        bookmarks="true" if bookmarks else None,
        label_selector=label_selector,
    )
    return Request("GET", collection_path(route, namespace), query, {"Accept": "application/x-ndjson"})


def create(route: Routed, namespace: str | None, body: Mapping[str, Any]) -> Request:
    """Create an object.

    :raises ValueError: the kind is namespaced and *namespace* is missing.
    """
    if route.namespaced and namespace is None:
        raise ValueError(f"The {route.plural} are in namespaces; name one.")
    return _sending("POST", collection_path(route, namespace), body)


def update(
    route: Routed, namespace: str | None, name: str, body: Mapping[str, Any], *, subresource: str | None = None
) -> Request:
    """Replace an object, or its status; refused as a conflict if the body names a version that is not the stored one."""
    return _sending("PUT", object_path(route, namespace, name, subresource), body)


def patch(
    route: Routed, namespace: str | None, name: str, changes: Mapping[str, Any], *, subresource: str | None = None
) -> Request:
    """Change what *changes* names (a merge patch, RFC 7386) of an object, or of its status."""
    return _sending("PATCH", object_path(route, namespace, name, subresource), changes, MERGE_PATCH)


def delete(route: Routed, namespace: str | None, name: str, *, force: bool = False, cascade: bool = False) -> Request:
    """Ask for the deletion of an object; *force* removes it at once and leaves behind what belongs to it.

    :param cascade: of a cluster: delete its applications as well, instead of moving them elsewhere.
    """
    query = _query(force="True" if force else None, cascade="True" if cascade else None)
    return _asking("DELETE", object_path(route, namespace, name), query)


def act(route: Routed, namespace: str | None, name: str, action: str, body: Mapping[str, Any] | None = None) -> Request:
    """Do what a kind offers below its objects, for example ``binding``."""
    path = object_path(route, namespace, name, action)
    return _asking("PUT", path) if body is None else _sending("PUT", path, body)


def who_am_i() -> Request:
    """Ask for the own name and roles."""
    return _asking("GET", "/me")


def list_rules() -> Request:
    """Ask for all rules that allow something to the caller."""
    return _asking("GET", "/authorize")


def review(api: str, resource: str, verb: str, namespace: str | None = None) -> Request:
    """Ask whether the caller may do something in a namespace, or in all."""
    return _sending("POST", "/authorize", {"api": api, "resource": resource, "verb": verb, "namespace": namespace})


_ERRORS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    414: Invalid,
    415: Invalid,
    422: Invalid,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def parse(status: int, body: bytes, where: str = "") -> Any:
    """Return the decoded JSON of an answer; ``None`` if it is empty.

    :param where: names the request in the error.
    :raises ApiError: the answer is an error, or no JSON.
    """
    if not 200 <= status < 300:
        raise error_of(status, body, where)
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        detail = f"This is not the API of Krake: the answer is not JSON but {_excerpt(body)!r}."
        raise ApiError(status, {"detail": detail}, where) from None


def error_of(status: int, body: bytes, where: str = "") -> ApiError:
    """Return the error that an answer stands for, whatever its body is."""
    return error_of_problem(status, _problem(status, body), where)


def error_of_problem(status: int, problem: Mapping[str, Any], where: str = "") -> ApiError:
    """Return the error of a problem document."""
    cls = _ERRORS.get(status, ApiError)
    if cls is Conflict and problem.get("title") == "RESOURCE_ALREADY_EXISTS":
        cls = AlreadyExists
    return cls(status, problem, where)


def _problem(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        problem = None
    if isinstance(problem, Mapping):
        return problem
    excerpt = _excerpt(body)
    return {"status": status, "detail": f"The API answered with status {status}" + (f": {excerpt}" if excerpt else ".")}


def _excerpt(body: bytes) -> str:
    return " ".join(body[:400].decode(errors="replace").split())[:200]


@dataclass(frozen=True)
class Event:
    """One line of a watch: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK`` and the wire form of the object."""

    type: str
    object: Mapping[str, Any]


class LineDecoder:
    """Cuts a stream of bytes into lines of any length, however the stream was chopped up on its way."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that *chunk* completes, without their ends."""
        first, *others = chunk.split(b"\n")
        self._begun.append(first)
        if not others:
            return []
        lines = [b"".join(self._begun), *others[:-1]]
        self._begun = [others[-1]]
        return lines


class WatchDecoder:
    """Reads the stream that answers a watch."""

    def __init__(self, where: str = "") -> None:
        self._lines = LineDecoder()
        self._where = where

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that *chunk* completes; heartbeats are passed over.

        :raises ApiError: the API ends the watch, for example with `Gone`, or sends what is no event; all events before it
            were yielded.
        """
        for line in self._lines.feed(chunk):
            if line.strip():
                yield self._event(line)

    def _event(self, line: bytes) -> Event:
        try:
            data = json.loads(line)
            event = Event(data["type"], data["object"])
        except (ValueError, RecursionError, KeyError, TypeError):
            raise Unavailable(
                0, {"detail": f"The watch is broken by a line that is no event: {_excerpt(line)!r}."}, self._where
            ) from None
        if not isinstance(event.object, Mapping):
            raise Unavailable(
                0, {"detail": f"The watch is broken by an event without an object: {_excerpt(line)!r}."}, self._where
            )
        if event.type == "ERROR":
            status = event.object.get("status")
            raise error_of_problem(status if isinstance(status, int) else 500, event.object, self._where)
        return event
