"""Reads from the cache: objects, and lists with selectors and pages."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice

from krake.api.cache import Cache, Collection
from krake.api.items import Item, read_item, redact_all
from krake.api.problem import gone, not_found
from krake.api.query import ListQuery, Page
from krake.api.selector import Selector
from krake.data.kinds import Kind, Resource, kind_of
from krake.data.metadata import Key, ListMetadata, ResourceRef
from krake.ports.store import Compacted, Store

_PAST_PAGE = 500
_MAX_LISTINGS = 100


class Reader:
    """Reads objects and lists. Raises Problem 503 while the cache is not to be trusted."""

    def __init__(self, store: Store, cache: Cache) -> None:
        self._store = store
        self._cache = cache

    def check(self) -> None:
        """Refuse to read what may be too old."""
        self._cache.check()

    def get(self, kind: type[Resource], key: Key) -> Item:
        """Return an object.

        :raises Problem: there is no such object.
        """
        self.check()
        item = self._cache[kind].get(key)
        if item is None:
            raise not_found(kind.definition, key)
        return item

    def find(self, ref: ResourceRef) -> Resource | None:
        """Return the object that *ref* names, if it is there."""
        self.check()
        try:
            item = self._cache[kind_of(ref)].get(ref.key)
        except LookupError:
            return None
        return None if item is None else item.record

    async def look_up(self, ref: ResourceRef) -> Resource | None:
        """Return the object that *ref* names, also if another process has only just created it."""
        found = self.find(ref)
        if found is None:
            await self._cache.catch_up()
            found = self.find(ref)
        return found

    async def collect(self, kind: type[Resource], prefix: str, query: ListQuery, *, secrets: bool = False) -> bytes:
        """Return the list envelope with the objects below *prefix*, for someone who may see *secrets* or may not.

        :raises Problem: 410 the state that a page belongs to is forgotten.
        """
        self.check()
        collection = self._cache[kind]
        if query.whole:
            if not secrets and (prefix, secrets) not in collection.listings:
                await redact_all(collection.select(prefix))
            return self._list_whole(collection, prefix, secrets)
        page = query.page or Page(self._cache.revision, "")
        if query.page is None or collection.changed <= page.revision <= self._cache.revision:
            items = _select(collection.select(prefix, page.after), query.selector)
            shown = list(islice(items, query.limit))
            more = next(items, None) is not None
        else:
            shown, more = await self._list_past(collection, prefix, query, page)
        if not secrets:
            await redact_all(shown)
        token = Page(page.revision, shown[-1].store_key).token if more else None
        return _envelope(kind.definition, ListMetadata(resource_version=str(page.revision), continue_=token), shown, secrets)

    def _list_whole(self, collection: Collection, prefix: str, secrets: bool) -> bytes:
        text = collection.listings.get((prefix, secrets))
        if text is None:
            version = ListMetadata(resource_version=str(self._cache.revision))
            text = _envelope(collection.kind.definition, version, list(collection.select(prefix)), secrets)
            if len(collection.listings) < _MAX_LISTINGS:
                collection.listings[prefix, secrets] = text
        return text

    async def _list_past(self, collection: Collection, prefix: str, query: ListQuery, page: Page) -> tuple[list[Item], bool]:
        """Read a page of a state that is not the current one any more."""
        shown: list[Item] = []
        after = page.after
        while True:
            try:
                snapshot = await self._store.list(prefix, limit=_PAST_PAGE, after=after, revision=page.revision)
            except Compacted:
                raise gone(page.revision) from None
            items = (item for entry in snapshot.entries if (item := read_item(collection.kind, entry)))
            shown += _select(items, query.selector)
            if query.limit is not None and len(shown) > query.limit:
                return shown[: query.limit], True
            if not snapshot.more:
                return shown, False
            after = snapshot.entries[-1].key


def _select(items: Iterable[Item], selector: Selector | None) -> Iterator[Item]:
    return iter(items) if selector is None else (item for item in items if selector.match(item.labels))


def _envelope(kind: Kind, metadata: ListMetadata, items: list[Item], secrets: bool) -> bytes:
    head = json.dumps({"api": kind.api, "kind": kind.list_kind, "metadata": metadata.serialize(), "items": []})
    if not items:
        return head.encode()
    texts = [item.shown(secrets) for item in items]
    # One copy of what may be megabytes is enough.
    texts[0] = head[:-2].encode() + texts[0]
    texts[-1] += b"]}"
    return b", ".join(texts)
