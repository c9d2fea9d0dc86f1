"""Deletes on request: what nobody holds and nothing depends on goes at once; the garbage collector does the rest.

Nothing may depend on what is removed. All that did so before the request is in the cache by the time of the decision. Of what
comes later, only bindings ask whether the owner is there: they refuse one that is in deletion, and fail if it changes in the
meantime. So what can be bound to is marked first, and who was faster than the mark is in the cache after it. Owners that users
declare may be missing at any time; they may come too late for the garbage collector as well.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from krake.api import lifecycle
from krake.api.actions import is_bound_to
from krake.api.admission import prepare_cascade, prepare_deletion
from krake.api.cache import Cache
from krake.api.items import Item
from krake.api.lifecycle import Outcome
from krake.api.problem import Problem, not_found
from krake.api.writer import Writer
from krake.data.kinds import Resource
from krake.data.metadata import Key


class Deletions:
    """Deletes objects."""

    def __init__(self, cache: Cache, writer: Writer, now: Callable[[], datetime]) -> None:
        self._cache = cache
        self._writer = writer
        self._now = now

    async def force(self, kind: type[Resource], key: Key) -> Item:
        """Remove an object, whatever belongs to it. Raises Problem."""
        return await self._writer.change(kind, key, lambda item: lifecycle.remove(item.record, self._now()))

    async def request(self, kind: type[Resource], key: Key, *, cascade: bool = False) -> Item:
        """Remove an object if nothing stands against it, or begin its deletion; returns it as it is after that.

        :param cascade: whether all that depends on it is to be deleted, too, where that can be chosen; it can be asked for
            later, but not taken back.
        :raises Problem: there is no such object, or other writers are always faster.
        """
        if not is_bound_to(kind):
            return await self._go_on(kind, key)
        marked = await self._writer.change(kind, key, lambda item: self._delete(item.record, needed=True, cascade=cascade))
        if lifecycle.is_held(marked.record):
            return marked
        try:
            return await self._go_on(kind, key, marked)
        except Problem as problem:
            if problem.status != 404:
                raise
            return marked  # the garbage collector was faster

    async def _go_on(self, kind: type[Resource], key: Key, marked: Item | None = None) -> Item:
        knows_all = await self._cache.catch_up()

        def decide(item: Item) -> Outcome:
            if marked is not None and item.record.metadata.uid != marked.record.metadata.uid:
                raise not_found(kind.definition, key)
            return self._delete(item.record, needed=not knows_all or item.record.ref in self._cache.dependents)

        return await self._writer.change(kind, key, decide)

    def _delete(self, record: Resource, *, needed: bool, cascade: bool = False) -> Outcome:
        outcome = lifecycle.delete(record, self._now(), needed=needed)
        if outcome.removed:
            return outcome
        after = outcome.record if record.metadata.deleted is not None else prepare_deletion(outcome.record)
        return replace(outcome, record=prepare_cascade(after) if cascade else after)
