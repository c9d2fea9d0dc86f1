"""Watches: the changes of one resource as a stream of lines."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from krake.simulator.kubernetes.kinds import Kind, Object
from krake.simulator.kubernetes.selectors import Predicate
from krake.simulator.kubernetes.status import expired
from krake.simulator.kubernetes.storage import ADDED, DELETED, MODIFIED, Change, Expired, Storage


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants to see; `revision` None starts with everything there is."""

    kind: Kind
    namespace: str | None = None
    matches: Predicate | None = None
    revision: int | None = None
    bookmarks: bool = False
    marks_initial_end: bool = False
    timeout: float | None = None


def event_of(change: Change, request: Request) -> str | None:
    """The type under which a watch sees a change, None when it doesn't.

    An object that comes to match the selector is added, one that ceases to match is deleted.
    """
    if change.resource != request.kind.resource:
        return None
    if request.namespace is not None and change.key[0] != request.namespace:
        return None
    if request.matches is None:
        return change.type
    after = change.type != DELETED and request.matches(change.object)
    before = change.previous is not None and request.matches(change.previous)
    if after:
        return MODIFIED if before else ADDED
    return DELETED if before else None


def present(kind: Kind, obj: Object) -> Object:
    """The object as it looks in the version asked for."""
    return obj if obj["apiVersion"] == kind.api_version else {**obj, "apiVersion": kind.api_version}


def line(type_: str, obj: Object) -> bytes:
    return json.dumps({"type": type_, "object": obj}, separators=(",", ":")).encode() + b"\n"


class Watch:
    """An open watch; iterate over `lines()` and `close()` it in the end."""

    def __init__(self, storage: Storage, request: Request, bookmark_interval: float) -> None:
        self._storage = storage
        self._request = request
        self._interval = bookmark_interval
        self._lines: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._begin()
        storage.listen(self._notice)

    def close(self) -> None:
        self._storage.ignore(self._notice)

    def _begin(self) -> None:
        request = self._request
        if request.revision is None:
            for obj in self._storage.objects(request.kind.resource, request.namespace):
                if request.matches is None or request.matches(obj):
                    self._lines.append(line(ADDED, present(request.kind, obj)))
            if request.marks_initial_end:
                self._lines.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
            return
        try:
            for change in self._storage.since(request.revision):
                self._notice(change)
        except Expired as error:
            self._lines.append(line("ERROR", expired(str(error)).document()))

    def _notice(self, change: Change) -> None:
        type_ = event_of(change, self._request)
        if type_ is not None:
            obj = change.object
            if type_ == DELETED and change.type != DELETED and change.previous is not None:
                version = {"resourceVersion": str(change.revision)}
                obj = {**change.previous, "metadata": {**change.previous["metadata"], **version}}
            self._lines.append(line(type_, present(self._request.kind, obj)))
            self._arrived.set()

    def _bookmark(self, annotations: Object | None = None) -> bytes:
        kind = self._request.kind
        metadata: Object = {"resourceVersion": str(self._storage.revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return line("BOOKMARK", {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})

    async def lines(self, now: Callable[[], float]) -> AsyncIterator[bytes]:
        """Chunks of lines until the time of the watch is over."""
        end = None if self._request.timeout is None else now() + self._request.timeout
        while True:
            if self._lines:
                chunk = b"".join(self._lines)
                self._lines.clear()
                yield chunk
                continue
            self._arrived.clear()
            left = None if end is None else end - now()
            if left is not None and left <= 0:
                if self._request.bookmarks:
                    yield self._bookmark()
                return
            if not await self._wait(left) and self._request.bookmarks and (end is None or now() < end):
                yield self._bookmark()

    async def _wait(self, left: float | None) -> bool:
        """Wait for the next change; False when the time for a bookmark has come or the watch is over."""
        pause = min(self._interval, left) if left is not None else self._interval
        if not self._request.bookmarks:
            pause = left if left is not None else float("inf")
        try:
            await asyncio.wait_for(self._arrived.wait(), None if pause == float("inf") else pause)
        except TimeoutError:
            return False
        return True
