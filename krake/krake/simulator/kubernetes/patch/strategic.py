"""Strategic merge patch: like a merge patch, but lists merge by key and directives steer the rest."""

from typing import Any

from krake.simulator.kubernetes.patch.errors import MalformedPatch
from krake.simulator.kubernetes.patch.lists import Names, is_set, strategic_key

_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def merge(target: Any, patch: Any, path: Names = ()) -> Any:
    """`target` with `patch` laid over it; raises `MalformedPatch`. Changes neither argument."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    fields = {name: value for name, value in patch.items() if not name.startswith("$")}
    if directive == "replace":
        return fields
    if directive not in (None, "merge"):
        raise MalformedPatch(f"unknown patch type: {directive}")
    result = dict(target) if isinstance(target, dict) else {}
    result = _retain(result, patch)
    for name, value in fields.items():
        _merge_field(result, name, value, (*path, name))
    return _follow_directives(result, patch, path)


def _retain(result: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    if "$retainKeys" not in patch:
        return result
    keys = _directive_list(patch, "$retainKeys")
    return {name: value for name, value in result.items() if name in keys}


def _directive_list(patch: dict[str, Any], directive: str) -> list[Any]:
    items = patch[directive]
    if not isinstance(items, list):
        raise MalformedPatch(f"{directive} needs a list")
    return items


def _merge_field(result: dict[str, Any], name: str, value: Any, path: Names) -> None:
    if value is None:
        result.pop(name, None)
    elif isinstance(value, list):
        result[name] = _merge_list(result.get(name), value, path)
    elif isinstance(value, dict) and value.get("$patch") == "delete":
        result.pop(name, None)
    else:
        result[name] = merge(result.get(name), value, path)


def _follow_directives(result: dict[str, Any], patch: dict[str, Any], path: Names) -> dict[str, Any]:
    for name in patch:
        if not name.startswith((_DELETE_FROM, _ORDER)):
            continue
        field, items = name.partition("/")[2], _directive_list(patch, name)
        if not isinstance(result.get(field), list):
            continue
        if name.startswith(_DELETE_FROM):
            result[field] = [item for item in result[field] if item not in items]
        else:
            result[field] = _order(result[field], items, (*path, field))
    return result


def _merge_list(current: Any, patch: list[Any], path: Names) -> list[Any]:
    items: list[Any] = current if isinstance(current, list) else []
    if is_set(path):
        return items + [item for item in patch if item not in items]
    key = strategic_key(path)
    replaces = any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch)
    if key is None or replaces:
        return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    return _merge_by_key(items, patch, key, path)


def _merge_by_key(current: list[Any], patch: list[Any], key: str, path: Names) -> list[Any]:
    result = list(current)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise MalformedPatch(f"map: {item} does not contain declared merge key: {key}")
        found = [index for index, old in enumerate(result) if isinstance(old, dict) and old.get(key) == item[key]]
        if item.get("$patch") == "delete":
            result = [old for index, old in enumerate(result) if index not in found]
        elif found:
            result[found[0]] = merge(result[found[0]], item, path)
        else:
            result.append(merge({}, item, path))
    return result


def _order(items: list[Any], wanted: list[Any], path: Names) -> list[Any]:
    key = strategic_key(path)
    names = [entry.get(key) if isinstance(entry, dict) and key else entry for entry in wanted]

    def rank(item: Any) -> int:
        name = item.get(key) if isinstance(item, dict) and key else item
        return names.index(name) if name in names else len(names)

    return sorted(items, key=rank)
