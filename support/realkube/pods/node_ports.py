"""Keeps a way from the machine's loopback to each NodePort of a cluster."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from realkube.admin import Administrator

from .relay import Relay

_RETRY = 0.5
_WATCH_SECONDS = 3600
_LIMITS = aiohttp.ClientTimeout(total=None, sock_connect=10)


class NodePorts:
    """Follows the Services of a cluster; a port of its node is the same port of *address* on the machine."""

    def __init__(self, url: str, administrator: Administrator, relay: Relay, address: str, node: str) -> None:
        self._url = url
        self._administrator = administrator
        self._relay = relay
        self._address = address
        self._node = node
        self._open: dict[int, asyncio.Server] = {}

    async def follow(self, link: asyncio.Event) -> None:
        """Open and close ways as Services come and go, for ever."""
        connector = aiohttp.TCPConnector(ssl=self._administrator.tls)
        async with aiohttp.ClientSession(
            connector=connector, headers=self._administrator.headers, timeout=_LIMITS, read_bufsize=1 << 22
        ) as session:
            while True:
                try:
                    async for ports in self._watch(session):
                        await self._become(ports, link)
                except (aiohttp.ClientError, OSError, ValueError) as error:
                    print(f"watching Services: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(_RETRY)

    async def _watch(self, session: aiohttp.ClientSession) -> AsyncIterator[set[int]]:
        """Yield all NodePorts each time that a Service changes."""
        services: dict[str, set[int]] = {}
        query = {"watch": "1", "timeoutSeconds": str(_WATCH_SECONDS)}
        async with session.get(f"{self._url}/api/v1/services", params=query, raise_for_status=True) as response:
            async for line in response.content:
                event = json.loads(line)
                service = event["object"]
                ports = set() if event["type"] == "DELETED" else _node_ports(service)
                services[service["metadata"]["uid"]] = ports
                yield set().union(*services.values())

    async def _become(self, wanted: set[int], link: asyncio.Event) -> None:
        for port in self._open.keys() - wanted:
            self._open.pop(port).close()
        for port in sorted(wanted - self._open.keys()):
            try:
                self._open[port] = await self._relay.publish((self._address, port), (self._node, port), link)
            except OSError as error:  # a port of the machine's is in use; the next change tries again
                print(f"{self._address}:{port} cannot lead to its NodePort: {error}", file=sys.stderr, flush=True)


def _node_ports(service: dict[str, Any]) -> set[int]:
    ports = service["spec"].get("ports") or ()
    return {port["nodePort"] for port in ports if port.get("nodePort") and port.get("protocol", "TCP") == "TCP"}
