"""Records: typed, immutable values with one declaration for Python, the wire and the store.

A record is a class whose annotated attributes are its fields::

    class MetricRef(Record):
        name: str
        weight: float
        namespaced: bool = False

It becomes a frozen dataclass with keyword arguments. The wire form of a record is a JSON object with *every* field, in the
order of declaration, base classes first. Free-form values (``dict[str, Any]``) are shared, not copied, between a record and its
wire form: treat both as read-only and use :func:`dataclasses.replace` to make a changed record.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, ClassVar, Protocol, Self, TypeVar, cast, dataclass_transform, runtime_checkable

FLAGS = "krake"

Validator = Callable[[Any], None]
Encoder = Callable[[Any], Any]
Secrecy = bool | Callable[[Any, Any, Any], Any]
"""Whether a value is secret, or which parts of it are: a function as :data:`krake.data.secrets.Rewrite` describes."""


F = TypeVar("F", bound=Callable[..., Any])


def once_per_class(function: F) -> F:
    """Remember what *function* returns for each class."""
    return cast(F, functools.cache(function))


@dataclass(frozen=True)
class Flags:
    """What a field is besides its type.

    :param readonly: owned by the server; ignored in request bodies.
    :param immutable: may not change after creation.
    :param subresource: changed only through a route of its own.
    :param secret: never shown to someone who may not read secrets, and sealed in the store; see :mod:`krake.data.secrets`.
    :param destination: where the secrets of the object are sent, or the function that tells which part of a value says so.
    :param validate: raises :class:`marshmallow.ValidationError` for a wrong value; called at admission only.
    :param example: a wire form of the field, for the documentation; optional fields that have one are part of samples.
    """

    readonly: bool = False
    immutable: bool = False
    subresource: bool = False
    secret: Secrecy = False
    destination: bool | Encoder = False
    validate: Validator | None = None
    example: Any = None


def field(
    *,
    default: Any = MISSING,
    factory: Callable[[], Any] | None = None,
    readonly: bool = False,
    immutable: bool = False,
    subresource: bool = False,
    secret: Secrecy = False,
    destination: bool | Encoder = False,
    validate: Validator | None = None,
    example: Any = None,
) -> Any:
    """Declare a field that has a default, a flag or a validator; see :class:`Flags`."""
    # A record that finds its way into a log takes no secret along.
    shown = not secret
    flags = Flags(readonly, immutable, subresource, secret, destination, validate, example)
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata={FLAGS: flags}, repr=shown)
    return dataclasses.field(default=default, metadata={FLAGS: flags}, repr=shown)


@runtime_checkable
class Text(Protocol):
    """A value that is written as text, for example a constraint: ``parse`` and ``str`` are inverse."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value of *text*.

        :raises ValueError: *text* is not of this language.
        """

    @classmethod
    def restore(cls, text: str) -> Self:
        """Return a value for *text* that is already stored, even if it is not of this language any more."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all records."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, kw_only=True)(cls)

    def problem(self) -> str | None:
        """What is wrong with the fields taken together, or nothing. Asked at admission only."""
        return None

    def serialize(self) -> dict[str, Any]:
        """Return the wire form: a JSON-able mapping of every field."""
        out: dict[str, Any] = {}
        for name, encode in _encoders(type(self)):
            value = getattr(self, name)
            out[name] = value if encode is None or value is None else encode(value)
        return out

    @classmethod
    def deserialize(cls, data: Any) -> Self:
        """Return the record of a wire form, with all checks.

        :raises marshmallow.ValidationError: *data* breaks the declaration; ``messages`` is the tree of errors.
        """
        from krake.data.schema import Purpose, load

        return load(cls, data, Purpose.FULL)

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Self:
        """Return the record of a wire form that was admitted before, perhaps by another version.

        Never fails: what is missing or not understood any more becomes the field's default, or the empty value of its type.
        """
        from krake.data.restoring import restore

        return restore(cls, data)


class Typed(Record):
    """Base of the records that name themselves on the wire, by ``api`` and ``kind``."""

    api: ClassVar[str]
    kind: ClassVar[str]

    def serialize(self) -> dict[str, Any]:
        """Return the wire form, led by ``api`` and ``kind``."""
        return {"api": self.api, "kind": self.kind, **super().serialize()}


@dataclass(frozen=True)
class FieldInfo:
    """One field of a record, as declared.

    :param type: the declared type without ``None``.
    :param nullable: ``null`` is a value; true exactly for a default of ``None``.
    """

    name: str
    type: Any
    nullable: bool
    required: bool
    make_default: Callable[[], Any]
    flags: Flags


@once_per_class
def fields_of(cls: type[Record]) -> tuple[FieldInfo, ...]:
    """Return the declared fields of a record class in wire order."""
    hints = typing.get_type_hints(cls)
    return tuple(_describe(declared, hints[declared.name]) for declared in dataclasses.fields(cls))


def _describe(declared: dataclasses.Field[Any], hint: Any) -> FieldInfo:
    if declared.default is not MISSING:
        default = declared.default
        make_default: Callable[[], Any] = lambda: default  # noqa: E731
    elif declared.default_factory is not MISSING:
        make_default = declared.default_factory
    else:
        make_default = _no_default
    return FieldInfo(
        name=declared.name,
        type=without_none(hint),
        nullable=declared.default is None,
        required=make_default is _no_default,
        make_default=make_default,
        flags=declared.metadata.get(FLAGS, Flags()),
    )


def _no_default() -> Any:
    raise LookupError("The field has no default.")


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union type, or the type alone."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def without_none(hint: Any) -> Any:
    """Return a type without its ``None`` alternative."""
    rest = [each for each in alternatives(hint) if each is not types.NoneType]
    result = rest[0]
    for each in rest[1:]:
        result = result | each
    return result


@once_per_class
def _encoders(cls: type[Record]) -> tuple[tuple[str, Encoder | None], ...]:
    return tuple((info.name, encoder_of(info.type)) for info in fields_of(cls))


def encoder_of(hint: Any) -> Encoder | None:
    """Return the function that makes the wire form of a value of this type; ``None`` if the value is its own wire form."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return _encoder_of_list(arguments[0])
    if origin is dict:
        return _encoder_of_map(arguments[1])
    if not isinstance(hint, type):
        return None
    if hint is float:
        return float
    if issubclass(hint, Record):
        return hint.serialize
    if issubclass(hint, Enum):
        return _name_of
    if issubclass(hint, datetime):
        return datetime.isoformat
    return str if issubclass(hint, Text) and not issubclass(hint, str) else None


def _encoder_of_list(item: Any) -> Encoder | None:
    encode = encoder_of(item)
    return None if encode is None else lambda values: [encode(value) for value in values]


def _encoder_of_map(item: Any) -> Encoder | None:
    encode = encoder_of(item)
    return None if encode is None else lambda values: {key: encode(value) for key, value in values.items()}


def parse_time(text: str) -> datetime:
    """Return the time of an ISO 8601 text; UTC if it says no zone, so that any two times can be compared.

    :raises ValueError: *text* is no such time.
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _name_of(member: Enum) -> str:
    return member.name
