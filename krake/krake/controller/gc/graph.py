"""Who depends on whom: a graph of objects and their owners that may hold anything, also diamonds and cycles."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from krake.controller.gc.evacuation import Fate
from krake.data import ResourceRef
from krake.data.metadata import CASCADE_DELETION, Metadata


def in_deletion(metadata: Metadata) -> bool:
    """Whether it is the garbage collector's turn to let go of the object: the owner of the last finalizer acts next."""
    return metadata.deleted is not None and metadata.finalizers[-1:] == [CASCADE_DELETION]


class Graph:
    """The existing objects and, for each, its owners and its dependents.

    An owner that does not exist is remembered, as it may appear later, but it is not part of the graph.
    """

    def __init__(self) -> None:
        self._owners: dict[ResourceRef, tuple[ResourceRef, ...]] = {}
        self._dependents: dict[ResourceRef, set[ResourceRef]] = {}

    def __contains__(self, ref: ResourceRef) -> bool:
        return ref in self._owners

    def put(self, ref: ResourceRef, owners: Iterable[ResourceRef]) -> None:
        """Add an object, or change its owners. Those of other namespaces do not count.

        Everybody may name the objects of others as owners, and could keep them from being deleted.
        """
        self.remove(ref)
        self._owners[ref] = tuple(dict.fromkeys(each for each in owners if each.namespace in (None, ref.namespace)))
        for owner in self._owners[ref]:
            self._dependents.setdefault(owner, set()).add(ref)

    def remove(self, ref: ResourceRef) -> None:
        """Take an object out. Those that depend on it still name it as their owner."""
        for owner in self._owners.pop(ref, ()):
            dependents = self._dependents[owner]
            dependents.discard(ref)
            if not dependents:
                del self._dependents[owner]

    def owners(self, ref: ResourceRef) -> tuple[ResourceRef, ...]:
        """Return the existing owners of an object."""
        return tuple(owner for owner in self._owners.get(ref, ()) if owner in self._owners)

    def dependents(self, ref: ResourceRef) -> frozenset[ResourceRef]:
        """Return the existing objects that directly depend on one."""
        return frozenset(self._dependents.get(ref, ()))

    def cycle(self, ref: ResourceRef) -> frozenset[ResourceRef]:
        """Return the objects that an object depends on *and* that depend on it, over any number of steps, with itself.

        It alone is returned if it is on no cycle. A diamond is none.
        """
        below = _reach(ref, self.dependents)
        return frozenset(below & _reach(ref, self.owners)) | {ref}


def _reach(start: ResourceRef, step: Callable[[ResourceRef], Collection[ResourceRef]]) -> set[ResourceRef]:
    reached: set[ResourceRef] = set()
    waiting = [start]
    while waiting:
        fresh = [each for each in step(waiting.pop()) if each not in reached]
        reached.update(fresh)
        waiting.extend(fresh)
    return reached


@dataclass(frozen=True)
class Release:
    """What an object that is being deleted needs next.

    :param delete: dependents whose deletion is to be asked for.
    :param disown: dependents that are not to name it as their owner any more.
    :param waiting_for: dependents that must go, or leave it, before the object can go; it can go now if there are none.
    """

    delete: tuple[ResourceRef, ...]
    disown: tuple[ResourceRef, ...]
    waiting_for: frozenset[ResourceRef]


def plan_release(
    graph: Graph,
    ref: ResourceRef,
    deleted: Callable[[ResourceRef], bool],
    fate: Callable[[ResourceRef], Fate] = lambda _: Fate.GO,
) -> Release:
    """Return what an object that is being deleted needs next.

    The objects of a cycle would wait for each other for ever. Once all of them are being deleted, none waits for the others.

    :param deleted: whether the deletion of an object was asked for; who is to go anyway neither leaves nor stays.
    :param fate: of a dependent.
    """
    dependents = graph.dependents(ref)
    pending = {each: fate(each) for each in sorted(dependents, key=str) if not deleted(each)}
    return Release(
        tuple(each for each, its in pending.items() if its is Fate.GO),
        tuple(each for each, its in pending.items() if its is Fate.STAY),
        dependents - _lifted(graph, ref, dependents, deleted),
    )


def _lifted(
    graph: Graph, ref: ResourceRef, dependents: frozenset[ResourceRef], deleted: Callable[[ResourceRef], bool]
) -> frozenset[ResourceRef]:
    if not dependents:
        return frozenset()
    cycle = graph.cycle(ref)
    return cycle if all(map(deleted, cycle)) else frozenset()
