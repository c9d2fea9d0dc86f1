"""`krake.ports.store.Store` on etcd."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from types import TracebackType
from typing import Self

from krake.adapters.etcd import messages
from krake.adapters.etcd import rpc_pb2 as rpc
from krake.adapters.etcd.connection import COMPACT, PROBE, RANGE, TXN, Connection, Login, Tls
from krake.adapters.etcd.errors import NoLease, OutOfRange
from krake.adapters.etcd.leases import Leases
from krake.adapters.etcd.watch import follow
from krake.ports.store import Batch, Compacted, Create, Delete, Entry, Operation, Snapshot, Unavailable, Update

_PING_TIMEOUT = 2.0


class EtcdStore:
    """A cluster of etcd, version 3.4 or later. Make it inside a running event loop; close it there, or use `async with`."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        login: Login | None = None,
        timeout: float = 5.0,
        heartbeat: float = 5.0,
    ) -> None:
        """`endpoints`: `http://host:port` or `https://host:port` of the members; the next is used when one fails.

        `timeout` is the limit of every call, `heartbeat` the interval at which watches ask for the revision, in seconds.
        Nothing is connected yet. Raises ValueError for endpoints of another form, or none.
        """
        self._connection = Connection(endpoints, tls, login, timeout)
        self._leases = Leases(self._connection)
        self._heartbeat = heartbeat

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, key: str) -> Entry | None:
        answer = await self._connection.read(RANGE, messages.point_read(key))
        return messages.entry(answer.kvs[0]) if answer.kvs else None

    async def list(
        self, prefix: str, *, limit: int | None = None, after: str | None = None, revision: int | None = None
    ) -> Snapshot:
        request = messages.prefix_read(prefix, limit, after, revision)
        try:
            answer = await self._connection.read(RANGE, request)
        except OutOfRange:
            raise Compacted(request.revision) from None
        entries = tuple(map(messages.entry, answer.kvs))
        return Snapshot(entries, request.revision or answer.header.revision, answer.more)

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int:
        return await self.transact([Create(key, value, ttl)])

    async def update(self, key: str, value: bytes, expected: int, *, ttl: int | None = None) -> int:
        return await self.transact([Update(key, value, expected, ttl)])

    async def delete(self, key: str, expected: int) -> int:
        return await self.transact([Delete(key, expected)])

    async def transact(self, operations: Sequence[Operation]) -> int:
        ttls = messages.lifetimes(operations)
        answer = await (self._write_leased(operations, ttls) if ttls else self._write(operations, {}))
        if not answer.succeeded:
            raise messages.refusal(operations, answer)
        return answer.header.revision

    async def _write(self, operations: Sequence[Operation], leases: Mapping[int, int]) -> rpc.TxnResponse:
        return await self._connection.write(TXN, messages.transaction(operations, leases))

    async def _write_leased(self, operations: Sequence[Operation], ttls: Set[int]) -> rpc.TxnResponse:
        try:
            async with asyncio.timeout(self._connection.timeout):
                leases = {ttl: await self._leases.obtain(ttl) for ttl in ttls}
                try:
                    return await self._write(operations, leases)
                except NoLease:
                    # Somebody has revoked it, or etcd was set back to a state without it.
                    self._leases.forget(set(leases.values()))
                    return await self._write(operations, {ttl: await self._leases.obtain(ttl) for ttl in ttls})
        except TimeoutError:
            message = "The store did not answer in time; the write may have been applied, read the entry to find out."
            raise Unavailable(message, outcome_unknown=True) from None

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        return follow(self._connection, prefix, after, self._heartbeat)

    async def revision(self) -> int:
        answer = await self._connection.read(RANGE, PROBE)
        return answer.header.revision

    async def ping(self) -> int:
        answer = await self._connection.read(RANGE, PROBE, min(_PING_TIMEOUT, self._connection.timeout))
        return answer.header.revision

    async def compact(self, revision: int) -> None:
        try:
            await self._connection.write(COMPACT, rpc.CompactionRequest(revision=revision))
        except OutOfRange as error:
            if error.ahead:
                raise ValueError(f"The store cannot be compacted up to revision {revision}, which is ahead.") from None

    async def close(self) -> None:
        await self._connection.close()
