"""The store as everything above deals with it: secrets are plain here, and sealed below."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from krake.api.secrets.vault import Vault
from krake.ports.store import (
    AlreadyExists,
    Batch,
    Change,
    ChangeType,
    Conflict,
    Create,
    Delete,
    Entry,
    Operation,
    Snapshot,
    Store,
    Update,
)

_AT_ONCE = 100
"""So many entries are unsealed in one go; others work in between."""


class SealedStore:
    """Seals what is written to *store* and unseals what is read from it; closing it closes *store*.

    A watch does not tell what was there before a change: nobody asks, and it would have to be unsealed as well.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def get(self, key: str) -> Entry | None:
        entry = await self._store.get(key)
        return None if entry is None else await self._open(entry)

    async def list(
        self, prefix: str, *, limit: int | None = None, after: str | None = None, revision: int | None = None
    ) -> Snapshot:
        snapshot = await self._store.list(prefix, limit=limit, after=after, revision=revision)
        entries = []
        for number, entry in enumerate(snapshot.entries, 1):
            entries.append(await self._open(entry))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return replace(snapshot, entries=tuple(entries))

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int:
        return await self.transact([Create(key, value, ttl)])

    async def update(self, key: str, value: bytes, expected: int, *, ttl: int | None = None) -> int:
        return await self.transact([Update(key, value, expected, ttl)])

    async def delete(self, key: str, expected: int) -> int:
        return await self.transact([Delete(key, expected)])

    async def transact(self, operations: Sequence[Operation]) -> int:
        try:
            return await self._store.transact([self._seal(each) for each in operations])
        except AlreadyExists as error:
            error.current = await self._open(error.current)
            raise
        except Conflict as error:
            error.current = error.current and await self._open(error.current)
            raise

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._store.watch(prefix, after)) as batches:
            async for batch in batches:
                yield replace(batch, changes=tuple([await self._open_change(change) for change in batch.changes]))

    async def revision(self) -> int:
        return await self._store.revision()

    async def ping(self) -> int:
        return await self._store.ping()

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def close(self) -> None:
        await self._store.close()

    def _seal(self, operation: Operation) -> Operation:
        if isinstance(operation, (Create, Update)):
            return replace(operation, value=self._vault.seal(operation.key, operation.value))
        return operation

    async def _open_change(self, change: Change) -> Change:
        if change.type is ChangeType.DELETE:
            self._vault.forget(change.key)
        return replace(change, entry=await self._open(change.entry), previous=None)

    async def _open(self, entry: Entry) -> Entry:
        if self._vault.lacks_key_of(entry):
            # Another process may have begun to use a new key; it stands in the file before anything is sealed with it.
            await self._vault.source.refresh()
        return self._vault.open(entry)
