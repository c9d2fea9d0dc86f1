"""What is sent to a cluster to put right what differs there. Pure.

Once an object was applied as declared, only what is observed is corrected; what is declared, but not observed, is left as it
is. As Kubernetes takes away what is not declared any more, it is declared with the values that it has now.
"""

from collections.abc import Mapping
from typing import Any

from krake.controller.kubernetes.application.delta import LENGTH, SETS, Path, is_built_in
from krake.controller.kubernetes.application.desired import DIGEST_ANNOTATION, Declared
from krake.data.elements import has_keys, key_fields, key_of
from krake.data.manifests import MAX_LENGTH
from krake.ports.cluster import Object

_NAMES = {"name": None, "namespace": None}


def correct(declared: Declared, live: Object | None) -> Object:
    """Return an object as it is to be applied: as declared, if it was not yet; otherwise that which is observed of it."""
    annotations = (live or {}).get("metadata", {}).get("annotations") or {}
    if live is None or annotations.get(DIGEST_ANNOTATION) != declared.digest:
        return declared.object
    observed = {**declared.observed, "metadata": {**declared.observed["metadata"], **_NAMES}}
    narrowed = _narrow(declared.object, live, observed, "", is_built_in(declared.object))
    if narrowed == declared.object:
        return declared.object
    # What was read may be out of date by now.
    return {**narrowed, "metadata": {**narrowed["metadata"], "resourceVersion": live["metadata"].get("resourceVersion")}}


def shorten(declared: Declared, live: Object, drift: set[Path]) -> Object:
    """Return a live object without the elements that make its observed lists too long.

    Kubernetes does not take them away when the object is applied, as somebody else has declared them.

    :param drift: what differs; only of these lists anything is taken away.
    """
    if not is_built_in(live):
        return live
    too_long = {path[:-1] for path in drift if path and path[-1] == LENGTH}
    shortened: Object = _shorten(declared.object, live, declared.observed, (), too_long)
    return shortened


def overwrite(declared: Declared, live: Object) -> Object:
    """Return a live object with all that is declared, and nothing else in the lists whose elements have names.

    It does not say yet that it is as declared: it is to be applied as well, so that it is known what Krake has declared.
    """
    written: Object = _overwrite(declared.object, live, "", is_built_in(declared.object))
    metadata = written["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key != DIGEST_ANNOTATION}
    return {**written, "metadata": {**metadata, "annotations": annotations}}


def _overwrite(declared: Any, live: Any, name: str, built_in: bool) -> Any:
    if isinstance(declared, Mapping) and isinstance(live, Mapping):
        return {**live, **{key: _overwrite(value, live.get(key), key, built_in) for key, value in declared.items()}}
    if isinstance(declared, list) and isinstance(live, list) and name in SETS:
        return [*live, *(item for item in declared if item not in live)]
    if isinstance(declared, list) and isinstance(live, list) and built_in and has_keys(name, declared, live):
        known = {key_of(name, item): item for item in live}
        return [_overwrite(item, known.get(key_of(name, item)), name, True) for item in declared]
    return declared


def _narrow(declared: Any, live: Any, schema: Any, name: str, built_in: bool) -> Any:
    if isinstance(schema, Mapping) and isinstance(declared, Mapping) and isinstance(live, Mapping):
        narrowed = {}
        for key, value in declared.items():
            if key in schema:
                narrowed[key] = _narrow(value, live[key], schema[key], key, built_in) if key in live else value
            elif key in live:
                narrowed[key] = live[key]
        return narrowed
    if isinstance(schema, list) and isinstance(declared, list) and isinstance(live, list) and name not in SETS:
        keyed = built_in and has_keys(name, declared, live)
        return (
            _narrow_elements(declared, live, schema, name) if keyed else _narrow_items(declared, live, schema, name, built_in)
        )
    return declared


def _narrow_elements(declared: list[Any], live: list[Any], schema: list[Any], name: str) -> list[Any]:
    """Elements of others stay whatever is applied, so they are left out."""
    known = {key_of(name, item): item for item in live}
    narrowed = []
    for index, item in enumerate(declared):
        other = known.get(key_of(name, item))
        if index >= len(schema) - 1:
            if other is not None:
                narrowed.append(_narrow(item, other, {}, name, True) | key_fields(name, item))
        else:
            inner = schema[index]
            narrowed.append(item if other is None else _narrow(item, other, _with(inner, key_fields(name, item)), name, True))
    return narrowed


def _with(schema: Any, names: Mapping[str, Any]) -> Any:
    return {**schema, **dict.fromkeys(names)} if isinstance(schema, Mapping) else schema


def _narrow_items(declared: list[Any], live: list[Any], schema: list[Any], name: str, built_in: bool) -> list[Any]:
    """A list of that kind is set as a whole, so what may be in it beyond what is declared is declared as well."""
    observed = schema[:-1]
    narrowed = []
    for index, item in enumerate(declared):
        if index >= len(live):
            narrowed.append(item)
        elif index >= len(observed):
            narrowed.append(live[index])
        else:
            narrowed.append(_narrow(item, live[index], observed[index], name, built_in))
    limit = schema[-1][MAX_LENGTH] or len(live)
    return narrowed + live[len(declared) : limit]


def _shorten(declared: Any, live: Any, schema: Any, path: Path, too_long: set[Path]) -> Any:
    if isinstance(schema, Mapping) and isinstance(declared, Mapping) and isinstance(live, Mapping):
        both = declared.keys() & schema.keys()
        return {
            key: _shorten(declared[key], value, schema[key], (*path, key), too_long) if key in both else value
            for key, value in live.items()
        }
    if (
        isinstance(schema, list)
        and isinstance(declared, list)
        and isinstance(live, list)
        and has_keys(path[-1], declared, live)
    ):
        return _shorten_list(declared, live, schema, path, too_long)
    return live


def _shorten_list(declared: list[Any], live: list[Any], schema: list[Any], path: Path, too_long: set[Path]) -> list[Any]:
    name = path[-1]
    observed = [*schema[:-1], *[{}] * len(declared)][: len(declared)]
    own = {key_of(name, item): (item, inner) for item, inner in zip(declared, observed, strict=True)}
    spare = max(0, schema[-1][MAX_LENGTH] - len(own)) if path in too_long else len(live)
    shortened = []
    for item in live:
        key = key_of(name, item)
        if key in own:
            shortened.append(_shorten(own[key][0], item, own[key][1], (*path, "/".join(key)), too_long))
        elif spare > 0:
            spare -= 1
            shortened.append(item)
    return shortened
