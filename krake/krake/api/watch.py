"""Streams changes to watchers: one line of JSON for each."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

from krake.api.authentication import unauthenticated
from krake.api.cache import Cache, Collection, list_all
from krake.api.items import Event, encode, redact_all
from krake.api.operations.limits import Limits
from krake.api.problem import Problem, gone, gone_from_sight, last_line, unavailable
from krake.api.query import ListQuery
from krake.api.requests import IDENTIFY, IDENTITY
from krake.api.subscription import Subscription
from krake.data.kinds import Kind, Resource
from krake.ports.store import Compacted, Entry, Store

CONTENT_TYPE = "application/x-ndjson"

_KNOWN_FOR = 30.0
"""Seconds after which a watcher must be known anew: tokens expire and are revoked."""
_SEEN_ANEW = last_line(gone_from_sight())


class Watches:
    """Opens watches on the cache.

    :param buffer: how many lines may wait for a watcher before it is given up; it may come back and resume.
    """

    def __init__(self, store: Store, cache: Cache, limits: Limits, *, buffer: int) -> None:
        self.limits = limits
        self._store = store
        self._cache = cache
        self._buffer = buffer

    async def stream(
        self,
        request: web.Request,
        kind: type[Resource],
        prefix: str,
        query: ListQuery,
        sees_secrets: Callable[[], bool] = lambda: False,
        may_watch: Callable[[], bool] = lambda: True,
    ) -> web.StreamResponse:
        """Answer a request with the changes of the objects below *prefix*, until either side ends it.

        :param sees_secrets: whether the watcher may see secrets now; when that changes, the watch ends, and its client is told
            to list anew: the list shows the objects as they are to be seen from then on.
        :param may_watch: whether the watcher may still watch; when not, the watch ends, and nothing more is told.
        :raises Problem: 410 the changes since the version asked for are not known (any more); 429 there are too many.
        """
        collection = self._cache[kind]
        past = await self._prepare(collection, prefix, query.resource_version)
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-cache"})

        def hang_up() -> None:
            # Whoever does not read would not notice a proper end either.
            if request.transport is not None:
                request.transport.abort()

        secrets = sees_secrets()
        if past is not None and not secrets:
            await redact_all(collection.select(prefix))
        subscription = Subscription(prefix, query.selector, self._buffer, hang_up, secrets=secrets)
        with self.limits.watching(request), registered(collection, subscription):
            if query.resource_version is not None:
                subscription.replay(_missed(collection, prefix, query.resource_version, past))
            bookmark = self._bookmark(kind.definition) if query.bookmarks else None
            if bookmark is not None:
                subscription.push(bookmark())
            # Who has gone without a word is no error.
            with _heartbeat(subscription, query.heartbeat, bookmark), suppress(ConnectionResetError):
                await response.prepare(request)
                watcher = _Watcher(request, may_watch)
                while lines := await subscription.take():
                    if (refusal := await watcher.check()) is not None:
                        await response.write(last_line(refusal))
                        break
                    if sees_secrets() is not secrets:
                        await response.write(_SEEN_ANEW)
                        break
                    await response.write(lines)
        return response

    async def _prepare(self, collection: Collection, prefix: str, version: int | None) -> tuple[Entry, ...] | None:
        """Make sure that the cache has come as far as the watcher; return the state that it knows if the history is shorter."""
        self._cache.check()
        if version is None:
            return None
        if version > self._cache.revision and version > await self._store.revision():
            raise gone(version)
        if not await self._cache.reach(version):
            raise unavailable(f"This API has not come as far as resource version {version} yet; try again.")
        if version >= collection.horizon:
            return None
        if version == 0:
            return ()
        try:
            return (await list_all(self._store, prefix, version)).entries
        except Compacted:
            raise gone(version) from None

    def _bookmark(self, kind: Kind) -> Callable[[], bytes]:
        def line() -> bytes:
            place = {"api": kind.api, "kind": kind.name, "metadata": {"resource_version": str(self._cache.revision)}}
            return encode({"type": "BOOKMARK", "object": place}) + b"\n"

        return line


class _Watcher:
    """Who watches, for as long as they may."""

    def __init__(self, request: web.Request, may_watch: Callable[[], bool]) -> None:
        self._request = request
        self._may_watch = may_watch
        self._known_at = time.monotonic()

    async def check(self) -> Problem | None:
        """Return why nothing more may be told, if so."""
        if time.monotonic() - self._known_at >= _KNOWN_FOR:
            self._known_at = time.monotonic()
            try:
                identity = await self._request[IDENTIFY]()
            except Problem as problem:
                # A service that is down says nothing of the watcher.
                if problem.status == 401:
                    return problem
            else:
                if identity != self._request[IDENTITY]:
                    return unauthenticated("The credentials of this watch are those of someone else by now.")
        return None if self._may_watch() else Problem(403, "The roles that allowed this watch do not allow it any more.")


def _missed(collection: Collection, prefix: str, version: int, past: tuple[Entry, ...] | None) -> list[Event]:
    return collection.since(version) if past is None else collection.difference(prefix, past, version)


@contextmanager
def registered(collection: Collection, subscription: Subscription) -> Iterator[None]:
    """Let the changes of a collection reach a subscription."""
    collection.subscriptions.add(subscription)
    try:
        yield
    finally:
        collection.subscriptions.discard(subscription)


@contextmanager
def _heartbeat(subscription: Subscription, interval: int, bookmark: Callable[[], bytes] | None) -> Iterator[None]:
    """Send a sign of life every *interval* seconds, unless it is 0."""
    if interval == 0:
        yield
        return
    loop = asyncio.get_running_loop()
    started = loop.time()

    timer: asyncio.TimerHandle

    def wait(number: int) -> None:
        nonlocal timer
        timer = loop.call_at(started + number * interval, beat, number)

    def beat(number: int) -> None:
        subscription.push(b"\n" if bookmark is None else bookmark())
        wait(number + 1)

    wait(1)
    try:
        yield
    finally:
        timer.cancel()
