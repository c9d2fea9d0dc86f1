"""Requests to one API server, and what can become of them."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NoReturn

import aiohttp
from yarl import URL

from krake import __version__
from krake.adapters.kubernetes.access import Access
from krake.adapters.reaching import Guard
from krake.data.destinations import Denied
from krake.ports.cluster import Conflict, Rejected, Unreachable

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
LARGEST_ANSWER = 128 * 1024 * 1024
LARGEST_EVENT = 16 * 1024 * 1024
CONNECTIONS = 64
_FAILURES = (aiohttp.ClientError, Denied, TimeoutError, OSError, ValueError, RuntimeError)
_NOT_YAML = re.compile(r"[\x7f-\uffff]")


class NotFound(Rejected):
    """There is no such object, or nothing is served at the path."""

    def __init__(self, reason: str, message: str, missing: str) -> None:
        super().__init__(404, reason, message)
        self.missing = missing
        """The plural of what is missing, for example ``namespaces``."""


class Expired(Rejected):
    """The history asked for is forgotten."""


class Transport:
    """Sends requests to one API server over shared connections.

    :param timeout: seconds that an answer may take.
    :param guard: knows where the server may be; without, it may be anywhere. It is asked for new connections only.
    """

    def __init__(self, access: Access, timeout: float, guard: Guard | None = None) -> None:
        self.access = access
        self.timeout = timeout
        self._guard = guard
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Return the JSON object of an answer. Raises `Rejected` and its kinds, or `Unreachable`."""
        session = await self._open()
        data = None if body is None else _encode(body)
        try:
            async with session.request(
                method,
                self._url(path, query),
                data=data,
                headers={"Content-Type": content_type} if data is not None else None,
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                **self._options(),
            ) as response:
                status, text = response.status, await self._read(response)
        except _FAILURES as error:
            self._fail(error)
        return self._parse(status, text)

    async def stream(self, path: str, query: Mapping[str, str], patience: float) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the JSON objects of an endless answer, one a line, until the server ends it.

        :param patience: seconds that the server may be silent between two of them.
        """
        session = await self._open()
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self.timeout, sock_read=patience)
        try:
            async with asyncio.timeout(self.timeout):
                response = await session.get(self._url(path, query), timeout=limits, **self._options())
        except _FAILURES as error:
            self._fail(error)
        try:
            if response.status != 200:
                self._parse(response.status, await self._read(response))
                raise self._garbage()
            async for line in self._lines(response):
                yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._fail(error)
        finally:
            response.close()

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, Any], None]:
        buffer = bytearray()
        async for chunk in response.content.iter_any():
            buffer += chunk
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                if line.strip():
                    yield self._object(line)
            if len(buffer) > LARGEST_EVENT:
                raise self._garbage()

    async def _open(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                await self._check()
            context: ssl.SSLContext | bool = True
            if self._session is None and self.access.server.startswith("https"):
                context = await asyncio.to_thread(self.access.ssl_context)
            if self._closed:
                raise Unreachable("The connection to the cluster has been closed.")
            if self._session is None:
                headers = {"User-Agent": f"krake/{__version__}", "Accept": "application/json"}
                if self.access.authorization:
                    headers["Authorization"] = self.access.authorization
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS, ssl=context, resolver=self._guard),
                    headers=headers,
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
        return self._session

    async def _check(self) -> None:
        """See whether the server may be where it is; if it has a name, that is told when its addresses are known."""
        if self._guard is None:
            return
        try:
            async with asyncio.timeout(self.timeout):
                await self._guard.check(self.access.address)
        except (Denied, TimeoutError) as error:
            self._fail(error)

    def _options(self) -> dict[str, Any]:
        # A redirect would carry the credentials to wherever it points.
        options: dict[str, Any] = {"allow_redirects": False}
        if self.access.server_name:
            options["server_hostname"] = self.access.server_name
        return options

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        url = URL(self.access.server + path, encoded=True)
        return url.update_query(query) if query else url

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise self._garbage()
        return bytes(body)

    def _parse(self, status: int, text: bytes) -> dict[str, Any]:
        if 200 <= status < 300:
            return self._object(text)
        if status == 404 and not text.lstrip().startswith(b"{"):
            raise NotFound("NotFound", "Nothing is served at this path.", "")
        try:
            body = self._object(text)
        except Unreachable:
            body = {}
        if body.get("kind") == "Status":
            raise rejection(body, status)
        if status in (401, 403):
            raise Rejected(status, "Unauthorized", f"The cluster at {self.access.address} refuses the credentials ({status}).")
        raise Unreachable(f"The cluster at {self.access.address} answered with status {status}, and not as Kubernetes does.")

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise self._garbage() from None
        if not isinstance(value, dict):
            raise self._garbage()
        return value

    def _garbage(self) -> Unreachable:
        return garbage(self.access.address)

    def _fail(self, error: Exception) -> NoReturn:
        if isinstance(error, TimeoutError):
            raise Unreachable(f"The cluster at {self.access.address} did not answer within {self.timeout:g} s.") from error
        if isinstance(error, Denied):
            raise Unreachable(f"The cluster at {self.access.address} is not asked: {error}") from error
        said = str(error) or type(error).__name__
        raise Unreachable(f"The cluster at {self.access.address} can not be reached: {said.rstrip('.')}.") from error


def _encode(body: Any) -> bytes:
    """Return a body as JSON that is YAML as well, which JSON nearly is.

    In YAML there are no pairs of surrogates, and some characters do not mean themselves.
    """
    text = json.dumps(body, ensure_ascii=False)
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


def garbage(address: str) -> Unreachable:
    """The error for an answer that no Kubernetes gives."""
    return Unreachable(f"What answers at {address} is not Kubernetes; check the address in the kubeconfig.")


def rejection(body: Mapping[str, Any], status: int) -> Rejected:
    """The error that a ``Status`` object of Kubernetes stands for."""
    reason = str(body.get("reason") or "")
    message = str(body.get("message") or reason or f"The cluster refused with status {status}.")
    code = body.get("code")
    status = code if isinstance(code, int) else status
    details = body.get("details")
    if status == 404:
        return NotFound(reason, message, str(details.get("kind") or "") if isinstance(details, Mapping) else "")
    if status == 410:
        return Expired(status, reason, message)
    return (Conflict if status == 409 or _is_terminating(details) else Rejected)(status, reason, message)


def _is_terminating(details: Any) -> bool:
    """Whether something can not be made because its namespace is being deleted; it can be once it is gone."""
    causes = details.get("causes") if isinstance(details, Mapping) else None
    return isinstance(causes, list) and any(
        isinstance(cause, Mapping) and cause.get("reason") == "NamespaceTerminating" for cause in causes
    )
