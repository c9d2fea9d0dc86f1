"""Describes records as JSON schemas, derived from their declared fields."""

import typing
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any

from krake.api.openapi.words import description_of, parameters_of
from krake.data.polymorphic import Polymorphic
from krake.data.purpose import Purpose
from krake.data.record import FieldInfo, Record, Text, Typed, alternatives, encoder_of, fields_of
from krake.data.rules import Rule

Schema = dict[str, Any]

_SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    Any: {},
}
VERSION_PATTERN = "^[0-9]{1,19}$"


class Use(Enum):
    """What a schema is for."""

    READ = auto()
    """An answer: every field is there. Rules are not promised: what is stored may be older than they are."""
    WRITE = auto()
    """The body of a request: fields with a default may be left out, and rules are told."""
    PATCH = auto()
    """A merge patch: any field may be left out, and ``null`` takes a value away, unless it is required."""

    @property
    def suffix(self) -> str:
        """What is added to the name of a record."""
        return "" if self is Use.READ else self.name.capitalize()


def reference(name: str) -> Schema:
    """Return the schema that stands under *name* among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


class Schemas:
    """The schemas of all records that were asked for, under their names."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._names: dict[tuple[type, Use], str] = {}

    def of(self, cls: type[Record], use: Use) -> Schema:
        """Return a reference to the schema of a record."""
        if (cls, use) not in self._names:
            made = self._polymorphic(cls, use) if issubclass(cls, Polymorphic) else self._record(cls, use)
            if use is not Use.READ:
                self.of(cls, Use.READ)
            # What is the same for all uses needs one name only.
            same = made == self.components.get(cls.__name__)
            self._names[cls, use] = cls.__name__ if same else self._add(f"{cls.__name__}{use.suffix}", made)
        return reference(self._names[cls, use])

    def _add(self, name: str, schema: Schema) -> str:
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"There are two records called {name}; rename one of them.")
        return name

    def _record(self, cls: type[Record], use: Use) -> Schema:
        constants = {"api": cls.api, "kind": cls.kind} if issubclass(cls, Typed) else {}
        properties: Schema = {name: {"type": "string", "const": value} for name, value in constants.items()}
        required = [*constants] if use is Use.READ else []
        words = parameters_of(cls)
        for info in shown_fields(cls, use):
            # A field may not be called like a keyword of Python, its wire form may.
            name = info.name.rstrip("_")
            properties[name] = self._field(info, use, words.get(info.name))
            if use is Use.READ or (use is Use.WRITE and info.required):
                required.append(name)
        schema: Schema = {"type": "object", "description": _describe(cls, use), "properties": properties}
        return schema | ({"required": required} if required else {})

    def _polymorphic(self, cls: type[Polymorphic], use: Use) -> Schema:
        inner = {name: self.of(variant, use) for name, variant in cls.variants.items()}
        schema: Schema = {"type": "object", "description": _describe(cls, use)}
        kind = {"type": "string", "enum": [*inner]}
        if use is Use.PATCH:
            return schema | {"properties": {"type": kind, **{name: _nullable(each) for name, each in inner.items()}}}
        cases = [
            {
                "properties": {"type": {"type": "string", "const": name}, name: each},
                "required": ["type", name] if use is Use.READ or cls.needs_data(name) else ["type"],
            }
            for name, each in inner.items()
        ]
        return schema | {"required": ["type"], "oneOf": cases}

    def _field(self, info: FieldInfo, use: Use, words: str | None) -> Schema:
        schema = self._typed(info.type, use)
        if use is not Use.READ and isinstance(info.flags.validate, Rule):
            schema = _merge(schema, info.flags.validate.keywords)
        if info.flags.secret is True and schema == _SCALARS[str]:
            schema["format"] = "password"
        if use is not Use.READ and _is_known_version(info):
            schema = {**schema, "pattern": VERSION_PATTERN}
        if info.nullable or (use is Use.PATCH and not info.required):
            schema = _nullable(schema)
        if words:
            schema = {**schema, "description": words}
        if use is Use.WRITE and not info.required:
            schema = {**schema, "default": default_of(info)}
        if use is Use.WRITE and info.flags.example is not None:
            schema = {**schema, "examples": [info.flags.example]}
        return schema

    def _typed(self, hint: Any, use: Use) -> Schema:
        if len(members := alternatives(hint)) > 1:
            return {"anyOf": [self._typed(member, use) for member in members]}
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is list:
            # A patch replaces a list as a whole.
            return {"type": "array", "items": self._typed(arguments[0], Use.WRITE if use is Use.PATCH else use)}
        if origin is dict:
            return {"type": "object", **self._values(arguments[1], use)}
        if hint in _SCALARS:
            return dict(_SCALARS[hint])
        if issubclass(hint, Record):
            return self.of(hint, use)
        return reference(self._add(hint.__name__, _of_text(hint)))

    def _values(self, hint: Any, use: Use) -> Schema:
        if hint is Any:
            return {}
        values = self._typed(hint, use)
        return {"additionalProperties": _nullable(values) if use is Use.PATCH else values}


def shown_fields(cls: type[Record], use: Use) -> Iterator[FieldInfo]:
    """Yield the fields of a record that have a meaning for a use."""
    for info in fields_of(cls):
        if use is Use.READ or _is_known_version(info) or not Purpose.CREATE.leaves_out(info):
            yield info


def _is_known_version(info: FieldInfo) -> bool:
    """Whether a field is the one thing of the server's that a request may name."""
    return info.name == "resource_version"


def default_of(info: FieldInfo) -> Any:
    """Return the wire form of the default of a field."""
    default, encode = info.make_default(), encoder_of(info.type)
    return default if encode is None or default is None else encode(default)


def _of_text(cls: type) -> Schema:
    if issubclass(cls, Enum):
        return {"type": "string", "description": description_of(cls), "enum": [member.name for member in cls]}
    assert issubclass(cls, Text), f"There is no schema for {cls}."
    return {"type": "string", "description": description_of(cls)}


def _describe(cls: type[Record], use: Use) -> str:
    text = description_of(cls)
    # The docstring of the check says what it refuses: "Refuse an empty range."
    if use is Use.WRITE and cls.problem is not Record.problem:
        text += "\n\nRefused is " + (cls.problem.__doc__ or "").strip().removeprefix("Refuse ")
    return text


def _nullable(schema: Schema) -> Schema:
    if not isinstance(schema.get("type"), str) or "const" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **values, "type": [schema["type"], "null"]}


def _merge(schema: Schema, keywords: Mapping[str, Any]) -> Schema:
    """Return a schema to which keywords are added, at any depth."""
    merged = dict(schema)
    for name, value in keywords.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged
