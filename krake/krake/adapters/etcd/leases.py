"""How entries of etcd expire: by a lease that many of them share."""

import asyncio
from dataclasses import dataclass

from krake.adapters.etcd import rpc_pb2 as rpc
from krake.adapters.etcd.connection import LEASE_GRANT, Connection

_LONGEST_SHARED = 60
"""Seconds in which a lease is used for new entries at most."""
_MOST_ENTRIES = 1000
"""For so many entries; etcd deletes all entries of a lease at one revision."""


@dataclass(slots=True)
class _Lease:
    id: int
    until: float
    entries: int = 0


class Leases:
    """A lease of etcd for each time to live; a new one every minute, so that thousands of entries need but a few leases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._current: dict[int, _Lease] = {}
        self._turn = asyncio.Lock()

    async def obtain(self, ttl: int) -> int:
        """Return the id of a lease that lasts for `ttl` seconds at least, from this call on.

        Raises Unavailable, Denied, StoreError; ValueError if `ttl` is below 1.
        """
        if ttl < 1:
            raise ValueError(f"A time to live is at least 1 second, not {ttl}.")
        now = asyncio.get_running_loop().time
        asked = now()
        async with self._turn:
            lease = self._current.get(ttl)
            if lease is None or lease.until < asked or lease.entries >= _MOST_ENTRIES:
                # What is shared for longer must last for longer: no entry may go too early.
                shared = min(_LONGEST_SHARED, max(1, ttl // 10))
                granted = now()
                request = rpc.LeaseGrantRequest(ttl=ttl + shared)
                # One that is granted in vain, as its answer was lost, ends by itself: asking again does no harm.
                answer = await self._connection.read(LEASE_GRANT, request)
                lease = self._current[ttl] = _Lease(answer.id, granted + shared)
            lease.entries += 1
            return lease.id

    def forget(self, lost: set[int]) -> None:
        """Obtain other leases from now on: these are not there any more."""
        self._current = {ttl: lease for ttl, lease in self._current.items() if lease.id not in lost}
