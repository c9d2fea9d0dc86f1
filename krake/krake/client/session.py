"""The client of the controllers: typed calls to the API over aiohttp."""

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from krake.client import wire
from krake.client.errors import ApiError, Unavailable
from krake.client.metrics import SECONDS
from krake.data.kinds import Listing, Resource
from krake.data.metadata import Key, WatchEventType
from krake.data.record import Record
from krake.lib import context
from krake.renewal import Renewed

R = TypeVar("R", bound=Resource)
V = TypeVar("V", str, ssl.SSLContext)

log = logging.getLogger(__name__)

SLICE = 200
"""So many objects are decoded before others get their turn."""


@dataclass(frozen=True)
class WatchEvent(Generic[R]):
    """What happened to an object; of a ``BOOKMARK`` only ``object.metadata.resource_version`` has a meaning."""

    type: WatchEventType
    object: R


class Client:
    """Calls the API; use it as an asynchronous context manager.

    Any call may raise an `ApiError`: `Unavailable` if the API cannot be reached or does not answer in time, its siblings for
    what the API refuses. Calls are not repeated: whoever calls knows what is worth another attempt.

    :param url: of the API, with ``http`` or ``https``; a path in it is kept.
    :param timeout: seconds that a call may take altogether; a watch may last for ever, but not be silent for three heartbeats.
    :param ssl_context: how to trust the API, and what to show to it; of files that change it may be made anew.
    :param token: the bearer token that tells who is asking.
    :raises ValueError: *url* is no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        ssl_context: ssl.SSLContext | Renewed[ssl.SSLContext] | None = None,
        timeout: float = 30.0,
        heartbeat: int = wire.HEARTBEAT,
        token: str | Renewed[str] | None = None,
        user_agent: str = f"krake/{version('krake')}",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the URL of an API; it needs the form http://host:port or https://host:port.")
        self.url = url.rstrip("/")
        self._ssl = ssl_context
        self._timeout = timeout
        self._heartbeat = heartbeat
        self._token = token
        self._headers = {"User-Agent": user_agent}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ping(self) -> None:
        """Return if the API answers and is ready to work."""
        await self._call(wire.Request("GET", "/readyz"))

    async def get(self, kind: type[R], key: Key) -> R:
        """Read an object."""
        return _restore(kind, await self._call(wire.get(kind.definition, *key)))

    async def list(
        self,
        kind: type[R],
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        limit: int | None = None,
        continue_token: str | None = None,
    ) -> Listing[R]:
        """Read the objects of a namespace, or of all. An object that cannot be read at all is left out and logged."""
        request = wire.list_(kind.definition, namespace, label_selector=label_selector, limit=limit, continue_=continue_token)
        body = await self._call(request)
        if not isinstance(body, Mapping) or not isinstance(body.get("items"), list):
            raise ApiError(200, {"detail": "This is not the API of Krake: the answer is not a list of objects."}, str(request))
        items: list[R] = []
        for position, data in enumerate(body["items"], start=1):
            if (item := _try_restore(kind, data)) is not None:
                items.append(item)
            if position % SLICE == 0:
                await asyncio.sleep(0)
        envelope = Listing.of(kind, {**body, "items": []})
        return Listing(items, envelope.resource_version, envelope.continue_token)

    async def create(self, obj: R) -> R:
        """Create an object in its namespace."""
        request = wire.create(obj.definition, obj.metadata.namespace, obj.serialize())
        return _restore(type(obj), await self._call(request))

    async def update(self, obj: R) -> R:
        """Replace an object; a `Conflict` if it is not at the version of *obj* any more."""
        return _restore(type(obj), await self._call(wire.update(obj.definition, *obj.key, obj.serialize())))

    async def patch(self, kind: type[R], key: Key, changes: Mapping[str, Any], *, subresource: str | None = None) -> R:
        """Change what *changes* names (a merge patch) of an object, or with ``subresource="status"`` of its status.

        A `Conflict` if *changes* names a ``metadata.resource_version`` that the object is not at any more.
        """
        return _restore(kind, await self._call(wire.patch(kind.definition, *key, changes, subresource=subresource)))

    async def delete(self, kind: type[R], key: Key, *, force: bool = False, cascade: bool = False) -> R | None:
        """Ask for the deletion of an object; returns it as it is now, if the API says.

        :param cascade: of a cluster: delete its applications as well, instead of moving them elsewhere.
        """
        body = await self._call(wire.delete(kind.definition, *key, force=force, cascade=cascade))
        return None if body is None else _restore(kind, body)

    async def act(self, kind: type[R], key: Key, action: str, body: Record | None = None) -> R:
        """Do what the kind offers below its objects: ``binding``, ``complete``, ``shutdown``, ``retry``."""
        data = None if body is None else body.serialize()
        return _restore(kind, await self._call(wire.act(kind.definition, *key, action, data)))

    async def watch(
        self,
        kind: type[R],
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        bookmarks: bool = False,
        on_open: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[WatchEvent[R], None]:
        """Yield what happens after a version, or from now on, until the API ends the stream.

        Leaving the loop early, close the generator (`contextlib.aclosing`) to free the connection at once.

        :param bookmarks: whether to be told in quiet times, too, how far the store has come.
        :param on_open: called when the API has accepted the watch.
        :raises Gone: the history from that version on is forgotten.
        """
        request = wire.watch(
            kind.definition, namespace, resource_version=resource_version, heartbeat=self._heartbeat, bookmarks=bookmarks
        )
        decoder = wire.WatchDecoder(str(request))
        async with await self._open(request) as response:
            on_open()
            while chunk := await self._read(request, response):
                for event in decoder.feed(chunk):
                    if (typed := _typed(kind, event)) is not None:
                        yield typed

    async def _open(self, request: wire.Request) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._send(request, aiohttp.ClientTimeout(total=None))
                if response.status == 200:
                    return response
                async with response:
                    raise wire.error_of(response.status, await response.read(), str(request))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(request, error, self._timeout) from error

    async def _read(self, request: wire.Request, response: aiohttp.ClientResponse) -> bytes:
        silence = self._heartbeat * wire.MISSED_HEARTBEATS or None
        try:
            async with asyncio.timeout(silence):
                return await response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(request, error, silence) from error

    async def _send(self, request: wire.Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("The client is closed; use it inside `async with`.")
        token = _current(self._token)
        headers = {**request.headers, "X-Request-Id": context.request_id.get() or uuid.uuid4().hex}
        started, code = time.perf_counter(), ""
        try:
            response = await self._session.request(
                request.method,
                URL(request.url(self.url), encoded=True),
                data=request.body,
                headers=headers if token is None else {**headers, "Authorization": f"Bearer {token}"},
                timeout=limits,
                # With another context than before, aiohttp takes another connection.
                ssl=_current(self._ssl) or True,
                allow_redirects=False,
            )
            code = str(response.status)
        finally:
            SECONDS.labels(request.method, code).observe(time.perf_counter() - started)
        return response

    async def _call(self, request: wire.Request) -> Any:
        try:
            async with await self._send(request, aiohttp.ClientTimeout(total=self._timeout)) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(request, error, self._timeout) from error
        return wire.parse(status, body, str(request))

    def _unavailable(self, request: wire.Request, error: Exception, limit: float | None) -> Unavailable:
        if isinstance(error, TimeoutError) and limit is not None:
            detail = f"The API at {self.url} did not answer within {limit:g} s."
        elif isinstance(error, aiohttp.ServerDisconnectedError) and self._ssl is not None:
            # That is all that most servers let know then.
            detail = f"The API at {self.url} hung up; if it is well, it does not accept the certificate that it is shown."
        else:
            detail = f"The API at {self.url} cannot be reached: {_reason(error)}."
        unsent = isinstance(error, aiohttp.ClientConnectorError)
        return Unavailable(0, {"detail": detail}, str(request), outcome_unknown=request.method != "GET" and not unsent)


def _reason(error: Exception) -> str:
    """What went wrong, without what aiohttp says around it: its message shows the address of an object in memory."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _current(value: V | Renewed[V] | None) -> V | None:
    return value.value if isinstance(value, Renewed) else value


def _restore(kind: type[R], data: Any) -> R:
    restored = _try_restore(kind, data)
    if restored is None:
        raise ApiError(200, {"detail": f"This is not the API of Krake: the answer is not of the kind {kind.definition}."})
    return restored


def _try_restore(kind: type[R], data: Any) -> R | None:
    """One object that cannot be read must not hide the others."""
    try:
        restored = kind.restore(data)
    except Exception:
        log.warning("An object of the kind %s cannot be read and is passed over.", kind.definition, exc_info=True)
        return None
    if not restored.metadata.name:
        log.warning("An object of the kind %s has no name and is passed over.", kind.definition)
        return None
    return restored


def _typed(kind: type[R], event: wire.Event) -> WatchEvent[R] | None:
    if event.type not in WatchEventType.__members__:
        return None
    type_ = WatchEventType[event.type]
    if type_ is WatchEventType.BOOKMARK:
        return WatchEvent(type_, kind.restore({"metadata": event.object.get("metadata")}))
    restored = _try_restore(kind, event.object)
    return None if restored is None else WatchEvent(type_, restored)
