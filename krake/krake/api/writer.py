"""Writes to the store: guarded by versions, repeated when overtaken, and seen by the cache before they are answered."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from weakref import WeakValueDictionary

from krake.api.cache import Cache
from krake.api.items import Item, encode, read_item
from krake.api.lifecycle import Outcome
from krake.api.problem import Problem, already_exists, not_found, outdated, refused, unavailable
from krake.data.kinds import Resource
from krake.data.metadata import Key
from krake.lib.backoff import Backoff
from krake.ports.store import AlreadyExists, Conflict, Delete, Entry, Store, Update

logger = logging.getLogger(__name__)

Decide = Callable[[Item], Outcome]
"""Says what becomes of the stored object; may be asked again with a newer one."""

_LIMIT = 15.0
"""Seconds that a write may take with all its repetitions and the wait for others that write the same object."""
_REPETITION = Backoff(initial=0.005, ceiling=0.2)


class Writer:
    """Creates, changes and removes objects.

    :param repetitions: how often a write is tried again after another process was faster.
    :param ttl: for how many seconds transient objects are kept after they were last written.
    :param changed: is told of each change and removal that was written, with the object before it.
    """

    def __init__(
        self, store: Store, cache: Cache, *, repetitions: int, ttl: int, changed: Callable[[Resource, Outcome], None]
    ) -> None:
        self._store = store
        self._cache = cache
        self._repetitions = repetitions
        self._ttl = ttl
        self._changed = changed
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, record: Resource) -> Item:
        """Store a new object; returns it as it was written.

        :raises Problem: there is one of that name.
        """
        self._check()
        value = _encode(record)
        kind = type(record)
        store_key = kind.definition.store_key(record.key)
        try:
            revision = await self._store.create(store_key, value, ttl=self._ttl_of(kind))
        except AlreadyExists as error:
            # Whoever is told so finds it, too.
            await self._cache.reach(error.current.revision)
            raise already_exists(kind.definition, record.key) from None
        return await self._settle(kind, Entry(store_key, value, revision, revision))

    async def change(self, kind: type[Resource], key: Key, decide: Decide, *, named: str | None = None) -> Item:
        """Change an object as *decide* says; returns the object after the change.

        :param named: the version that the request knows.
        :raises Problem: there is no such object, or other writers are always faster.
        """
        self._check()
        store_key = kind.definition.store_key(key)
        async with self._turn(store_key):
            item = await self._read(kind, key, store_key, named)
            for failures in range(1, self._repetitions + 2):
                if item is None:
                    raise not_found(kind.definition, key)
                outcome = decide(item)
                if outcome.record is item.record and not outcome.removed:
                    # It may be newer than what is read here, and whoever was told of it must not read an older one.
                    await self._cache.reach(item.revision)
                    return item
                self._check()
                try:
                    return await self._write(item, outcome)
                except Conflict as conflict:
                    lost = conflict
                await asyncio.sleep(_REPETITION.delay(failures, random.random()))
                if lost.key == store_key:
                    item = None if lost.current is None else _read_item(kind, lost.current)
                else:
                    # What the decision relies on has changed; it is looked up in the cache.
                    await self._cache.catch_up()
        raise outdated("Other writers keep changing the object; try again.")

    def _check(self) -> None:
        if self._cache.concern is not None:
            raise unavailable(self._cache.concern)

    @asynccontextmanager
    async def _turn(self, store_key: str) -> AsyncIterator[None]:
        # The writers of one process take turns, so that they need not overtake one another.
        lock = self._locks.get(store_key)
        if lock is None:
            lock = self._locks[store_key] = asyncio.Lock()
        try:
            async with asyncio.timeout(_LIMIT), lock:
                yield
        except TimeoutError:
            raise unavailable(
                "The write took too long and was given up; read the object to find out whether it was applied."
            ) from None

    async def _read(self, kind: type[Resource], key: Key, store_key: str, named: str | None) -> Item | None:
        item = self._cache[kind].get(key)
        if item is not None and (named is None or int(named) <= item.revision):
            return item
        # Another process may have written what has not come here yet.
        entry = await self._store.get(store_key)
        return None if entry is None else _read_item(kind, entry)

    async def _write(self, item: Item, outcome: Outcome) -> Item:
        value = _encode(outcome.record)
        key, expected = item.store_key, item.revision
        write = Delete(key, expected) if outcome.removed else Update(key, value, expected, self._ttl_of(item.kind))
        revision = await self._store.transact([write, *outcome.guards])
        self._changed(item.record, outcome)
        return await self._settle(item.kind, Entry(item.store_key, value, revision, item.created_revision))

    def _ttl_of(self, kind: type[Resource]) -> int | None:
        return self._ttl if kind.definition.transient else None

    async def _settle(self, kind: type[Resource], written: Entry) -> Item:
        """Wait until the write can be read; returns what was written."""
        if not await self._cache.reach(written.revision):
            logger.warning("The cache lags behind: it has not seen revision %d in time.", written.revision)
        return Item.of(kind, written)


def _read_item(kind: type[Resource], entry: Entry) -> Item:
    item = read_item(kind, entry)
    if item is None:
        raise refused(409, "What is stored under this name is no object. An administrator can look at it by 'krake repair'.")
    return item


def _encode(record: Resource) -> bytes:
    if record.metadata.resource_version is not None:
        record = replace(record, metadata=replace(record.metadata, resource_version=None))
    try:
        return encode(record.serialize())
    except ValueError:
        raise Problem(422, "The object holds a number that is too large for JSON.") from None
