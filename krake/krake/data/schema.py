"""Admission: marshmallow schemas derived from the declared fields of records.

One schema is made for each record class and :class:`Purpose`. The texts of the errors are part of the wire contract. What is
beyond doubt does not get here: :mod:`krake.data.plain` reads it faster.
"""

import re
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from krake.data.plain import read_plain, read_time
from krake.data.polymorphic import Polymorphic
from krake.data.purpose import Purpose as Purpose
from krake.data.record import FieldInfo, Record, Text, Typed, alternatives, fields_of, once_per_class

R = TypeVar("R", bound=Record)

_WHOLE = re.compile(r"[+-]?\d+")


def load(cls: type[R], data: Any, purpose: Purpose) -> R:
    """Return the record of a wire form.

    :raises marshmallow.ValidationError: *data* breaks the declaration; ``messages`` is the tree of errors.
    """
    try:
        return read_plain(cls, data, purpose)
    except (ValueError, OverflowError, ValidationError):
        return load_by_schema(cls, data, purpose)


def load_by_schema(cls: type[R], data: Any, purpose: Purpose) -> R:
    """As :func:`load`, which is the same but faster where nothing is wrong."""
    loaded: R = _schema_of(cls, purpose).load(data)
    return loaded


def flatten_errors(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``(field, message)`` for each error of a tree; *field* is a dotted path such as ``spec.manifest[0].kind``."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from flatten_errors(inner, _join(path, key))
    elif isinstance(messages, list):
        for inner in messages:
            yield from flatten_errors(inner, path)
    else:
        yield path, str(messages)


def _join(path: str, key: Any) -> str:
    if key == "_schema":
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


class _RecordSchema(Schema):
    """A schema that makes the record it was derived from."""

    record: type[Record]

    class Meta:
        unknown = EXCLUDE

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Record:
        made = self.record(**data)
        if problem := made.problem():
            raise ValidationError(problem)
        return made


class _PolymorphicSchema(Schema):
    """Reads ``{"type": "<t>", "<t>": {…}}``; errors inside the variant are reported without the ``<t>`` level."""

    container: type[Polymorphic]
    purpose: Purpose

    class Meta:
        unknown = EXCLUDE

    def load(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ValidationError({"_schema": ["Invalid input type."]})
        if "type" not in data:
            raise ValidationError({"type": ["Missing data for required field."]})
        name = data["type"]
        if not isinstance(name, str) or name not in self.container.variants:
            raise ValidationError({"type": [f"Unknown type {name!r}"]})
        if name not in data and self.container.needs_data(name):
            raise ValidationError({name: ["Field is required"]})
        return self.container(value=load(self.container.variants[name], data.get(name, {}), self.purpose))


@once_per_class
def _schema_of(cls: type[Record], purpose: Purpose) -> Schema:
    if issubclass(cls, Polymorphic):
        made = type(f"{cls.__name__}Schema", (_PolymorphicSchema,), {"container": cls, "purpose": purpose})
        return typing.cast(Schema, made())
    namespace: dict[str, Any] = {"record": cls}
    if issubclass(cls, Typed):
        # Excluded from the loaded values because they are constants of the class.
        namespace["api"] = _Constant(cls.api)
        namespace["kind"] = _Constant(cls.kind)
    for info in fields_of(cls):
        if not purpose.leaves_out(info):
            namespace[info.name] = _field_of(info, purpose)
    return typing.cast(Schema, type(f"{cls.__name__}Schema", (_RecordSchema,), namespace)())


def _field_of(info: FieldInfo, purpose: Purpose) -> fields.Field[Any]:
    options: dict[str, Any] = {"allow_none": info.nullable}
    if info.required:
        options["required"] = True
    else:
        options["load_default"] = info.make_default
    if info.flags.validate is not None:
        options["validate"] = info.flags.validate
    return _typed_field(info.type, purpose, options)


def _typed_field(hint: Any, purpose: Purpose, options: dict[str, Any]) -> fields.Field[Any]:
    if (members := alternatives(hint)) == (int, float):
        return _Number(**options)
    if len(members) > 1:
        return _Union([_typed_field(member, purpose, {}) for member in members], **options)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return fields.List(_typed_field(arguments[0], purpose, {}), **options)
    if origin is dict:
        key, value = (None if each is Any else _typed_field(each, purpose, {}) for each in arguments)
        return fields.Dict(keys=key, values=value, **options)
    if issubclass(hint, Record):
        return fields.Nested(_schema_of(hint, purpose), **options)
    if issubclass(hint, Enum):
        return _Member(hint, **options)
    if issubclass(hint, Text) and not issubclass(hint, str):
        return _TextField(hint, **options)
    return _SCALARS[hint](**options)


class _Integer(fields.Integer):
    """Whole numbers, also as text (``"5"``) or as a float without a fraction; never cuts a fraction off."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class _Number(fields.Float):
    """Numbers of which those that are written without a fraction stay whole."""

    def _validated(self, value: Any) -> int | float:
        number = super()._validated(value)
        whole = isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value.strip()))
        return int(value) if whole else number


class _DateTime(fields.Field[datetime]):
    """An ISO 8601 date *and* time; UTC if it says no zone."""

    default_error_messages = {"invalid": "Not a valid datetime."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return read_time(value)
        except ValueError:
            raise self.make_error("invalid") from None


class _Member(fields.Field[Enum]):
    """A member of an enumeration by its name."""

    def __init__(self, enum: type[Enum], **options: Any) -> None:
        super().__init__(**options)
        self.enum = enum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Enum:
        if not isinstance(value, str):
            raise ValidationError("Enum name must be string")
        try:
            return self.enum[value]
        except KeyError:
            raise ValidationError(f"Invalid enum member {value}") from None


class _TextField(fields.Field[Text]):
    """A value of a small language, for example a label constraint."""

    def __init__(self, language: type[Text], **options: Any) -> None:
        super().__init__(**options)
        self.language = language

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Text:
        try:
            return self.language.parse(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Union(fields.Field[Any]):
    """The first alternative that accepts the value; otherwise the errors of all."""

    def __init__(self, members: list[fields.Field[Any]], **options: Any) -> None:
        super().__init__(**options)
        self.members = members

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        errors = []
        for member in self.members:
            try:
                return member.deserialize(value, attr, data)
            except ValidationError as error:
                errors.append(error.messages)
        raise ValidationError(errors)


class _Constant(fields.String):
    """A text that may be left out but not be another one; it is checked and dropped."""

    def __init__(self, expected: str | None) -> None:
        super().__init__(validate=validate.Equal(expected), load_only=True)

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        from marshmallow import missing

        super().deserialize(value, *args, **kwargs)
        return missing


_SCALARS: dict[Any, type[fields.Field[Any]]] = {
    str: fields.String,
    int: _Integer,
    float: fields.Float,
    bool: fields.Boolean,
    datetime: _DateTime,
}
