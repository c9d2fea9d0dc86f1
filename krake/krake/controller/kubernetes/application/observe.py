"""Which fields of the objects on a cluster are observed, and what the status tells about them. Pure.

An observer schema is built like the object that it is for: what is ``null`` there is observed, and each of its lists ends with
an object that says how long the list may be; 0 is without limit. An element may be observed that is not there.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from krake.data.elements import has_keys, key_fields, key_of
from krake.data.manifests import MAX_LENGTH, MIN_LENGTH

CURRENT_LENGTH = "observer_schema_list_current_length"

_NAMES = ("apiVersion", "kind")
OF_THE_CLUSTER = frozenset(
    ("resourceVersion", "uid", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink")
)
"""The metadata that the cluster maintains."""


def observer_schema(manifest: Iterable[Mapping[str, Any]], given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return which fields of each object are observed: as its user said, otherwise all that were declared.

    :param given: may name the namespace of an object; without one it is for all objects of the name.
    """
    chosen = {_name_of(item): item for item in given}
    manifest = list(manifest)
    several = _names_in_several_namespaces(manifest)
    return [_schema_of(item, chosen.get(_name_of(item)) or chosen.get(_bare_name_of(item)), several) for item in manifest]


def observe(schema: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the observed fields of an object with their values now; a list ends with an object that says how long it is."""
    names = {key: value for key, value in schema["metadata"].items() if key != "name"}
    return {
        **{key: _observe(each, live[key]) for key, each in schema.items() if key in live and key not in _NAMES},
        "apiVersion": schema["apiVersion"],
        "kind": schema["kind"],
        "metadata": {**_observe(names, live["metadata"]), "name": live["metadata"]["name"]},
    }


def fill_in(recorded: Mapping[str, Any], schema: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the fields that are observed, but not set, taken from another state of it.

    What the cluster alone says, like all of the status, is never taken.
    """
    inner = {key: value for key, value in schema.items() if key != "status" and key not in _NAMES}
    metadata = schema["metadata"].items()
    inner["metadata"] = {
        key: value for key, value in metadata if key not in OF_THE_CLUSTER and key not in ("name", "namespace")
    }
    return _fill_mapping(recorded, inner, source)


def is_within(control: Mapping[str, Any], length: int) -> bool:
    """Whether a list may be so long, by the last element of its schema."""
    return bool(control[MIN_LENGTH] <= length and (control[MAX_LENGTH] == 0 or length <= control[MAX_LENGTH]))


def _name_of(item: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    return item.get("apiVersion"), item.get("kind"), metadata.get("name"), namespace if isinstance(namespace, str) else None


def _bare_name_of(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return *_name_of(item)[:3], None


def _names_in_several_namespaces(manifest: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    seen: set[tuple[Any, ...]] = set()
    several: set[tuple[Any, ...]] = set()
    for name in map(_bare_name_of, manifest):
        (several if name in seen else seen).add(name)
    return several


def _schema_of(item: Mapping[str, Any], given: Mapping[str, Any] | None, several: set[tuple[Any, ...]]) -> dict[str, Any]:
    schema = dict(_widen(given, item)) if given else _default(item)
    if _bare_name_of(item) in several:
        # Only so does the schema say which of them it is for.
        schema["metadata"] = {**schema["metadata"], "namespace": item["metadata"].get("namespace")}
    return schema


def _default(item: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {key: leaves(value) for key, value in item.items()}
    schema |= {"apiVersion": item["apiVersion"], "kind": item["kind"]}
    schema["metadata"] = {**schema["metadata"], "name": item["metadata"]["name"]}
    spec = item.get("spec")
    if isinstance(spec, Mapping) and spec.get("type") == "LoadBalancer":
        # Its address comes later, and from the cluster.
        schema["status"] = {"loadBalancer": {"ingress": None}}
    return schema


def leaves(value: Any) -> Any:
    """Return the schema that observes everything that a value has, and no longer lists than its own."""
    if isinstance(value, Mapping):
        return {key: leaves(each) for key, each in value.items()}
    if isinstance(value, list):
        return [*map(leaves, value), {MIN_LENGTH: len(value), MAX_LENGTH: len(value)}]
    return None


def _widen(schema: Any, declared: Any) -> Any:
    """Let lists be as long as they are declared: overrides and hooks add to them."""
    if isinstance(schema, Mapping) and isinstance(declared, Mapping):
        return {key: _widen(each, declared[key]) if key in declared else each for key, each in schema.items()}
    if isinstance(schema, list) and isinstance(declared, list):
        control = schema[-1]
        limit = control[MAX_LENGTH] and max(control[MAX_LENGTH], len(declared))
        # The elements that are not observed come after those that are.
        inner = [_widen(each, declared[index]) if index < len(declared) else each for index, each in enumerate(schema[:-1])]
        return [*inner, {**control, MAX_LENGTH: limit}]
    return schema


def _observe(schema: Any, live: Any) -> Any:
    if isinstance(schema, Mapping):
        values = live if isinstance(live, Mapping) else {}
        return {key: _observe(each, values[key]) for key, each in schema.items() if key in values}
    if isinstance(schema, list):
        elements = live if isinstance(live, list) else []
        observed = [_observe(each, value) for each, value in zip(schema[:-1], elements, strict=False)]
        return [*observed, {CURRENT_LENGTH: len(elements)}]
    return live


def _fill(recorded: Any, schema: Any, source: Any, name: str) -> Any:
    if isinstance(schema, Mapping) and isinstance(recorded, Mapping) and isinstance(source, Mapping):
        return _fill_mapping(recorded, schema, source)
    if isinstance(schema, list) and isinstance(recorded, list) and isinstance(source, list):
        return _fill_list(recorded, schema, source, name)
    return recorded


def _fill_mapping(recorded: Mapping[str, Any], schema: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(recorded)
    for key, each in schema.items():
        if key not in source:
            continue
        if key in recorded:
            filled[key] = _fill(recorded[key], each, source[key], key)
        elif (taken := _take(each, source[key], key)) not in ({}, []):
            filled[key] = taken
    return filled


def _fill_list(recorded: list[Any], schema: list[Any], source: list[Any], name: str) -> list[Any]:
    """Elements that are declared are filled in, and those that are observed beyond them are taken."""
    if has_keys(name, recorded, source):
        known = {key_of(name, item): item for item in source}
        own = [key_of(name, item) for item in recorded]
        matched = [known.get(key) for key in own]
        rest = [item for key, item in known.items() if key not in own]
    else:
        matched = [*source[: len(recorded)], *[None] * (len(recorded) - len(source))]
        rest = source[len(recorded) :]
    observed = schema[:-1]
    filled = [
        _fill(item, observed[index], other, name) if index < len(observed) else item
        for index, (item, other) in enumerate(zip(recorded, matched, strict=True))
    ]
    taken = zip(observed[len(recorded) :], rest, strict=False)
    return filled + [_take_element(each, item, name) for each, item in taken]


def _take_element(schema: Any, item: Any, name: str) -> Any:
    taken = _take(schema, item, name)
    # Without what tells it apart, it could not be spoken of.
    return {**key_fields(name, item), **taken} if has_keys(name, [item]) and isinstance(taken, Mapping) else taken


def _take(schema: Any, source: Any, name: str) -> Any:
    if isinstance(schema, Mapping):
        return _fill_mapping({}, schema, source) if isinstance(source, Mapping) else {}
    if isinstance(schema, list):
        return _fill_list([], schema, source, name) if isinstance(source, list) else []
    return copy.deepcopy(source)
