"""Merging a request body into a stored record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from krake.data.polymorphic import Polymorphic
from krake.data.record import FieldInfo, Record, fields_of, once_per_class

R = TypeVar("R", bound=Record)


class ImmutableFieldError(ValueError):
    """A body changes a field that may not change. ``field`` is the bare name of the field."""

    def __init__(self, field: str) -> None:
        super().__init__(f"Trying to update an immutable field: {field}")
        self.field = field


def merge(stored: R, body: R) -> R:
    """Return *stored* with the values of *body*, as a PUT means it.

    Fields of the server and subresources stay as stored; records are merged field by field; everything else, and every
    polymorphic container, is replaced as a whole.

    :raises ImmutableFieldError: *body* changes an immutable field.
    """
    changes = {info.name: _merge_field(info, stored, body) for info in fields_of(type(stored))}
    return replace(stored, **changes)


def _merge_field(info: FieldInfo, stored: Record, body: Record) -> Any:
    old, new = getattr(stored, info.name), getattr(body, info.name)
    if info.flags.readonly or info.flags.subresource:
        return old
    if info.flags.immutable:
        if old != new:
            raise ImmutableFieldError(info.name)
        return old
    if isinstance(old, Record) and isinstance(new, Record) and _keeps_something(type(old)):
        return merge(old, new)
    return new


@once_per_class
def _keeps_something(cls: type[Record]) -> bool:
    """Whether any field of a record, however deep, is not simply replaced."""
    if issubclass(cls, Polymorphic):
        return False
    flagged = any(info.flags.readonly or info.flags.immutable or info.flags.subresource for info in fields_of(cls))
    records = (info.type for info in fields_of(cls) if isinstance(info.type, type) and issubclass(info.type, Record))
    return flagged or any(map(_keeps_something, records))


def without_nulls(value: Any) -> Any:
    """Return a value without the members that are null, which no merge patch can write."""
    if isinstance(value, Mapping):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return value
