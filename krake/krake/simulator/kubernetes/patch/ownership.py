"""Sets of fields: which fields an object has, how two objects differ, and the `fieldsV1` notation of them.

A field is a tuple of steps: `f:NAME` into a map, `k:{…}` to the element of a keyed list, `v:…` to the element of a set.
"""

import json
from collections.abc import Iterable
from typing import Any

from krake.simulator.kubernetes.patch.lists import KEY_DEFAULTS, Names, Topology

Field = tuple[str, ...]
Fields = frozenset[Field]

# Never owned by anybody: identity and what the server itself maintains.
_UNOWNED: frozenset[Field] = frozenset(
    {("f:apiVersion",), ("f:kind",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
                     "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink")
    }
)  # fmt: skip


def flatten(obj: dict[str, Any], topology: Topology) -> dict[Field, Any]:
    """Every ownable field of an object with its value; the elements of keyed lists appear themselves, too."""
    found: dict[Field, Any] = {}
    _flatten(obj, (), (), topology, found)
    hidden = {field for field in found if field in _UNOWNED or field[:2] in _UNOWNED}
    return {field: value for field, value in found.items() if field not in hidden}


def _flatten(value: Any, steps: Field, names: Names, topology: Topology, found: dict[Field, Any]) -> None:
    if isinstance(value, dict) and value and not topology.is_atomic_map(names):
        for name, child in value.items():
            _flatten(child, (*steps, f"f:{name}"), (*names, name), topology, found)
    elif isinstance(value, list) and value and names and (keys := topology.keys(names)):
        for item in value:
            step = (*steps, key_step(item, keys))
            found[step] = None
            _flatten(item, step, names, topology, found)
    elif isinstance(value, list) and value and names and topology.is_set(names):
        found.update({(*steps, set_step(item)): item for item in value})
    elif steps:
        found[steps] = value


def key_step(item: Any, keys: Iterable[str]) -> str:
    """The step to an element of a keyed list."""
    source = item if isinstance(item, dict) else {}
    chosen = {key: source.get(key, KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json.dumps(chosen, separators=(",", ":"), sort_keys=True)


def set_step(item: Any) -> str:
    """The step to an element of a set."""
    return f"v:{json.dumps(item)}"


def compare(old: dict[Field, Any], new: dict[Field, Any]) -> tuple[Fields, Fields]:
    """The fields that were added or changed, and those that were removed."""
    touched = {field for field, value in new.items() if field not in old or not same(old[field], value)}
    return frozenset(touched), frozenset(old.keys() - new.keys())


def same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def encode(fields: Fields) -> dict[str, Any]:
    """`fieldsV1` of a set of fields."""
    tree: dict[str, Any] = {}
    for field in sorted(fields):
        node = tree
        for step in field:
            node = node.setdefault(step, {})
        if field[-1].startswith("k:"):
            node["."] = {}
    return tree


def decode(tree: Any) -> Fields:
    """The set of fields that `fieldsV1` notes."""
    found: set[Field] = set()
    _decode(tree, (), found)
    return frozenset(found)


def _decode(node: Any, steps: Field, found: set[Field]) -> None:
    children = node if isinstance(node, dict) else {}
    if steps and (not children or "." in children):
        found.add(steps)
    for step, child in children.items():
        if step != ".":
            _decode(child, (*steps, step), found)


def describe(field: Field) -> str:
    """A field as conflict messages show it, e.g. `.spec.ports[port=80,protocol="TCP"].nodePort`."""
    text = ""
    for step in field:
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            pairs = (f"{name}={json.dumps(value)}" for name, value in json.loads(rest).items())
            text += f"[{','.join(pairs)}]"
        else:
            text += f"[={rest}]"
    return text
