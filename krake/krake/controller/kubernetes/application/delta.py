"""How what is on the cluster differs from what should be, compared by meaning.

Only what is observed is compared: what Kubernetes and others add is theirs. What a cluster does not take over as declared (it
writes some values in its own way, and drops fields that it does not know) would look like a change for ever; so what still
differs right after an object was applied does not count, until it is declared differently.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from krake.controller.kubernetes.application.desired import Declared, rank
from krake.controller.kubernetes.application.observe import is_within
from krake.data import quantities
from krake.data.elements import has_keys, key_of
from krake.ports.cluster import Identity, Object, owner_of

Path = tuple[str, ...]

LENGTH = "length"
"""The last part of the path of a list that is too long or too short."""
SETS = frozenset(("finalizers", "ownerReferences"))
"""Lists that others put things into for reasons of their own."""


@dataclass(frozen=True)
class Settlement:
    """What an object looked like right after it was applied.

    :param digest: of what was declared.
    :param residue: what differed all the same.
    """

    digest: str
    residue: frozenset[Path]


@dataclass(frozen=True)
class Changes:
    """What to do about a difference, in this order."""

    apply: tuple[Declared, ...]
    remove: tuple[Identity, ...]


def compare(
    declared: Iterable[Declared],
    live: Mapping[Identity, Object],
    recorded: Iterable[Identity],
    settlements: Mapping[Identity, Settlement],
    owner: str,
) -> Changes:
    """Return what to apply, and what to remove of what was recorded before, last created first."""
    declared = list(declared)
    wanted = {each.identity for each in declared}
    apply = tuple(each for each in declared if _needs_apply(each, live.get(each.identity), settlements, owner))
    remove = {identity for identity in recorded if identity not in wanted}
    return Changes(apply, tuple(sorted(remove, key=lambda identity: (-rank(identity), str(identity)))))


def settle(declared: Declared, live: Object) -> Settlement:
    """Return what an object looks like right after it was applied."""
    return Settlement(declared.digest, frozenset(differences(declared.object, live, declared.observed)))


def drift(declared: Declared, live: Object, settlement: Settlement | None) -> set[Path]:
    """Return where an object differs from what was declared, but for what always does."""
    found = differences(declared.object, live, declared.observed)
    return found - settlement.residue if settlement is not None and settlement.digest == declared.digest else found


def differences(declared: Object, live: Object, schema: Mapping[str, Any] | None = None) -> set[Path]:
    """Return where a live object differs from what was declared.

    :param schema: which fields are observed; all that are declared without one.
    """
    return set(_differ(declared, live, schema, (), is_built_in(declared)))


def is_built_in(obj: Object) -> bool:
    """Whether the meaning of the fields of an object is known."""
    version = str(obj.get("apiVersion", ""))
    return "." not in version or ".k8s.io/" in version


def _needs_apply(declared: Declared, live: Object | None, settlements: Mapping[Identity, Settlement], owner: str) -> bool:
    if live is None or owner_of(live) != owner or live["metadata"].get("deletionTimestamp"):
        return True
    return bool(drift(declared, live, settlements.get(declared.identity)))


def _differ(declared: Any, live: Any, schema: Any, path: Path, built_in: bool) -> Iterator[Path]:
    if isinstance(declared, Mapping) and isinstance(live, Mapping):
        observed = schema if isinstance(schema, Mapping) else dict.fromkeys(declared)
        for key, value in declared.items():
            if key in observed and key in live:
                yield from _differ(value, live[key], observed[key], (*path, str(key)), built_in)
            elif key in observed and not _is_zero(value):
                yield (*path, str(key))
    elif isinstance(declared, list) and isinstance(live, list):
        yield from _differ_in_list(declared, live, schema if isinstance(schema, list) else None, path, built_in)
    elif not _same(declared, live, path, built_in):
        yield path


def _differ_in_list(
    declared: list[Any], live: list[Any], schema: list[Any] | None, path: Path, built_in: bool
) -> Iterator[Path]:
    name = path[-1] if path else ""
    if name in SETS:
        present = {json.dumps(item, sort_keys=True) for item in live}
        yield from ((*path, str(item)) for item in declared if json.dumps(item, sort_keys=True) not in present)
        return
    keyed = built_in and has_keys(name, declared, live)
    if not (is_within(schema[-1], len(live)) if schema else keyed or len(declared) == len(live)):
        yield (*path, LENGTH)
    known: Mapping[Any, Any] = {key_of(name, item): item for item in live} if keyed else dict(enumerate(live))
    for index, item in enumerate(declared):
        if schema is not None and index >= len(schema) - 1:
            return
        key = key_of(name, item) if keyed else index
        inner = (*path, "/".join(key) if isinstance(key, tuple) else str(key))
        if key in known:
            yield from _differ(item, known[key], schema[index] if schema else None, inner, built_in)
        else:
            yield inner


def _same(declared: Any, live: Any, path: Path, built_in: bool) -> bool:
    if isinstance(declared, bool) or isinstance(live, bool):
        return declared is live or (live is None and not declared)
    if declared == live or (live is None and _is_zero(declared)):
        return True
    if built_in and (quantities.HOLDERS & set(path[:-1]) or (path and path[-1] in quantities.FIELDS)):
        number = quantities.parse_quantity(declared)
        return number is not None and number == quantities.parse_quantity(live)
    return False


def _is_zero(value: Any) -> bool:
    """Whether Kubernetes may leave a value out, because leaving it out means the same."""
    if isinstance(value, Mapping):
        return all(_is_zero(each) for each in value.values())
    return value is None or value == [] or value in ("", 0)
