"""Calls applications over HTTP, wherever their clusters say that they are.

Only the status of an answer counts: redirects are not followed, and what else an application says is not read.
"""

import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from krake.data.destinations import Destinations

CALL_LIMIT = 10.0
"""Seconds that a call may take."""
_LONGEST_MESSAGE = 200
_URL = re.compile(r"https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}(/[a-z]*)?")
"""Clusters say what the host is: anything else in there would lead to another path, or another host."""
_ELSEWHERE = Destinations()
_HERE = Destinations(allow=("127.0.0.0/8", "::1"))


class CallFailed(Exception):
    """An application could not be called, or did not accept; the message is one sentence that says why."""


async def put(url: str, headers: Mapping[str, str], *, local: bool) -> None:
    """Send a request without a body.

    The certificate of a server is not verified, as nobody knows who should have issued it: send nothing that is secret.

    :param local: whether the application may be on this machine.
    :raises CallFailed: it did not accept.
    """
    if not _URL.fullmatch(url):
        raise CallFailed(f"{url[:_LONGEST_MESSAGE]} is nothing that can be called: its host is neither a name nor an address.")
    check_address(urlsplit(url).hostname or "", local=local)
    connector = aiohttp.TCPConnector(ssl=False, force_close=True, resolver=_CheckedResolver(local))
    timeout = aiohttp.ClientTimeout(total=CALL_LIMIT)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.put(url, headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
    except TimeoutError:
        raise CallFailed(f"{url} does not answer within {CALL_LIMIT:g} s.") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # What does not speak HTTP is quoted.
        raise CallFailed(f"{url} can not be called: {str(error)[:_LONGEST_MESSAGE]}") from None
    if not 200 <= status < 300:
        raise CallFailed(f"{url} answers with status {status}.")


def check_address(host: str, *, local: bool) -> None:
    """Refuse addresses at which there are no applications, but what serves this machine or its network only.

    A name passes: its addresses are checked when it has been resolved.

    :param local: whether addresses of this machine are allowed.
    :raises CallFailed: the address is one of these.
    """
    try:
        allowed = (_HERE if local else _ELSEWHERE).may_reach(host, host)
    except ValueError:
        # What is not resolved, as it looks like an address, some understand as one: 127.1, or 2130706433.
        allowed = not host.replace(".", "").isdigit()
    if not allowed:
        raise CallFailed(f"Applications are not called at {host}.")


class _CheckedResolver(AbstractResolver):
    """Resolves names as the system does, and checks what comes out."""

    def __init__(self, local: bool) -> None:
        self._local = local
        self._inner = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            check_address(each["host"], local=self._local)
        return found

    async def close(self) -> None:
        await self._inner.close()
