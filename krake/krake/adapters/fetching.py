"""Fetches what users give the addresses of: without trusting them, or whoever answers."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from krake.data.destinations import Address, Denied, Destinations, meanings_of, port_of, read_url

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
        self._destinations = destinations
        self._timeout = timeout
        self._size_limit = size_limit
        self._forbidden = read_url(forbidden) if forbidden else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=_CONNECTIONS, resolver=_CheckedResolver(self), use_dns_cache=False, force_close=True
        )
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
        parts = read_url(str(target))
        if _looks_like_address(str(parts.hostname)):
            await self._check(str(parts.hostname), [str(parts.hostname)], port_of(parts))
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

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them may be reached.

        :raises Denied: one of them must not.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
        addresses = list(dict.fromkeys((str(address[0]), found_family) for found_family, *_, address in found))
        await self._check(host, [address for address, _ in addresses], port)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=found_family, proto=0, flags=socket.AI_NUMERICHOST)
            for address, found_family in addresses
        ]

    async def _check(self, host: str, addresses: list[str], port: int) -> None:
        # Where any address is forbidden, all are: which one a name means next is up to its owner.
        forbidden = await self._addresses_of_forbidden(self._forbidden, port)
        for address in addresses:
            if forbidden & set(meanings_of(address)) or not self._destinations.may_reach(host, address):
                raise Denied(
                    f"{host} is not reached from here: the administrator of Krake has not allowed it (fetching.allow)."
                )

    async def _addresses_of_forbidden(self, parts: SplitResult | None, port: int) -> set[Address]:
        if parts is None or port_of(parts) != port:
            return set()
        try:
            found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError:
            return set()
        return {meaning for *_, address in found for meaning in meanings_of(str(address[0]))}


class _CheckedResolver(AbstractResolver):
    """Resolves names to addresses that may be reached; connections go to these, and to no others."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return await self._fetcher.resolve(host, port, family)

    async def close(self) -> None:
        """Nothing is held."""


def _looks_like_address(host: str) -> bool:
    """Whether the resolver is not asked about a host, written as it goes on its way.

    :raises Denied: it is a number that only some understand as an address.
    """
    if ":" not in host and not host.replace(".", "").isdigit():
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        raise Denied(f"{host} is not the usual form of an address.") from None
    return True
