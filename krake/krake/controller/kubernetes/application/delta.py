"""How what is on the cluster differs from what should be, compared by meaning.

Only what was declared is compared: what Kubernetes and others add is theirs. What a cluster does not take over as declared (it
writes some values in its own way, and drops fields that it does not know) would look like a change for ever; so what still
differs right after an object was applied does not count, until it is declared differently.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from krake.controller.kubernetes.application.desired import Declared, rank
from krake.ports.cluster import Identity, Object, owner_of

Path = tuple[str, ...]

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ports": ("port", "containerPort", "protocol"),
}
"""By what the elements of a list are told apart, where others may add some of their own."""
_SETS = {"finalizers"}
_HOLDERS_OF_QUANTITIES = {"limits", "requests", "capacity", "hard", "default", "defaultRequest", "max", "min", "overhead"}
_QUANTITIES = {"sizeLimit", "averageValue", "divisor"}
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


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
    return Settlement(_digest(declared), frozenset(differences(declared.object, live)))


def differences(declared: Object, live: Object) -> set[Path]:
    """Return where a live object differs from what was declared."""
    built_in = "." not in str(declared.get("apiVersion", "")) or ".k8s.io/" in str(declared.get("apiVersion"))
    return set(_differ(_plain(declared), live, (), built_in))


def _needs_apply(declared: Declared, live: Object | None, settlements: Mapping[Identity, Settlement], owner: str) -> bool:
    if live is None or owner_of(live) != owner or live["metadata"].get("deletionTimestamp"):
        return True
    found = differences(declared.object, live)
    settled = settlements.get(declared.identity)
    if settled is not None and settled.digest == _digest(declared):
        found -= settled.residue
    return bool(found)


def _digest(declared: Declared) -> str:
    return hashlib.sha256(json.dumps(declared.object, sort_keys=True, default=str).encode()).hexdigest()


def _plain(obj: Object) -> Object:
    """Secrets may be declared in clear; they are kept encoded."""
    if obj.get("kind") != "Secret" or not isinstance(obj.get("stringData"), Mapping):
        return obj
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in obj["stringData"].items()}
    rest = {key: value for key, value in obj.items() if key != "stringData"}
    return {**rest, "data": {**(obj.get("data") or {}), **encoded}}


def _differ(declared: Any, live: Any, path: Path, built_in: bool) -> Iterator[Path]:
    if isinstance(declared, Mapping) and isinstance(live, Mapping):
        for key, value in declared.items():
            if key in live:
                yield from _differ(value, live[key], (*path, str(key)), built_in)
            elif not _is_zero(value):
                yield (*path, str(key))
    elif isinstance(declared, list) and isinstance(live, list):
        yield from _differ_in_list(declared, live, path, built_in)
    elif not _same(declared, live, path, built_in):
        yield path


def _differ_in_list(declared: list[Any], live: list[Any], path: Path, built_in: bool) -> Iterator[Path]:
    name = path[-1] if path else ""
    if name in _SETS:
        yield from ((*path, str(item)) for item in declared if item not in live)
    elif built_in and name in _KEYS and all(isinstance(item, Mapping) for item in (*declared, *live)):
        known = {_element_key(item, _KEYS[name]): item for item in live}
        for item in declared:
            key = _element_key(item, _KEYS[name])
            if key in known:
                yield from _differ(item, known[key], (*path, "/".join(key)), built_in)
            else:
                yield (*path, "/".join(key))
    elif len(declared) != len(live):
        yield path
    else:
        for index, (one, other) in enumerate(zip(declared, live, strict=True)):
            yield from _differ(one, other, (*path, str(index)), built_in)


def _element_key(item: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(item.get(name, "TCP" if name == "protocol" else "")) for name in names)


def _same(declared: Any, live: Any, path: Path, built_in: bool) -> bool:
    if isinstance(declared, bool) or isinstance(live, bool):
        return declared is live or (live is None and not declared)
    if declared == live or (live is None and _is_zero(declared)):
        return True
    if built_in and (_HOLDERS_OF_QUANTITIES & set(path[:-1]) or (path and path[-1] in _QUANTITIES)):
        quantity = parse_quantity(declared)
        return quantity is not None and quantity == parse_quantity(live)
    return False


def _is_zero(value: Any) -> bool:
    """Whether Kubernetes may leave a value out, because leaving it out means the same."""
    if isinstance(value, Mapping):
        return all(_is_zero(each) for each in value.values())
    return value is None or value == [] or value in ("", 0)


def parse_quantity(value: Any) -> Decimal | None:
    """Return the number that a quantity of Kubernetes stands for, for example ``1000m`` or ``0.5Gi``."""
    text = str(value).strip()
    digits = text.rstrip("numkKMGTPEi")
    try:
        number = Decimal(digits) * _SUFFIXES[text[len(digits) :]]
    except (ArithmeticError, KeyError):
        return None
    return number if number.is_finite() else None
