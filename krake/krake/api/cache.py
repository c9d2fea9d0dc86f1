"""The watch cache: all objects in memory, kept up to date by one watch on the store.

Reads and watches are served from here without asking the store. A process sees its own writes: whoever has written waits with
`Cache.reach` until the cache has come so far.
"""

import asyncio
import heapq
import logging
import random
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from itertools import count

from krake.api.dependents import Dependents
from krake.api.items import Event, Item, read_item
from krake.api.problem import gone, last_line, unavailable
from krake.api.schema import marks
from krake.api.subscription import Subscription
from krake.data.kinds import KINDS, Resource
from krake.data.metadata import Key, WatchEventType
from krake.lib.backoff import Backoff
from krake.ports.store import Batch, Change, ChangeType, Compacted, Entry, Snapshot, Store, StoreError

logger = logging.getLogger(__name__)

_PAGE = 1000
_PROBE_INTERVAL = 2.0
_RETRY = Backoff(initial=0.1, ceiling=5.0)
_AFTER_ALL_KEYS = "\U0010ffff"


class Collection:
    """The objects of one kind, their latest changes, and who watches them.

    :param dependents: is told of the owners of the objects; all kinds share it.
    """

    def __init__(self, kind: type[Resource], history: int, dependents: Dependents) -> None:
        self.kind = kind
        self.changed = 0
        """The revision of the latest known change."""
        self.horizon = 0
        """All changes after this revision are in the history."""
        self.subscriptions: set[Subscription] = set()
        self.listings: dict[tuple[str, bool], bytes] = {}
        """Texts of whole lists by prefix and whether secrets are shown, until the next change."""
        self.unreadable: set[str] = set()
        """The store keys of entries that are left out because they are no objects."""
        self._dependents = dependents
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._history: deque[Event] = deque()
        self._history_limit = history

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Key) -> Item | None:
        """The object, if there is one."""
        return self._items.get(self.kind.definition.store_key(key))

    def select(self, prefix: str, after: str = "") -> Iterator[Item]:
        """The objects whose store keys start with *prefix* and come behind *after*, in the order of the keys."""
        start = bisect_left(self._order, max(prefix, f"{after}\0" if after else ""))
        end = bisect_left(self._order, prefix + _AFTER_ALL_KEYS)
        return map(self._items.__getitem__, self._order[start:end])

    def load(self, entries: Sequence[Entry], revision: int) -> None:
        """Begin anew with the objects as they are at *revision*."""
        self.unreadable.clear()
        items = [item for entry in entries if (item := self._read(entry))]
        for item in self._items.values():
            self._dependents.replace(item, None)
        for item in items:
            self._dependents.replace(None, item)
        self._items = {item.store_key: item for item in items}
        self._order = sorted(self._items)
        self._history.clear()
        self.listings.clear()
        self.horizon = self.changed = revision

    def apply(self, change: Change) -> None:
        """Take over a change, and tell it to the watchers."""
        event = self._follow(change)
        self.changed = change.revision
        self.listings.clear()
        if event is None:
            return
        self._history.append(event)
        if len(self._history) > self._history_limit:
            self.horizon = self._history.popleft().revision
        for subscription in self.subscriptions:
            subscription.offer(event)

    def _follow(self, change: Change) -> Event | None:
        previous = self._items.get(change.key)
        self.unreadable.discard(change.key)
        item = self._read(change.entry) if change.type is ChangeType.PUT else None
        self._dependents.replace(previous, item)
        if item is None:
            if previous is None:
                return None
            del self._items[change.key]
            del self._order[bisect_left(self._order, change.key)]
            return Event(WatchEventType.DELETED, previous.at(change.revision), previous)
        if previous is None:
            insort(self._order, change.key)
        self._items[change.key] = item
        return Event(WatchEventType.ADDED if previous is None else WatchEventType.MODIFIED, item, previous)

    def _read(self, entry: Entry) -> Item | None:
        item = read_item(self.kind, entry)
        if item is None:
            self.unreadable.add(entry.key)
        return item

    def since(self, revision: int) -> list[Event]:
        """The changes after *revision*, which must not be before the horizon."""
        newest_first = []
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            newest_first.append(event)
        return newest_first[::-1]

    def difference(self, prefix: str, past: Sequence[Entry], revision: int) -> list[Event]:
        """The changes, one for each object, that lead from the entries of the *past* at *revision* to the present.

        The removed objects come first and keep the past revision, so that a watcher that is cut off among them asks for all of
        them again.
        """
        events: list[Event] = []
        gone = {entry.key: item for entry in past if (item := read_item(self.kind, entry))}
        for item in self.select(prefix):
            previous = gone.pop(item.store_key, None)
            if previous is not None and previous.created_revision != item.created_revision:
                gone[item.store_key] = previous
                previous = None
            if previous is None:
                events.append(Event(WatchEventType.ADDED, item, None))
            elif previous.revision != item.revision:
                events.append(Event(WatchEventType.MODIFIED, item, previous))
        removed = [Event(WatchEventType.DELETED, item.at(revision), item) for item in gone.values()]
        return removed + sorted(events, key=lambda event: event.revision)


class Cache:
    """The collections of all kinds.

    :param history: how many changes of each kind are remembered.
    :param max_staleness: for how many seconds reads may be served while the store cannot be reached.
    """

    def __init__(self, store: Store, *, history: int, max_staleness: float) -> None:
        self._store = store
        self.dependents = Dependents()
        self._collections = {kind: Collection(kind, history, self.dependents) for kind in KINDS.values()}
        self._by_prefix = {kind.definition.prefix: collection for kind, collection in self._collections.items()}
        self._max_staleness = max_staleness
        self._store_seen = float("-inf")
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ticket = count()
        self.revision = 0
        """All changes up to this revision have been taken over; 0 before the first load."""
        self.store_revision = 0
        """How far the store itself was when it was asked last."""
        self._marks: dict[str, bytes] = {}
        self.concern: str | None = None
        """Why the objects must not be used now although the store is there, or nothing."""

    def __getitem__(self, kind: type[Resource]) -> Collection:
        return self._collections[kind]

    @property
    def collections(self) -> Sequence[Collection]:
        return tuple(self._collections.values())

    @property
    def readable(self) -> bool:
        """Whether the cache is loaded, the store was reached not too long ago, and its objects may be used."""
        return self.revision > 0 and self.age <= self._max_staleness and self.concern is None

    def check(self) -> None:
        """Raise Problem 503 if what is here must not be used."""
        if not self.readable:
            raise unavailable(self.concern or "The store cannot be reached now; try again.")

    @property
    def age(self) -> float:
        """How many seconds ago the store was reached last; infinite before the first time."""
        return time.monotonic() - self._store_seen

    async def run(self) -> None:
        """Follow the store, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._probe())
            tasks.create_task(self._follow())

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                await self._load()
                failures = 0
                async with aclosing(self._store.watch("/", self.revision)) as batches:
                    async for batch in batches:
                        self._apply(batch)
            except Compacted:
                failures += 1
                logger.warning("The history of the store is cut off behind revision %d; loading anew.", self.revision)
            except StoreError as error:
                failures += 1
                logger.warning("The cache cannot follow the store: %s", error)
            except Exception:
                # Whatever it is, an API without its cache could not serve anything.
                failures += 1
                logger.exception("The cache has stumbled; loading anew.")
            await asyncio.sleep(_RETRY.delay(failures, random.random()))

    async def _probe(self) -> None:
        answered = True
        while True:
            try:
                self.store_revision = await self._store.ping()
                self._store_seen = time.monotonic()
                answered = True
            except StoreError as error:
                if answered:
                    logger.warning("The store does not answer: %s", error)
                answered = False
            await asyncio.sleep(_PROBE_INTERVAL)

    async def _load(self) -> None:
        pages: dict[Collection, tuple[Entry, ...]] = {}
        revision: int | None = None
        for collection in self.collections:
            snapshot = await list_all(self._store, collection.kind.definition.prefix, revision)
            pages[collection], revision = snapshot.entries, snapshot.revision
        assert revision is not None
        self._marks = {entry.key: entry.value for entry in (await list_all(self._store, marks.PREFIX, revision)).entries}
        # Watchers resume from the version they know, unless the store was set back and has never had it.
        last = None if revision >= self.revision else last_line(gone(self.revision))
        self.close_subscriptions(last)
        self._take_heed()
        for collection, entries in pages.items():
            collection.load(entries, revision)
        self._store_seen = time.monotonic()
        self._advance(revision)
        logger.info("Loaded %d objects at revision %d.", sum(map(len, self.collections)), revision)

    def _apply(self, batch: Batch) -> None:
        for change in batch.changes:
            _, api, plural, *_ = f"{change.key}//".split("/", 3)
            collection = self._by_prefix.get(f"/{api}/{plural}/")
            if collection is not None:
                collection.apply(change)
            elif change.key.startswith(marks.PREFIX):
                self._mark(change)
        self._store_seen = time.monotonic()
        self._advance(batch.revision)

    def _mark(self, change: Change) -> None:
        if change.type is ChangeType.PUT:
            self._marks[change.key] = change.entry.value
        else:
            self._marks.pop(change.key, None)
        self._take_heed()

    def _take_heed(self) -> None:
        concern, self.concern = self.concern, marks.concern_of(self._marks)
        if self.concern is not None and self.concern != concern:
            # Half a state must not be acted upon.
            self.close_subscriptions()
            logger.error("Nothing is served: %s", self.concern)
        elif self.concern is None and concern is not None:
            logger.info("All is served again.")

    def _advance(self, revision: int) -> None:
        self.revision = revision
        while self._waiting and self._waiting[0][0] <= revision:
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                waiter.set_result(None)

    async def reach(self, revision: int, limit: float = 5.0) -> bool:
        """Wait until the cache has taken over *revision*; false if it has not within *limit* seconds."""
        if self.revision >= revision:
            return True
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, next(self._ticket), waiter))
        try:
            async with asyncio.timeout(limit):
                await waiter
        except TimeoutError:
            return False
        return True

    async def catch_up(self) -> bool:
        """Wait until the cache knows all that was written before the call; false if it does not in time.

        :raises StoreError: the store does not say how far it is.
        """
        return await self.reach(await self._store.revision())

    def close_subscriptions(self, last: bytes | None = None) -> None:
        """End all watches, with a *last* line if there is one."""
        for collection in self.collections:
            for subscription in collection.subscriptions:
                subscription.close(last)


async def list_all(store: Store, prefix: str, revision: int | None = None) -> Snapshot:
    """Read all entries below *prefix* page by page, so that no answer of the store becomes too large."""
    page = await store.list(prefix, limit=_PAGE, revision=revision)
    entries = list(page.entries)
    while page.more:
        page = await store.list(prefix, limit=_PAGE, after=page.entries[-1].key, revision=page.revision)
        entries += page.entries
    return Snapshot(tuple(entries), page.revision)
