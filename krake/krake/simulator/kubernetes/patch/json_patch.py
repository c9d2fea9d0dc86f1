"""JSON patch (RFC 6902)."""

import copy
from typing import Any

from krake.simulator.kubernetes.patch.errors import MalformedPatch, PatchError


def apply_operations(document: Any, operations: Any) -> Any:
    """A changed copy of `document`; raises `PatchError` and leaves the document alone when one operation fails."""
    if not isinstance(operations, list):
        raise MalformedPatch("a JSON patch is a list of operations")
    result = copy.deepcopy(document)
    for operation in operations:
        result = _apply(result, operation)
    return result


def _apply(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict) or "op" not in operation or "path" not in operation:
        raise MalformedPatch("each operation of a JSON patch needs `op` and `path`")
    name, path = operation["op"], _pointer(operation["path"])
    if name in ("add", "replace", "test"):
        if "value" not in operation:
            raise MalformedPatch(f"the operation {name} needs a `value`")
        value = copy.deepcopy(operation["value"])
        return _write(document, name, path, value)
    if name == "remove":
        return _remove(document, path)
    if name in ("move", "copy"):
        source = _pointer(operation.get("from"))
        value = copy.deepcopy(_read(document, source))
        return _add(_remove(document, source) if name == "move" else document, path, value)
    raise MalformedPatch(f"unexpected kind: {name}")


def _write(document: Any, name: str, path: list[str], value: Any) -> Any:
    if name == "add":
        return _add(document, path, value)
    current = _read(document, path)
    if name == "replace":
        return _replace(document, path, value)
    if current != value or isinstance(current, bool) is not isinstance(value, bool):
        raise PatchError(f"testing value /{'/'.join(path)} failed")
    return document


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise MalformedPatch(f"{text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _read(document: Any, path: list[str]) -> Any:
    for part in path:
        document = _child(document, part)
    return document


def _child(container: Any, part: str) -> Any:
    if isinstance(container, dict) and part in container:
        return container[part]
    if isinstance(container, list):
        return container[_position(container, part, len(container) - 1)]
    raise PatchError(f"nonexistant path: {part}")


def _position(container: list[Any], part: str, last: int) -> int:
    if not part.isascii() or not part.isdigit() or int(part) > last:
        raise PatchError(f"nonexistant index: {part}")
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container = _read(document, path[:-1])
    if isinstance(container, dict):
        container[path[-1]] = value
    elif isinstance(container, list):
        end = len(container)
        container.insert(end if path[-1] == "-" else _position(container, path[-1], end), value)
    else:
        raise PatchError(f"nonexistant path: {path[-1]}")
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container = _read(document, path[:-1])
    if isinstance(container, dict):
        container[path[-1]] = value
    else:
        container[int(path[-1])] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise PatchError("the whole document can't be removed")
    container = _read(document, path[:-1])
    _child(container, path[-1])
    if isinstance(container, dict):
        del container[path[-1]]
    else:
        del container[int(path[-1])]
    return document
