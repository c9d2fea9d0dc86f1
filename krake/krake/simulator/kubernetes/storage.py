"""The objects of one cluster, their revisions and a bounded history of changes."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from krake.simulator.kubernetes.kinds import Object

Key = tuple[str, str]  # namespace (empty for cluster-wide kinds) and name

ADDED: Literal["ADDED"] = "ADDED"
MODIFIED: Literal["MODIFIED"] = "MODIFIED"
DELETED: Literal["DELETED"] = "DELETED"


class Expired(Exception):
    """The history no longer reaches back to the revision asked for."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


@dataclass(frozen=True, slots=True)
class Change:
    """One write; `object` is the new state or, of a deleted object, its last one."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    resource: str
    key: Key
    object: Object
    previous: Object | None
    revision: int


def key_of(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Storage:
    """Keeps objects by resource and key. Stored objects are shared with every reader: nobody may change one in place."""

    def __init__(self, history: int = 1000) -> None:
        self.revision = 1
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._dependents: dict[str, dict[tuple[str, Key], None]] = {}
        self._listeners: dict[Callable[[Change], None], None] = {}

    @property
    def listeners(self) -> int:
        """How many follow the changes."""
        return len(self._listeners)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` after every change, until `ignore`."""
        self._listeners[listener] = None

    def ignore(self, listener: Callable[[Change], None]) -> None:
        self._listeners.pop(listener, None)

    def get(self, resource: str, key: Key) -> Object | None:
        return self._objects.get(resource, {}).get(key)

    def objects(self, resource: str, namespace: str | None = None) -> list[Object]:
        """All objects of a resource, of one namespace or of all, in order of key."""
        bucket = self._objects.get(resource, {})
        return [bucket[key] for key in sorted(bucket) if namespace is None or key[0] == namespace]

    def objects_at(self, resource: str, namespace: str | None, revision: int) -> list[Object]:
        """The list as it was at a revision; `Expired` when the history doesn't reach back."""
        bucket = dict(self._objects.get(resource, {}))
        for change in reversed(self.since(revision)):
            if change.resource != resource:
                continue
            if change.type == ADDED:
                bucket.pop(change.key, None)
            elif change.previous is not None:
                bucket[change.key] = change.previous
        return [bucket[key] for key in sorted(bucket) if namespace is None or key[0] == namespace]

    def everything(self, namespace: str | None = None) -> Iterator[tuple[str, Object]]:
        """All objects, or those inside a namespace, with their resource."""
        for resource, bucket in list(self._objects.items()):
            for key in [key for key in bucket if namespace is None or key[0] == namespace]:
                yield resource, bucket[key]

    def dependents(self, uid: str) -> Iterator[tuple[str, Object]]:
        """The objects whose owner references name `uid`, with their resource."""
        for resource, key in list(self._dependents.get(uid, ())):
            obj = self.get(resource, key)
            if obj is not None:
                yield resource, obj

    def since(self, revision: int) -> list[Change]:
        """The changes after a revision; `Expired` when some of them are forgotten."""
        full = len(self._history) == self._history.maxlen
        if full and revision < self._history[0].revision - 1:
            raise Expired(revision, self._history[0].revision - 1)
        if not self._history or revision >= self.revision:
            return []
        return [change for change in self._history if change.revision > revision]

    def put(self, resource: str, obj: Object) -> Object:
        """Create or replace an object; returns it with its new resource version."""
        key = key_of(obj)
        bucket = self._objects.setdefault(resource, {})
        previous = bucket.get(key)
        stored = self._stamp(obj)
        bucket[key] = stored
        self._index(resource, key, previous, stored)
        self._announce(Change(MODIFIED if previous else ADDED, resource, key, stored, previous, self.revision))
        return stored

    def remove(self, resource: str, key: Key) -> Object:
        """Take an object away; returns its last state with the resource version of the removal."""
        previous = self._objects[resource].pop(key)
        last = self._stamp(previous)
        self._index(resource, key, previous, None)
        self._announce(Change(DELETED, resource, key, last, previous, self.revision))
        return last

    def _stamp(self, obj: Object) -> Object:
        self.revision += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}

    def _announce(self, change: Change) -> None:
        self._history.append(change)
        for listener in list(self._listeners):
            listener(change)

    def _index(self, resource: str, key: Key, old: Object | None, new: Object | None) -> None:
        before, after = _owners(old), _owners(new)
        for uid in before - after:
            entries = self._dependents.get(uid, {})
            entries.pop((resource, key), None)
            if not entries:
                self._dependents.pop(uid, None)
        for uid in after - before:
            self._dependents.setdefault(uid, {})[resource, key] = None


def _owners(obj: Object | None) -> set[str]:
    references = obj["metadata"].get("ownerReferences") or () if obj else ()
    return {reference["uid"] for reference in references if "uid" in reference}
