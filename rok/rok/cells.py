"""How the values of objects are written in the cells of tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = dict[str, Any]
"""An object of the API, in its wire form."""

Getter = Callable[[Object], Any]

REFERENCE_KEYS = ("kind", "api", "name", "namespace")


@dataclass(frozen=True)
class Cell:
    """A named value of an object.

    :param name: the header of a column, or the name of a row.
    :param write: makes the text of the value.
    """

    name: str
    get: Getter
    write: Callable[[Any], str]

    def text(self, item: Object) -> str:
        """Return what the cell of *item* says."""
        return self.write(self.get(item))


def cell(name: str, path: str, write: Callable[[Any], str] | None = None) -> Cell:
    """Return the cell of the value at a dotted path; what is missing there is ``None``."""
    return Cell(name, lambda item: dig(item, path), write or plain)


def setting(name: str, path: str | None = None, write: Callable[[Any], str] | None = None) -> Cell:
    """Return the cell of a setting of an object of several types, of which each has its own below its name."""
    return Cell(name, lambda item: dig(item, f"spec.{dig(item, 'spec.type')}.{path or name}"), write or plain)


def dig(item: Any, path: str) -> Any:
    """Return the value at a dotted path, or ``None``."""
    for key in path.split("."):
        item = item.get(key) if isinstance(item, Mapping) else None
    return item


def plain(value: Any) -> str:
    """Write a value as Python does; a mapping as one ``key: value`` per line, an empty one as ``None``."""
    if isinstance(value, Mapping):
        return mapping(value)
    return str(value)


def mapping(value: Mapping[str, Any] | None) -> str:
    """Write a mapping as one ``key: value`` per line; the items of a list get a line each."""
    lines: list[str] = []
    for key, inner in (value or {}).items():
        lines += [f"{key}: {each}" for each in inner] if isinstance(inner, list) else [f"{key}: {inner}"]
    return "\n".join(lines) or "None"


def time(value: Any) -> str:
    """Write a time without its fraction and zone."""
    if not isinstance(value, str):
        return str(value)
    try:
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return value


def listing(value: Any) -> str:
    """Write a list as Python does, nothing as an empty one."""
    return str(value or [])


def hidden(_: Any) -> str:
    """Write that there is a secret; a table is looked at by others, too."""
    return "********"


def authorities(value: Any) -> str:
    """Write how many certificates a text has; nobody reads them here."""
    count = str(value).count("-----BEGIN CERTIFICATE-----")
    return f"{count} certificate{'' if count == 1 else 's'}"


def reference(value: Any) -> str:
    """Write a reference to another object as a mapping in the order that people look for."""
    if not isinstance(value, Mapping):
        return str(value)
    return str({key: value.get(key) for key in REFERENCE_KEYS})


def reason(value: Any) -> str:
    """Write a reason in two lines."""
    if not isinstance(value, Mapping):
        return str(value)
    return f"code: {value.get('code')}\nmessage: {value.get('message')}"


def reasons(value: Any) -> str:
    """Write named reasons, one per line."""
    if not isinstance(value, Mapping) or not value:
        return "None"
    return "\n".join(f"{name}: {brief_reason(each)}" for name, each in value.items())


def brief_reason(value: Any) -> str:
    """Write a reason in one line."""
    if not isinstance(value, Mapping):
        return str(value)
    return f"{value.get('code')}: {' '.join(str(value.get('message')).split())}"


BASE = (
    cell("name", "metadata.name"),
    cell("namespace", "metadata.namespace"),
    cell("labels", "metadata.labels"),
    cell("created", "metadata.created", time),
    cell("modified", "metadata.modified", time),
    cell("deleted", "metadata.deleted", time),
)
"""What the tables of all kinds start with."""

STATE = cell("state", "status.state")
REASON = cell("reason", "status.reason", reason)
PLACEMENT = (
    cell("scheduled_to", "status.scheduled_to", reference),
    cell("scheduled", "status.scheduled", time),
    cell("running_on", "status.running_on", reference),
)
BACKOFF = tuple(cell(name, f"spec.{name}") for name in ("backoff", "backoff_delay", "backoff_limit"))
