"""Keeps connections from going where they must not: each goes to an address that was checked before."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import SplitResult

from aiohttp.abc import AbstractResolver, ResolveResult

from krake.data.destinations import Address, Denied, Destinations, meanings_of, port_of, read_url

_QUICK = 2.0
"""Seconds in which most names are found."""
_REMEMBERED = 10_000
_LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Guard(AbstractResolver):
    """Resolves names to addresses that may be reached; connections that use it go to these, and to no others.

    What a name means is looked up once only. Where any of its addresses is forbidden, all are: which one a name means next is
    up to its owner.

    :param setting: of the configuration, by which an administrator may allow more.
    :param forbidden: an endpoint that is never reached, wherever *destinations* lead: the API of Krake.
    :param threads: that look up names, instead of those that the whole process has: some names take long, and may be many.
    :param strangers: threads for names that were not found quickly the last time, so that they hold up no others.
    """

    def __init__(
        self,
        destinations: Destinations,
        setting: str,
        forbidden: str | None = None,
        threads: ThreadPoolExecutor | None = None,
        strangers: ThreadPoolExecutor | None = None,
    ) -> None:
        self._threads = threads
        self._strangers = strangers or threads
        self._quick: dict[str, None] = {}
        """Names that were found quickly the last time."""
        self._destinations = destinations
        self._setting = setting
        self._under_way: dict[tuple[object, ...], asyncio.Future[list[Any]]] = {}
        """Lookups: who asks for the same name meanwhile waits for the same one, so that a slow name takes one thread only."""
        self._forbidden = read_url(forbidden) if forbidden else None

    async def check(self, url: str) -> None:
        """Check a URL; whether its host may be reached can not be said here if it is a name, that is for `resolve`.

        :raises Denied: it leads where it must not.
        """
        parts = read_url(url)
        host = str(parts.hostname)
        if _looks_like_address(host):
            await self._check(host, [host], port_of(parts))

    async def check_fully(self, url: str) -> None:
        """Check a URL with all addresses of its host, for somebody else who is about to go there.

        :raises Denied: it leads where it must not.
        :raises OSError: there is no such host.
        """
        await self.check(url)
        parts = read_url(url)
        host, port = str(parts.hostname), port_of(parts)
        if not _looks_like_address(host):
            # Those too that this machine has no way to, as others may have one.
            found = await self._look_up(host, port)
            await self._check(host, list({str(address[0]) for *_, address in found}), port)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them may be reached.

        :raises Denied: one of them must not.
        """
        found = await self._look_up(host, port, family, socket.AI_ADDRCONFIG)
        addresses = list(dict.fromkeys((str(address[0]), found_family) for found_family, *_, address in found))
        await self._check(host, [address for address, _ in addresses], port)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=found_family, proto=0, flags=socket.AI_NUMERICHOST)
            for address, found_family in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""

    async def _check(self, host: str, addresses: list[str], port: int) -> None:
        forbidden = await self._addresses_of_forbidden(self._forbidden, port)
        for address in addresses:
            meanings = {_anywhere_here(each) for each in meanings_of(address)}
            if forbidden & meanings or not self._destinations.may_reach(host, address):
                raise Denied(
                    f"{host} is not reached from here: the administrator of Krake has not allowed it ({self._setting})."
                )

    async def _look_up(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        asked = host, port, family, flags
        if (lookup := self._under_way.get(asked)) is None:
            ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=flags)
            threads = self._threads if host in self._quick else self._strangers
            began: list[float] = []
            lookup = asyncio.get_running_loop().run_in_executor(threads, _ask, ask, began)
            self._under_way[asked] = lookup
            lookup.add_done_callback(partial(self._end, asked, began))
        return list(await asyncio.shield(lookup))

    def _end(self, asked: tuple[Any, ...], began: Sequence[float], lookup: asyncio.Future[list[Any]]) -> None:
        del self._under_way[asked]
        host = str(asked[0])
        failed = lookup.cancelled() or lookup.exception()  # seen, even if nobody waits for it any more
        self._quick.pop(host, None)
        if not failed and time.monotonic() - began[0] < _QUICK:
            self._quick[host] = None
            while len(self._quick) > _REMEMBERED:
                del self._quick[next(iter(self._quick))]

    async def _addresses_of_forbidden(self, parts: SplitResult | None, port: int) -> set[Address]:
        if parts is None or port_of(parts) != port:
            return set()
        try:
            found = await self._look_up(str(parts.hostname), port)
        except OSError:
            return set()
        return {_anywhere_here(meaning) for *_, address in found for meaning in meanings_of(str(address[0]))}


def _anywhere_here(address: Address) -> Address:
    """Return an address, or one for all that lead to this machine: what listens at one may listen at the others."""
    return _LOOPBACK if address.is_loopback or address.is_unspecified else address


def _ask(ask: Callable[[], list[Any]], began: list[float]) -> list[Any]:
    began.append(time.monotonic())  # to have waited for a thread is not the fault of the name
    return ask()


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
