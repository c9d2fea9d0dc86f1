"""Which fields are observed of objects to which hooks have added something. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from krake.controller.kubernetes.application.observe import leaves
from krake.data.manifests import MAX_LENGTH, MIN_LENGTH

_OPEN = {MIN_LENGTH: 0, MAX_LENGTH: 0}


def observe_added(
    schemas: Iterable[dict[str, Any]], before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return observer schemas that also have what was added to objects: users, who wrote them, knew nothing of that.

    :param schemas: of some of the objects.
    :param before: the objects as they were; *after* begins with the same objects.
    """
    changes: dict[tuple[str, ...], tuple[Any, Any]] = {}
    for old, new in zip(before, after, strict=False):
        for names in _names_of(old):
            changes.setdefault(names, (old, new))
    return [_widen(schema, *changes.get([*_names_of(schema)][-1], (None, None))) for schema in schemas]


def _names_of(item: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """How an object is named: without its namespace, and with it."""
    metadata = item["metadata"]
    names = tuple(map(repr, (item.get("apiVersion"), item.get("kind"), metadata["name"])))
    yield names
    if (namespace := metadata.get("namespace")) is not None:
        yield *names, repr(namespace)


def _widen(schema: Any, before: Any, after: Any) -> Any:
    if before == after:
        return schema
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _widen_mapping(schema if isinstance(schema, Mapping) else {}, before, after)
    if isinstance(before, list) and isinstance(after, list):
        return _widen_list(schema if isinstance(schema, list) else [*({} for _ in before), _OPEN], before, after)
    return leaves(after)


def _widen_mapping(schema: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changed = {key: value for key, value in after.items() if key not in before or before[key] != value}
    return {**schema, **{key: _widen(schema.get(key), before.get(key), value) for key, value in changed.items()}}


def _widen_list(schema: list[Any], before: list[Any], after: list[Any]) -> list[Any]:
    *observed, control = schema
    added = after[len(before) :]
    widened = [_widen(each, old, new) for each, old, new in zip(observed, before, after, strict=False)]
    if len(widened) == len(before):  # elements are known by their place
        widened += map(leaves, added)
    longest = control[MAX_LENGTH] and control[MAX_LENGTH] + len(added)
    return [*widened, {MIN_LENGTH: control[MIN_LENGTH] + len(added), MAX_LENGTH: longest}]
