"""Who depends on whom, over all kinds: what keeps an object from being removed as soon as that is asked for."""

from collections import defaultdict
from collections.abc import Iterator

from krake.api.items import Item
from krake.data.metadata import ResourceRef


class Dependents:
    """The objects by the owners that they name, of whatever kind these are, and whether they exist or not.

    Owners in other namespaces do not count: everybody may name the objects of others, and could keep them from being removed.
    """

    def __init__(self) -> None:
        self._by_owner: defaultdict[ResourceRef, set[str]] = defaultdict(set)

    def __contains__(self, owner: ResourceRef) -> bool:
        """Whether anything depends on an object."""
        return owner in self._by_owner

    def replace(self, old: Item | None, new: Item | None) -> None:
        """Take over a change of an object; none of before if it is new, none of after if it is removed."""
        if old is not None:
            self._remove(old)
        if new is not None:
            for owner in _owners_of(new):
                self._by_owner[owner].add(new.store_key)

    def _remove(self, item: Item) -> None:
        for owner in set(_owners_of(item)):
            dependents = self._by_owner[owner]
            dependents.discard(item.store_key)
            if not dependents:
                del self._by_owner[owner]


def _owners_of(item: Item) -> Iterator[ResourceRef]:
    return (owner for owner in item.owners if owner.namespace in (None, item.key.namespace))
