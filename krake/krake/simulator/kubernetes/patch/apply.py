"""Server-side apply: merge what a manager applies, track who owns which field, refuse to take fields away in silence."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from krake.simulator.kubernetes.patch.errors import PatchError
from krake.simulator.kubernetes.patch.lists import Names, Topology
from krake.simulator.kubernetes.patch.ownership import (
    Field,
    Fields,
    compare,
    decode,
    describe,
    encode,
    flatten,
    key_step,
    set_step,
)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes: the name, `Apply` or `Update`, the version used and the sub-resource written to."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def is_same_applier(self, other: "Manager") -> bool:
        """An applier stays the same one when it moves to another API version."""
        return replace(self, api_version="") == replace(other, api_version="") and self.operation == "Apply"

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another manager owns and that the applied object would change."""

    manager: Manager
    field: Field


class Conflicts(Exception):
    """An apply without force would change fields of other managers."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        super().__init__(_describe(conflicts))
        self.conflicts = conflicts


def _describe(conflicts: list[Conflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {only.manager}: {describe(only.field)}"
    lines = []
    for manager in dict.fromkeys(conflict.manager for conflict in conflicts):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {describe(conflict.field)}" for conflict in conflicts if conflict.manager == manager]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


Owners = dict[Manager, Fields]


def owners_of(obj: Object) -> Owners:
    """Who owns what, from `metadata.managedFields`."""
    found: Owners = {}
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation", "Update"),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        found[manager] = decode(entry.get("fieldsV1"))
    return found


def with_owners(obj: Object, owners: Owners, previous: Object | None, now: str) -> Object:
    """The object with `managedFields` for these owners; entries that didn't change keep their time."""
    before = owners_of(previous or {})
    times = {
        (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")): entry.get("time")
        for entry in (previous or {}).get("metadata", {}).get("managedFields") or ()
    }
    entries = []
    for manager, fields in owners.items():
        if not fields:
            continue
        unchanged = before.get(manager) == fields
        time = times.get((manager.name, manager.operation, manager.subresource)) if unchanged else None
        entries.append(_entry(manager, fields, time or now))
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": {**metadata, **({"managedFields": entries} if entries else {})}}


def _entry(manager: Manager, fields: Fields, time: str) -> Object:
    entry: Object = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": encode(fields),
    }
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry


def record_update(owners: Owners, manager: Manager, old: Object | None, new: Object, topology: Topology) -> Owners:
    """Ownership after a plain write: what changed belongs to the writer, what vanished to nobody."""
    touched, removed = compare(flatten(old or {}, topology), flatten(new, topology))
    if not touched and not removed:
        return owners
    result = {other: fields - removed if other == manager else fields - removed - touched for other, fields in owners.items()}
    result[manager] = result.get(manager, frozenset()) | touched
    return {other: fields for other, fields in result.items() if fields}


def apply(live: Object | None, config: Object, manager: Manager, topology: Topology, *, force: bool) -> tuple[Object, Owners]:
    """The object after `manager` applied `config`, and the owners of its fields.

    Raises `PatchError` if two elements of a list have the same key, and `Conflicts` unless `force` is set. Fields that
    the manager applied before, leaves out now and shares with nobody are removed. Defaults are not filled in here.
    """
    _refuse_duplicates(config, (), topology)
    current = live or {}
    owners = owners_of(current)
    own = next((other for other in owners if other.is_same_applier(manager)), None)
    last = owners.pop(own) if own else frozenset()
    wanted = frozenset(flatten(config, topology))
    kept: Fields = wanted.union(*owners.values()) if owners else wanted
    merged = _prune(_merge(current, config, (), topology), last - kept, kept, topology)
    touched, removed = compare(flatten(current, topology), flatten(merged, topology))
    conflicts = [Conflict(other, field) for other, fields in owners.items() for field in sorted(fields & touched & wanted)]
    if conflicts and not force:
        raise Conflicts(conflicts)
    lost = touched | removed
    result = {other: fields - lost for other, fields in owners.items()}
    result[manager] = wanted
    return merged, {other: fields for other, fields in result.items() if fields}


def _refuse_duplicates(config: Any, names: Names, topology: Topology) -> None:
    if isinstance(config, dict):
        for name, value in config.items():
            _refuse_duplicates(value, (*names, name), topology)
    elif isinstance(config, list) and names and (keys := topology.keys(names)):
        steps = [key_step(item, keys) for item in config]
        if len(set(steps)) < len(steps):
            raise PatchError(f"failed to create typed patch object: .{'.'.join(names)}: duplicate entries for key {list(keys)}")
        for item in config:
            _refuse_duplicates(item, names, topology)


def _merge(current: Any, config: Any, names: Names, topology: Topology) -> Any:
    if isinstance(config, dict) and isinstance(current, dict) and not topology.is_atomic_map(names):
        result = dict(current)
        for name, value in config.items():
            result[name] = _merge(current.get(name), value, (*names, name), topology)
        return result
    if isinstance(config, list) and isinstance(current, list) and names:
        if keys := topology.keys(names):
            return _merge_keyed(current, config, keys, names, topology)
        if topology.is_set(names):
            return current + [item for item in config if item not in current]
    return config


def _merge_keyed(current: list[Any], config: list[Any], keys: tuple[str, ...], names: Names, topology: Topology) -> list[Any]:
    existing = {key_step(item, keys): item for item in current}
    wanted = {key_step(item, keys): item for item in config}
    merged = {step: _merge(existing.get(step), item, names, topology) for step, item in wanted.items()}
    if existing.keys() <= wanted.keys():
        return list(merged.values())
    return [merged.pop(step, item) for step, item in existing.items()] + list(merged.values())


def _prune(obj: Object, dropped: Fields, kept: Fields, topology: Topology) -> Object:
    if not dropped:
        return obj
    holders = {field[:length] for field in kept for length in range(1, len(field) + 1)}
    pruned = _prune_value(obj, (), (), _Pruning(dropped, holders, topology))
    return pruned if isinstance(pruned, dict) else {}


@dataclass(frozen=True, slots=True)
class _Pruning:
    dropped: Fields
    holders: set[Field]
    topology: Topology

    def drops(self, steps: Field) -> bool:
        return steps in self.dropped and steps not in self.holders


_GONE = object()


def _prune_value(value: Any, steps: Field, names: Names, pruning: _Pruning) -> Any:
    """The value without dropped fields; `_GONE` when nothing of it is left."""
    if steps and pruning.drops(steps):
        return _GONE
    if isinstance(value, dict) and value and not pruning.topology.is_atomic_map(names):
        return _prune_map(value, steps, names, pruning)
    if isinstance(value, list) and value and names:
        if keys := pruning.topology.keys(names):
            left = [_prune_item(item, steps, keys, names, pruning) for item in value]
            return [item for item in left if item is not _GONE] or _GONE
        if pruning.topology.is_set(names):
            return [item for item in value if not pruning.drops((*steps, set_step(item)))] or _GONE
    return value


def _prune_item(item: Any, steps: Field, keys: tuple[str, ...], names: Names, pruning: _Pruning) -> Any:
    left = _prune_value(item, (*steps, key_step(item, keys)), names, pruning)
    if left is _GONE:
        return _GONE
    return {**{key: item[key] for key in keys if key in item}, **left}  # an element stays identifiable


def _prune_map(value: Mapping[str, Any], steps: Field, names: Names, pruning: _Pruning) -> Any:
    left = {name: _prune_value(child, (*steps, f"f:{name}"), (*names, name), pruning) for name, child in value.items()}
    rest = {name: child for name, child in left.items() if child is not _GONE}
    return rest or (_GONE if steps and steps not in pruning.holders else {})
