"""What can be wrong with a template, and how it is said."""

import json
from typing import Any

_SHOWN = 40


class InvalidTemplate(Exception):
    """A template, or an input of it, can not be what its user means; the message says where and why."""


def show(value: Any) -> str:
    """Quote a value in a message, not more of it than is needed to find it."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a mapping with names as keys; nothing is an empty one.

    :raises InvalidTemplate: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidTemplate(f"{what} must be a mapping of names, not {show(value)}.")
    for key in value:
        if not isinstance(key, str):
            raise InvalidTemplate(f"{what} must have texts as names, not {show(key)}; quote it.")
    return value


def sequence(value: Any, what: str) -> list[Any]:
    """Return a list; nothing is an empty one.

    :raises InvalidTemplate: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidTemplate(f"{what} must be a list, not {show(value)}.")
    return value
