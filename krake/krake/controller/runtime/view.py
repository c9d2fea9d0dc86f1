"""The objects of a kind as of one version, kept by lists and events. Pure."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from krake.data.kinds import Listing, Resource
from krake.data.metadata import Key, WatchEventType
from krake.data.secrets import has_secrets

R = TypeVar("R", bound=Resource)


class Transition(NamedTuple, Generic[R]):
    """An object before and after a change; ``None`` where there was, or is, no such object. Never both."""

    old: R | None
    new: R | None

    @property
    def key(self) -> Key:
        return (self.new or self.old).key  # type: ignore[union-attr]


Transitions = list[Transition[R]]


def version_of(text: str | None) -> int:
    """The number of a resource version; 0 for none."""
    return int(text) if text and text.isascii() and text.isdigit() else 0


class View(Generic[R]):
    """What lists and events tell. Each event is applied once, however often it is delivered."""

    def __init__(self) -> None:
        self._objects: dict[Key, R] = {}
        self._indexes: dict[str, Index[R]] = {}
        self.objects: Mapping[Key, R] = MappingProxyType(self._objects)
        self.version = 0
        """Everything up to this version is in here."""

    def replace(self, listing: Listing[R]) -> Transitions[R]:
        """Take over a list; what it does not hold any more was deleted meanwhile."""
        found = {item.key: item for item in listing.items}
        changes: Transitions[R] = []
        for key in [key for key in self._objects if key not in found]:
            changes += self._put(key, None)
        for key, item in found.items():
            if not _same(self._objects.get(key), item):
                changes += self._put(key, item)
        self.version = version_of(listing.resource_version)
        return changes

    def apply(self, type_: WatchEventType, obj: R) -> Transitions[R]:
        """Take over an event."""
        version = version_of(obj.metadata.resource_version)
        self.version = max(self.version, version)
        if type_ is WatchEventType.BOOKMARK:
            return []
        key, old = obj.key, self._objects.get(obj.key)
        known = version_of(old.metadata.resource_version) if old else 0
        if type_ is WatchEventType.DELETED:
            return [] if old is None or known > version else self._put(key, None)
        return [] if old is not None and known >= version > 0 else self._put(key, obj)

    def index(self, name: str, values: Callable[[R], Iterable[Hashable]]) -> None:
        """Keep the objects by the values that *values* returns of each."""
        index = self._indexes[name] = Index(values)
        for key, obj in self._objects.items():
            index.put(key, obj)

    def lookup(self, name: str, value: Hashable) -> list[R]:
        """The objects under a value of an index, in the order of their keys."""
        return [self._objects[key] for key in sorted(self._indexes[name].keys(value), key=_order)]

    def _put(self, key: Key, new: R | None) -> Transitions[R]:
        old = self._objects.pop(key, None) if new is None else self._objects.get(key)
        if new is not None:
            self._objects[key] = new
        for index in self._indexes.values():
            index.put(key, new)
        if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
            return [Transition(old, None), Transition(None, new)]
        return [Transition(old, new)]


class Index(Generic[R]):
    """The keys of objects by values of these objects."""

    def __init__(self, values: Callable[[R], Iterable[Hashable]]) -> None:
        self._values = values
        self._keys: dict[Hashable, set[Key]] = defaultdict(set)
        self._of: dict[Key, frozenset[Hashable]] = {}

    def put(self, key: Key, obj: R | None) -> None:
        """Replace what is known of a key."""
        for value in self._of.pop(key, ()):
            self._keys[value].discard(key)
            if not self._keys[value]:
                del self._keys[value]
        values = frozenset() if obj is None else frozenset(self._values(obj))
        if values:
            self._of[key] = values
        for value in values:
            self._keys[value].add(key)

    def keys(self, value: Hashable) -> frozenset[Key]:
        """The keys under a value."""
        return frozenset(self._keys.get(value, ()))


def _same(old: Resource | None, new: Resource) -> bool:
    version = new.metadata.resource_version
    if old is None or version is None or old.metadata.resource_version != version:
        return False
    # The very same version shows other secrets to someone who may see them by now.
    return not has_secrets(type(new)) or old == new


def _order(key: Key) -> tuple[str, str]:
    return key.namespace or "", key.name
