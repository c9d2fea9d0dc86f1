"""Watches the objects of all kinds, deletes what depends on what is deleted, and lets go of what nothing depends on."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from krake.client import ApiError, Client, NotFound
from krake.controller.gc.evacuation import Fate, fate_of
from krake.controller.gc.graph import Graph, in_deletion, plan_release
from krake.controller.runtime import Controller, ControllerConfig, Informer, Parts, Result, remove_finalizer
from krake.data import KINDS, Resource, ResourceRef
from krake.data.metadata import CASCADE_DELETION

log = logging.getLogger(__name__)

Informers = dict[type[Resource], Informer[Any]]
Free = Callable[[ResourceRef, ResourceRef], Awaitable[None]]
"""Lets an owner be free of a dependent."""


class GarbageCollector:
    """Reconciles objects that are being deleted. All it knows is what the API says: a restart loses nothing.

    An owner that does not exist (any more) holds nothing up and takes nothing along: who removes an object by force wants to
    keep what depends on it, or to place it elsewhere.

    A cluster that is deleted waits until its applications have left it: the scheduler places them elsewhere, or takes them from
    it, and the application controller clears up there.

    :param informers: one for each kind that is not transient.
    :param enqueue: has an object reconciled.
    """

    def __init__(self, client: Client, informers: Informers, enqueue: Callable[[ResourceRef], None]) -> None:
        self._client = client
        self._informers = {(kind.api, kind.kind): informer for kind, informer in informers.items()}
        self._enqueue = enqueue
        self._graph = Graph()
        for informer in informers.values():
            informer.on_change(self._follow)

    def _get(self, ref: ResourceRef) -> Resource | None:
        informer = self._informers.get((ref.api, ref.kind))
        return None if informer is None else informer.get(ref.key)

    def _deleted(self, ref: ResourceRef) -> bool:
        obj = self._get(ref)
        return obj is None or obj.metadata.deleted is not None

    def _follow(self, old: Resource | None, new: Resource | None) -> None:
        obj = new or old
        assert obj is not None
        # Whatever happens on a cycle, one of these can go next, and then the next: the rest of the cycle need not be told.
        affected = {obj.ref, *obj.metadata.owners}
        if old is not None:
            # An owner that an object has left may have been waiting for it.
            affected.update(old.metadata.owners)
        if new is not None and (old is None or old.metadata.owners != new.metadata.owners):
            self._graph.put(new.ref, new.metadata.owners)
        if new is None:
            self._graph.remove(obj.ref)
        for ref in affected:
            found = self._get(ref)
            if found is not None and in_deletion(found.metadata):
                self._enqueue(ref)

    async def reconcile(self, ref: ResourceRef) -> Result | None:
        """Take an object that is being deleted one step further, if it is the garbage collector's turn."""
        obj = self._get(ref)
        if obj is None or not in_deletion(obj.metadata):
            return None
        release = plan_release(self._graph, ref, self._deleted, partial(self._fate, obj))
        await self._each(self._delete, ref, release.delete)
        await self._each(self._disown, ref, release.disown)
        if not release.waiting_for:
            await self._let_go(obj)
        return None

    def _fate(self, owner: Resource, ref: ResourceRef) -> Fate:
        dependent = self._get(ref)
        return Fate.GO if dependent is None else fate_of(dependent, owner)

    async def _each(self, do: Free, owner: ResourceRef, dependents: tuple[ResourceRef, ...]) -> None:
        errors: list[ApiError] = []
        for ref in dependents:
            try:
                await do(owner, ref)
            except NotFound:
                continue
            except ApiError as error:
                # One that can not be freed now does not hold up the others.
                errors.append(error)
        if errors:
            raise errors[0]

    async def _delete(self, owner: ResourceRef, ref: ResourceRef) -> None:
        await self._client.delete(KINDS[ref.api, ref.kind], ref.key)
        log.info("Deleting %s, because it depends on %s.", ref, owner)

    async def _disown(self, owner: ResourceRef, ref: ResourceRef) -> None:
        dependent = self._get(ref)
        if dependent is None:
            return
        owners = [each.serialize() for each in dependent.metadata.owners if each != owner]
        metadata = {"owners": owners, "resource_version": dependent.metadata.resource_version}
        await self._client.patch(type(dependent), ref.key, {"metadata": metadata})
        log.info("%s has nothing on %s, and is not deleted with it.", ref, owner)

    async def _let_go(self, obj: Resource) -> None:
        try:
            await remove_finalizer(self._client, obj, CASCADE_DELETION)
            log.info("Nothing depends on %s any more.", obj.ref)
        except NotFound:
            log.debug("%s is gone already.", obj.ref)


def build(config: ControllerConfig, client: Client) -> Parts:
    """Return the parts of the garbage collector."""
    informers: Informers = {kind: Informer(client, kind) for kind in KINDS.values() if not kind.definition.transient}

    async def reconcile(ref: ResourceRef) -> Result | None:
        return await collector.reconcile(ref)

    controller: Controller[ResourceRef] = Controller("gc", reconcile, config.worker_count, debounce=config.debounce)
    collector = GarbageCollector(client, informers, partial(controller.enqueue))
    return Parts(informers=list(informers.values()), controllers=[controller])
