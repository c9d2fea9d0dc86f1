"""Makes an example of each record, from the examples and types of its fields."""

import typing
from datetime import datetime
from enum import Enum
from typing import Any

from krake.data.polymorphic import Polymorphic
from krake.data.record import FieldInfo, Record, Typed, alternatives, fields_of


def sample_of(cls: type[Record]) -> dict[str, Any]:
    """Return the body of a request to create a record: what is required, and what has an example."""
    if issubclass(cls, Polymorphic):
        name, variant = next(iter(cls.variants.items()))
        return {"type": name, name: sample_of(variant)}
    sample: dict[str, Any] = {"api": cls.api, "kind": cls.kind} if issubclass(cls, Typed) else {}
    for info in fields_of(cls):
        if info.flags.example is not None or info.required:
            sample[info.name] = _value_of(info)
    return sample


def _value_of(info: FieldInfo) -> Any:
    if info.flags.example is not None:
        return info.flags.example
    hint = alternatives(info.type)[0]
    origin = typing.get_origin(hint)
    if origin is not None:
        return origin()
    if issubclass(hint, Record):
        return sample_of(hint)
    if issubclass(hint, Enum):
        return next(iter(hint)).name
    plain: dict[Any, Any] = {int: 1, float: 1.0, bool: True, datetime: "2030-01-01T00:00:00+00:00"}
    return plain.get(hint, info.name)
