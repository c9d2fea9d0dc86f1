"""The entries of the store that speak about all others. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from krake.api.schema.migrations import CURRENT

PREFIX = "/krake/"
SCHEMA = "/krake/schema"
"""Which schema the objects have: ``{"version": 1}``."""
RESTORE = "/krake/restore"
"""There while a backup is being restored: not all of it is in the store yet, and other objects may still be."""


def encode_schema(version: int) -> bytes:
    """Return the value of the entry `SCHEMA`."""
    return json.dumps({"version": version}).encode()


def read_schema(value: bytes | None) -> int:
    """Return the schema that an entry tells; without an entry, 0. Raises ValueError if it tells something else."""
    if value is None:
        return 0
    try:
        told: Any = json.loads(value)
        version = told["version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        version = None
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise ValueError(f"The entry {SCHEMA} of the store does not tell the schema of the stored objects.")
    return version


def concern_of(marks: Mapping[str, bytes]) -> str | None:
    """Why the objects of a store with these marks must not be used now by this version of Krake, or nothing.

    A store without any mark is one that has just been emptied.
    """
    if RESTORE in marks:
        return "A backup is being restored; if nobody does so any more, run 'krake restore' again."
    try:
        version = read_schema(marks[SCHEMA]) if SCHEMA in marks else CURRENT
    except ValueError as error:
        return str(error)
    if version > CURRENT:
        return refusal_of(version)
    if version < CURRENT:
        return f"The stored objects have been set back to schema {version}; start the API anew to bring them up to date."
    return None


def refusal_of(version: int) -> str:
    """Why a store of a newer schema is refused."""
    return (
        f"The store belongs to a newer version of Krake: its objects have schema {version}, and this version knows none after"
        f" {CURRENT}. Use that version, or restore a backup of before."
    )
