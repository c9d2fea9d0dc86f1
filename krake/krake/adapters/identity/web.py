"""The connection to all services that know users: limited in time, size and number, and never redirected."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import aiohttp

from krake.ports.identity import Rejected, Unavailable

_CONNECTIONS = 32
"""How many requests may be under way to all services together; others wait for their turn, within their time limit."""
_MAX_ANSWER = 1_048_576
"""Bytes; a Keystone token with the catalog of a large cloud has some hundred thousand."""


def trust(ca: str) -> ssl.SSLContext:
    """Return what servers are verified by: the PEM file *ca*, or the authorities of the system if it is empty.

    :raises ValueError: the file can not be used; the message begins with ``ca``.
    """
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"ca: The certificates in '{ca}' can not be used: {error}.") from None


@dataclass(frozen=True)
class Reply:
    """What a service answered, to the end."""

    status: int
    body: bytes

    @property
    def outcome(self) -> str:
        """The status in the words of HTTP, such as ``HTTP 401 Unauthorized``."""
        try:
            return f"HTTP {self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"HTTP {self.status}"

    def document(self, service: str) -> Mapping[str, Any]:
        """Return the body, which must be a JSON object; *service* names who answered.

        :raises Unavailable: it is something else, or the status is not 200.
        """
        if self.status != HTTPStatus.OK:
            raise Unavailable(f"{service} answered with {self.outcome}.")
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Unavailable(f"{service} answered with something that is not a JSON object.")
        return document


def refuse(reply: Reply, service: str) -> None:
    """Raise ``Rejected`` if the reply says that the token is no good. Any other failure says nothing of the token."""
    if reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Rejected(f"Invalid {service} token ({reply.outcome})")


class Web:
    """Sends requests; an asynchronous context manager.

    :param timeout: seconds that a request may take, from its start to the last byte of the answer.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.troubles: dict[str, str] = {}
        """Why services could not answer when they were asked last, by their names."""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            # Answers are read as they come: a small compressed one might be enormous. Nothing of one user may reach the next.
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "krake"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(self, service: str, method: str, url: str, trusted: ssl.SSLContext, **options: Any) -> Reply:
        """Return what was answered, whatever the status; *service* names the receiver in errors.

        :raises Unavailable: there is no answer in time, or one that is too large.
        """
        try:
            reply = await self._request(service, method, url, trusted, **options)
        except Unavailable as failure:
            self.troubles[service] = str(failure)
            raise
        self.troubles.pop(service, None)
        return reply

    async def _request(self, service: str, method: str, url: str, trusted: ssl.SSLContext, **options: Any) -> Reply:
        if self._session is None:
            raise Unavailable(f"{service} is not asked any more: Krake stops.")
        try:
            async with self._session.request(method, url, ssl=trusted, allow_redirects=False, **options) as response:
                body = await _read(response, service)
                return Reply(response.status, body)
        except TimeoutError:
            raise Unavailable(f"{service} did not answer within {self.timeout:g} seconds.") from None
        except aiohttp.ClientConnectorCertificateError:
            raise Unavailable(f"{service} shows a certificate that is not trusted.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"{service} can not be reached.") from error


async def _read(response: aiohttp.ClientResponse, service: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise Unavailable(f"{service} answered with more than {_MAX_ANSWER} bytes.")
    return bytes(body)
