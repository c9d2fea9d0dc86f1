"""What a transition sees and what it may ask for."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from krake.simulator.kubernetes.kinds import BY_RESOURCE, Object

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words by accident


class World(Protocol):
    """The objects of a cluster at one moment; what it hands out must not be changed in place."""

    @property
    def now(self) -> str:
        """The present time as Kubernetes writes it, in whole seconds of UTC."""
        ...

    def get(self, resource: str, key: tuple[str, str]) -> Object | None: ...

    def objects(self, resource: str, namespace: str | None = None) -> list[Object]: ...

    def dependents(self, uid: str) -> Iterable[tuple[str, Object]]: ...


@dataclass(frozen=True, slots=True)
class Create:
    """Make an object, as if a client had posted it."""

    resource: str
    object: Object


@dataclass(frozen=True, slots=True)
class Replace:
    """Write a new state of an object that the transition has just seen."""

    resource: str
    object: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object with everything that belongs to it.

    :param at_once: there is nothing that could end it kindly.
    """

    resource: str
    object: Object
    at_once: bool = False


Action = Create | Replace | Delete


def with_status(obj: Object, **status: Any) -> Object:
    """The object with these fields of its status replaced; a field set to None vanishes."""
    merged = {**(obj.get("status") or {}), **status}
    return {**obj, "status": {name: value for name, value in merged.items() if value is not None}}


def changed(resource: str, old: Object, new: Object) -> list[Action]:
    """The write that turns `old` into `new`, if there is anything to write."""
    return [] if old == new else [Replace(resource, new)]


def controller_reference(resource: str, owner: Object) -> Object:
    """The owner reference that makes `owner` the controller of an object."""
    kind = BY_RESOURCE[resource]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controlled(world: World, owner: Object, resource: str) -> list[Object]:
    """The objects of a resource that `owner` controls, in order of name."""
    uid = owner["metadata"]["uid"]
    found = [
        obj
        for kind, obj in world.dependents(uid)
        if kind == resource and any(ref["uid"] == uid and ref.get("controller") for ref in obj["metadata"]["ownerReferences"])
    ]
    return sorted(found, key=lambda obj: str(obj["metadata"]["name"]))


def hash_of(value: Any) -> str:
    """Ten safe letters that stand for a value, as in the names of ReplicaSets."""
    number = int.from_bytes(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:8])
    return "".join(_letters(number, 10))


def _letters(number: int, count: int) -> Iterator[str]:
    for _ in range(count):
        number, index = divmod(number, len(_ALPHABET))
        yield _ALPHABET[index]


def condition(type_: str, status: bool, now: str, reason: str = "", message: str = "") -> Object:
    texts = {"reason": reason, "message": message}
    return {
        "type": type_,
        "status": "True" if status else "False",
        **{name: text for name, text in texts.items() if text},
        "lastTransitionTime": now,
    }


def set_conditions(conditions: list[Object] | None, *new: Object) -> list[Object]:
    """The conditions with `new` ones in place; a transition time moves only with the condition's status."""
    result = {entry["type"]: entry for entry in conditions or ()}
    for entry in new:
        old = result.get(entry["type"])
        if old is not None and old["status"] == entry["status"]:
            times = {name: old[name] for name in entry if name.endswith("Time") and name in old}
            entry = {**entry, **times}
        result[entry["type"]] = entry
    return list(result.values())


def condition_holds(obj: Object, type_: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == type_ and entry["status"] == "True" for entry in conditions)
