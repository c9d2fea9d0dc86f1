"""Admission of what is beyond doubt, in a tenth of the time that the schemas take.

Almost every wire form holds exactly the declared types: no number as text, no unknown variant, nothing missing. Such a form is
read here as the schemas of :mod:`krake.data.schema` would read it. Everything else is in doubt, and theirs to read or to
refuse; no error is described here.
"""

import math
import re
import typing
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from krake.data.polymorphic import Polymorphic
from krake.data.purpose import Purpose
from krake.data.record import FieldInfo, Record, Text, Typed, alternatives, fields_of, once_per_class, parse_time

R = TypeVar("R", bound=Record)
Read = Callable[[Any], Any]

_DATE_AND_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:")


class Doubtful(ValueError):
    """The value is not plainly of its declared type. Which value is not told: it may be secret, and errors end in logs."""


def read_plain(cls: type[R], data: Any, purpose: Purpose) -> R:
    """Return the record of a wire form.

    :raises ValueError, OverflowError, marshmallow.ValidationError: *data* is in doubt.
    """
    record: R = _record_reader(cls, purpose)(data)
    return record


@once_per_class
def _record_reader(cls: type[Record], purpose: Purpose) -> Read:
    if issubclass(cls, Polymorphic):
        return _polymorphic_reader(cls, purpose)
    constants = (("api", cls.api), ("kind", cls.kind)) if issubclass(cls, Typed) else ()
    readers = [(info, _reader_of(info.type, purpose)) for info in fields_of(cls) if not purpose.leaves_out(info)]
    required = {info.name for info, _ in readers if info.required}

    def read_record(data: Any) -> Record:
        if not required <= _expect(dict, data).keys():
            raise Doubtful
        for name, constant in constants:
            if data.get(name, constant) != constant:
                raise Doubtful
        made = cls(**{info.name: _read_field(info, read, data[info.name]) for info, read in readers if info.name in data})
        if made.problem():
            raise Doubtful
        return made

    return read_record


def _read_field(info: FieldInfo, read: Read, value: Any) -> Any:
    if value is None and info.nullable:
        return None
    value = read(value)
    if info.flags.validate is not None:
        info.flags.validate(value)
    return value


def _polymorphic_reader(cls: type[Polymorphic], purpose: Purpose) -> Read:
    def read(data: Any) -> Polymorphic:
        name = _expect(str, _expect(dict, data).get("type"))
        if name not in cls.variants or name not in data:
            raise Doubtful
        return cls(value=read_plain(cls.variants[name], data[name], purpose))

    return read


def _reader_of(hint: Any, purpose: Purpose) -> Read:
    # Of several alternatives the first that takes a value counts; whether one would, only the schemas know.
    members = alternatives(hint)
    if members == (int, float):
        return _read_whole_or_not
    hint = members[0]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return _list_reader(_reader_of(arguments[0], purpose))
    if origin is dict:
        return _map_reader(None if arguments[1] is Any else _reader_of(arguments[1], purpose))
    if issubclass(hint, Record):
        return _record_reader(hint, purpose)
    if issubclass(hint, Enum):
        return lambda value: _member(hint, value)
    if issubclass(hint, Text) and not issubclass(hint, str):
        return lambda value: hint.parse(_expect(str, value))
    special: dict[Any, Read] = {float: _read_number, datetime: read_time}
    return special.get(hint) or (lambda value: _expect(hint, value))


def _list_reader(read: Read) -> Read:
    return lambda values: [read(value) for value in _expect(list, values)]


def _map_reader(read: Read | None) -> Read:
    def read_map(values: Any) -> dict[str, Any]:
        for key in _expect(dict, values):
            _expect(str, key)
        return values if read is None else {key: read(value) for key, value in values.items()}

    return read_map


def _expect(expected: type, value: Any) -> Any:
    # To Python, true is an integer; not so to JSON.
    if type(value) is not expected:
        raise Doubtful
    return value


def _member(enum: type[Enum], value: Any) -> Enum:
    try:
        return enum[_expect(str, value)]
    except KeyError:
        raise Doubtful from None


def _read_whole_or_not(value: Any) -> int | float:
    _read_number(value)
    number: int | float = value
    return number


def _read_number(value: Any) -> float:
    if type(value) is not int and (type(value) is not float or not math.isfinite(value)):
        raise Doubtful
    return float(value)


def read_time(value: Any) -> datetime:
    """Return the time of an ISO 8601 date *and* time; UTC if it says no zone. Raises ValueError."""
    if not _DATE_AND_TIME.match(_expect(str, value)):
        raise Doubtful
    return parse_time(value)
