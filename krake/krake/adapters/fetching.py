"""Fetches what users give the addresses of: without trusting them, or whoever answers."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from krake.adapters.reaching import Guard
from krake.data.destinations import Denied, Destinations

_REDIRECTIONS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_CONNECTIONS = 16
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "krake"}
_PAGE = "text/html"


class FetchError(Exception):
    """There is nothing to be had; the message says from where and why.

    :param passing: whether it may be had later.
    """

    def __init__(self, message: str, *, passing: bool = True) -> None:
        super().__init__(message)
        self.passing = passing


class Fetcher:
    """Fetches documents over http and https; an asynchronous context manager.

    Every connection, that of a redirection as well, goes to an address that was checked before: what a name means is looked up
    once only. Nothing is sent that could prove who asks: no cookies, no credentials, no certificates, and no proxy is used.

    :param timeout: seconds for one document, redirections included.
    :param size_limit: bytes of one document.
    :param forbidden: an endpoint that is never asked, wherever *destinations* lead: the API of Krake.
    """

    def __init__(self, destinations: Destinations, *, timeout: float, size_limit: int, forbidden: str | None = None) -> None:
        self._guard = Guard(destinations, "fetching.allow", forbidden)
        self._timeout = timeout
        self._size_limit = size_limit
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS, resolver=self._guard, use_dns_cache=False, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, url: str) -> bytes:
        """Return a document.

        :raises FetchError: there is none, it is too large or too slow, or nobody may be sent there.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(url)
        except TimeoutError:
            raise FetchError(f"{url} was not there within {self._timeout:g} seconds.") from None
        except Denied as error:
            raise FetchError(str(error), passing=False) from None
        except aiohttp.ClientConnectorDNSError:
            raise FetchError(f"{url} can not be fetched: there is no host of this name.") from None
        except aiohttp.ClientConnectorCertificateError:
            raise FetchError(f"{url} can not be fetched: its host shows a certificate that is not trusted.") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise FetchError(f"{url} can not be fetched: its host does not answer as a web server does.") from None

    async def _follow(self, url: str) -> bytes:
        origin = url
        for _ in range(_REDIRECTIONS + 1):
            found = await self._ask(url, origin)
            if isinstance(found, bytes):
                return found
            if url.lower().startswith("https:") and not found.lower().startswith("https:"):
                raise Denied(f"{origin} leads to {found}, which is not safe as https is.")
            url = found
        raise FetchError(f"{origin} leads on more than {_REDIRECTIONS} times.")

    async def _ask(self, url: str, origin: str) -> bytes | str:
        """Return what is there, or where to look instead."""
        assert self._session is not None
        target = URL(url)
        await self._guard.check(str(target))
        async with self._session.get(target, allow_redirects=False) as response:
            location = response.headers.get("Location")
            if response.status in _REDIRECTED and location:
                return urljoin(url, location)
            if response.status != HTTPStatus.OK:
                raise FetchError(f"{origin} can not be fetched: its host answers HTTP {response.status}.")
            self._check_headers(response.headers, origin)
            return await self._read(response, origin)

    def _check_headers(self, headers: Mapping[str, str], origin: str) -> None:
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchError(f"{origin} can not be fetched: its host sends it compressed, unasked.")
        if headers.get("Content-Type", "").lower().startswith(_PAGE):
            raise FetchError(f"{origin} is a web page; give the address of the file itself.")
        if headers.get("Content-Length", "").isdecimal() and int(headers["Content-Length"]) > self._size_limit:
            raise self._too_large(origin)

    async def _read(self, response: aiohttp.ClientResponse, origin: str) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._size_limit:
                raise self._too_large(origin)
        return bytes(body)

    def _too_large(self, origin: str) -> FetchError:
        return FetchError(f"{origin} is larger than {self._size_limit} bytes.")
