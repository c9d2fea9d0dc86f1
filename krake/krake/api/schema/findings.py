"""What is wrong with an entry of the store. Pure."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from krake.data.kinds import Resource
from krake.data.names import is_name
from krake.data.restoring import losses
from krake.ports.store import Entry


class Flaw(Enum):
    """What kind of harm it does."""

    UNREADABLE = "it is no object, and left out"
    UNREACHABLE = "no request can name it"
    STRANGE = "something in it is not understood, and read as if it were not there"


@dataclass(frozen=True)
class Finding:
    """Something wrong with an entry; the *detail* tells no values."""

    key: str
    flaw: Flaw
    detail: str

    def __str__(self) -> str:
        return f"{self.key}: {self.flaw.value} ({self.detail})"


def read_object(entry: Entry) -> dict[str, Any]:
    """Return the wire form of an entry. Raises ValueError if it is no object."""
    try:
        wire = json.loads(entry.value)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(wire, dict) or not isinstance(wire.get("metadata"), dict):
        raise ValueError("not an object with metadata")
    return wire


def examine(kind: type[Resource], entry: Entry) -> Finding | None:
    """Return what is wrong with an entry below the prefix of a kind."""
    key = kind.definition.key_of(entry.key)
    try:
        wire = read_object(entry)
    except ValueError as error:
        return Finding(entry.key, Flaw.UNREADABLE, str(error))
    wrong = [part for part, text in key._asdict().items() if text is not None and not is_name(text)]
    if wrong:
        return Finding(entry.key, Flaw.UNREACHABLE, f"its {wrong[0]} is not one")
    if (wire["metadata"].get("name"), wire["metadata"].get("namespace") if key.namespace else None) != (
        key.name,
        key.namespace,
    ):
        return Finding(entry.key, Flaw.STRANGE, "its metadata name another object")
    if strange := list(losses(kind, wire)):
        return Finding(entry.key, Flaw.STRANGE, ", ".join(strange[:5]) + (", …" if len(strange) > 5 else ""))
    return None
