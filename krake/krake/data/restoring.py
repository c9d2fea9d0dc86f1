"""Reading back what was admitted before: lenient, because an object that is stored must always be readable.

Validation belongs to admission. A stored object may have been written by another version of Krake, so a value that is missing
or not understood becomes the default of its field or, where there is none, the empty value of its type.
"""

import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from krake.data.record import FieldInfo, Record, Text, Typed, alternatives, fields_of, once_per_class, parse_time

R = TypeVar("R", bound=Record)

Decoder = Callable[[Any], Any]


def restore(cls: type[R], data: Mapping[str, Any]) -> R:
    """Return the record of a stored wire form; never fails."""
    return cls(**{info.name: _restore_field(info, decode, data) for info, decode in _decoders(cls)})


def _restore_field(info: FieldInfo, decode: Decoder, data: Mapping[str, Any]) -> Any:
    value = data.get(info.name)
    if value is not None:
        try:
            return decode(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
    elif info.nullable:
        return None
    return _empty(info.type) if info.required else info.make_default()


@once_per_class
def _decoders(cls: type[Record]) -> tuple[tuple[FieldInfo, Decoder], ...]:
    return tuple((info, _decoder_of(info.type)) for info in fields_of(cls))


def _decoder_of(hint: Any) -> Decoder:
    if len(members := alternatives(hint)) > 1:
        return _first_of([_decoder_of(member) for member in members])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        decode = _decoder_of(arguments[0])
        return lambda values: [decode(value) for value in _expect(list, values)]
    if origin is dict:
        return _decoder_of_map(arguments[1])
    if issubclass(hint, Record):
        return lambda value: hint.restore(_expect(Mapping, value))
    if issubclass(hint, Enum):
        return lambda value: hint[value]
    if issubclass(hint, datetime):
        return parse_time
    if issubclass(hint, Text) and not issubclass(hint, str):
        return lambda value: hint.restore(str(value))
    if hint is float:
        return float
    return lambda value: _expect(hint, value)


def _decoder_of_map(value_type: Any) -> Decoder:
    if value_type is Any:
        return lambda values: _expect(dict, values)
    decode = _decoder_of(value_type)
    return lambda values: {key: decode(value) for key, value in _expect(dict, values).items()}


def _first_of(decoders: list[Decoder]) -> Decoder:
    def decode(value: Any) -> Any:
        for each in decoders:
            try:
                return each(value)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
        raise ValueError(value)

    return decode


def _expect(expected: Any, value: Any) -> Any:
    if not isinstance(value, expected):
        raise TypeError(value)
    return value


def _empty(hint: Any) -> Any:
    first = alternatives(hint)[0]
    origin = typing.get_origin(first)
    if origin is not None:
        return origin()
    if issubclass(first, Record):
        return first.restore({})
    if issubclass(first, Enum):
        return next(iter(first))
    if issubclass(first, datetime):
        return datetime.fromtimestamp(0, UTC)
    if issubclass(first, Text) and not issubclass(first, str):
        return first.restore("")
    return first()


def losses(cls: type[Record], data: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the fields, as dotted paths, of a wire form that :func:`restore` would not take over.

    An empty result says that nothing is lost if the restored record replaces *data*.
    """
    known = {info.name: info for info in fields_of(cls)}
    allowed = known.keys() | ({"api", "kind"} if issubclass(cls, Typed) else set())
    yield from (f"{path}{name}" for name in data if name not in allowed)
    for name, info in known.items():
        if data.get(name) is not None:
            yield from _losses_of(info.type, data[name], f"{path}{name}")


def _losses_of(hint: Any, value: Any, path: str) -> Iterator[str]:
    if len(members := alternatives(hint)) > 1:
        found = [list(_losses_of(member, value, path)) for member in members]
        yield from min(found, key=len)
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, dict):
        if not isinstance(value, origin):
            yield path
        elif arguments[-1] is not Any and arguments[-1] != dict[str, Any]:
            inner = value.items() if origin is dict else enumerate(value)
            for key, item in inner:
                yield from _losses_of(arguments[-1], item, f"{path}.{key}" if origin is dict else f"{path}[{key}]")
    elif issubclass(hint, Record):
        yield from _losses_of_record(hint, value, path)
    else:
        try:
            _decoder_of(hint)(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            yield path


def _losses_of_record(cls: type[Record], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield path
        return
    variants = getattr(cls, "variants", None)
    if variants is None:
        yield from losses(cls, value, f"{path}.")
    elif (name := value.get("type")) not in variants:
        yield f"{path}.type"
    else:
        yield from (f"{path}.{other}" for other in value if other not in ("type", name))
        if value.get(name) is not None:
            yield from _losses_of(variants[name], value[name], f"{path}.{name}")
