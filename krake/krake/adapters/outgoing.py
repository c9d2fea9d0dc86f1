"""Requests to services that users name: limited in time and size, sent only where they may lead, and never redirected."""

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, quote_plus

import aiohttp
from yarl import URL

from krake.adapters.reaching import Guard
from krake.data.destinations import Denied, Destinations

_LARGEST = 4_194_304
"""Bytes; the largest that is asked for is what a provider says of an infrastructure of some hundred machines."""
_LARGEST_DOCUMENT = 524_288
"""Bytes of JSON; more could hold up everything else of the process for as long as it takes to be read."""
_LONGEST_QUOTE = 300
_KEPT_ALIVE = 75.0
"""Seconds; longer than the usual interval, so that a service is asked through the connection of the last time."""
_TRUSTED = 1_000
"""Authorities that are kept as OpenSSL has them: connections are used again only for the very same ones."""


class Unanswered(Exception):
    """There is no answer; the message is a sentence that says of whom and why, for the owner of what names the service."""


class TooLarge(Unanswered):
    """The answer was larger than anybody should send."""


class Forbidden(Unanswered):
    """Nothing was sent, as the administrator has not allowed it, or as nobody could know whether it is the right service."""


@dataclass(frozen=True)
class Reply:
    """What a service answered, to the end.

    :param service: its name in messages.
    :param secrets: by which it was asked: should it repeat them, they must not be told to others.
    """

    service: str
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def outcome(self) -> str:
        """The status in the words of HTTP, such as ``HTTP 401 Unauthorized``."""
        try:
            return f"HTTP {self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"HTTP {self.status}"

    @property
    def text(self) -> str:
        """The body as text; what is none in it is left out."""
        return self.body.decode(errors="replace")

    def document(self) -> Any:
        """Return the JSON of the body.

        :raises Unanswered: it is none.
        :raises TooLarge: nobody needs so much.
        """
        if len(self.body) > _LARGEST_DOCUMENT:
            raise TooLarge(f"{self.service} answered with more than {_LARGEST_DOCUMENT} bytes of JSON ({self.outcome}).")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Unanswered(f"{self.service} answered something that can not be read ({self.outcome}).") from None

    def quote(self, said: object, longest: int = _LONGEST_QUOTE) -> str:
        """Return what the service says as it may stand in a message: one short line without secrets."""
        text = said if isinstance(said, str) else ""
        for secret in sorted(_spellings_of(self.secrets), key=len, reverse=True):
            text = text.replace(secret, "…")
        line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * longest]).split())
        return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _spellings_of(secrets: Sequence[str]) -> set[str]:
    """Return secrets also as programs in trouble repeat them: in JSON, in Python, in a URL, or in a header."""
    found: set[str] = set()
    for secret in filter(None, secrets):
        readable = secret.encode(errors="replace")
        found |= {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        found |= {quote(readable), quote_plus(readable), b64encode(readable).decode()}
    return found


class Outgoing:
    """Sends requests; an asynchronous context manager.

    :param destinations: where requests may lead.
    :param setting: of the configuration, by which an administrator may allow more.
    :param timeout: seconds that a request may take, from its start to the last byte of the answer.
    :param forbidden: an endpoint that they never lead to: the API of Krake.
    :param largest: bytes of an answer.
    :param lookups: how many names of hosts are looked up at once: where that takes long, it must hold up nothing else of the
        process. There should be more than services that are asked at once, as a lookup can take longer than anybody waits for.
    """

    def __init__(
        self,
        destinations: Destinations,
        setting: str,
        timeout: float,
        forbidden: str | None = None,
        *,
        largest: int = _LARGEST,
        lookups: int = 32,
    ) -> None:
        self.timeout = timeout
        self._largest = largest
        self._threads = ThreadPoolExecutor(lookups, thread_name_prefix="looks-up-hosts")
        self._strangers = ThreadPoolExecutor(lookups, thread_name_prefix="looks-up-strangers")
        self._guard = Guard(destinations, setting, forbidden, self._threads, self._strangers)
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._trusted: dict[str | None, ssl.SSLContext] = {}
        """By the certificates of authorities in PEM; none are those of the system."""

    async def __aenter__(self) -> Self:
        # Whoever is cancelled here has nothing to leave: the session comes after the last thing that is waited for.
        self._trusted[None] = await asyncio.to_thread(ssl.create_default_context)
        # Those that hang are in nobody's way: how many are under way is for the callers to limit, each for its service.
        connector = aiohttp.TCPConnector(limit=0, resolver=self._guard, use_dns_cache=False, keepalive_timeout=_KEPT_ALIVE)
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                # Answers are read as they come: a small compressed one might be enormous. Nothing of one may reach the next.
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "krake"},
                trust_env=False,
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._session = None
        await self._stack.aclose()
        for threads in (self._threads, self._strangers):
            threads.shutdown(wait=False, cancel_futures=True)

    async def request(
        self,
        service: str,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        ca: str | None = None,
        **options: Any,
    ) -> Reply:
        """Return what a service answered, whatever the status.

        :param service: its name in messages.
        :param ca: certificates in PEM that the service is verified by, instead of the authorities of the system.
        :param options: of the request, as aiohttp has them.
        :raises Unanswered: there is no answer in time, or one that is `TooLarge`.
        :raises Forbidden: nobody may be sent there, or *ca* holds no certificates.
        """
        try:
            status, shown, body = await self._request(service, method, URL(url), ca, headers=headers, **options)
        except TimeoutError:
            raise Unanswered(f"{service} did not answer within {self.timeout:g} s.") from None
        except Denied as error:
            raise Forbidden(f"{service} is not asked: {error}") from None
        except aiohttp.ClientConnectorCertificateError:
            by = "the authorities of the system" if ca is None else "its ca"
            raise Unanswered(f"{service} shows a certificate that is not trusted by {by}: check its URL and its ca.") from None
        except aiohttp.ClientConnectorDNSError:
            raise Unanswered(f"{service} can not be reached: there is no host of the name in its URL.") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise Unanswered(f"{service} can not be reached: check its URL, and whether it runs.") from None
        return Reply(service, status, body, shown, secrets)

    async def check(self, service: str, url: str) -> None:
        """See to it that somebody else, who is about to ask a service, does not go where nobody may be sent from here.

        :param service: its name in messages.
        :raises Unanswered: nobody knows the host in its URL, or not in time.
        :raises Forbidden: nobody may be sent there.
        """
        try:
            async with asyncio.timeout(self.timeout):
                await self._guard.check_fully(url)
        except TimeoutError:
            raise Unanswered(f"{service} is not asked: its host was not found within {self.timeout:g} s.") from None
        except Denied as error:
            raise Forbidden(f"{service} is not asked: {error}") from None
        except (OSError, ValueError):
            raise Unanswered(f"{service} is not asked: there is no host of the name in its URL.") from None

    async def _request(
        self, service: str, method: str, url: URL, ca: str | None, **options: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            raise Unanswered(f"{service} is not asked any more: Krake stops.")
        if url.user is not None or url.password is not None:
            raise Forbidden(f"{service} is not asked: its URL must not have a user or a password.")
        await self._guard.check(str(url))
        trusted = await self._trust(service, ca)
        async with self._session.request(method, url, ssl=trusted, allow_redirects=False, **options) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise Unanswered(f"{service} sends its answer compressed, unasked.")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._largest:
                    raise TooLarge(f"{service} answered with more than {self._largest} bytes.")
            return response.status, response.headers, bytes(body)

    async def _trust(self, service: str, ca: str | None) -> ssl.SSLContext:
        context = self._trusted.get(ca)
        if context is None:
            try:
                context = await asyncio.to_thread(ssl.create_default_context, cadata=ca)
            except (ssl.SSLError, ValueError):
                raise Forbidden(f"{service} has a ca that holds no certificates.") from None
            # Whoever came meanwhile has made the same.
            context = self._trusted.setdefault(ca, context)
            while len(self._trusted) > _TRUSTED:
                del self._trusted[next(known for known in self._trusted if known is not None)]
        return context
