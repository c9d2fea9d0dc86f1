"""Reads fields of objects that may hold anything: what has another form than it should counts as absent. Pure."""

from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]

LARGEST = 2**31 - 1
"""No number of Pods is larger."""


def mapping(holder: Any, key: str) -> Fields:
    """Return the mapping that is at a key; an empty one if none is."""
    value = holder.get(key) if isinstance(holder, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def mappings(holder: Any, key: str) -> list[Fields]:
    """Return the mappings in the list that is at a key."""
    value = holder.get(key) if isinstance(holder, Mapping) else None
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def count(value: Any, default: int = 0) -> int:
    """Return a number of things."""
    return min(max(value, 0), LARGEST) if isinstance(value, int) and not isinstance(value, bool) else default


def text(value: Any) -> str:
    """Return a text on one line; an empty one for what is no text."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def condition(status: Any, type_: str, value: str | None = None) -> Fields:
    """Return a condition of a status; an empty one if there is none, or if it has another value."""
    for each in mappings(status, "conditions"):
        if each.get("type") == type_ and (value is None or each.get("status") == value):
            return each
    return {}


def said(holder: Fields, otherwise: str = "for no reason given") -> str:
    """Return the reason and the message that a condition or a state of a container has."""
    return ": ".join(part for part in (text(holder.get("reason")), text(holder.get("message"))) if part) or otherwise


def name_of(obj: Any) -> str:
    """Return the name of an object, or of a container."""
    holder = mapping(obj, "metadata") or obj
    return text(holder.get("name") if isinstance(holder, Mapping) else None) or "?"
