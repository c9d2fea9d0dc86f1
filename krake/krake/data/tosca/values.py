"""The types of values, and the constraints on them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from krake.data.tosca.problems import InvalidTemplate, mapping, sequence, show
from krake.data.tosca.units import SCALAR_UNITS, measure

UNBOUNDED = "UNBOUNDED"
NESTING = 32
"""How deep types may be derived from each other, and values be nested in each other."""
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


@dataclass(frozen=True)
class Schema:
    """What a value must be.

    :param definition: as it stands in the template.
    :param what: names the value in messages.
    """

    type: str
    definition: Mapping[str, Any]
    what: str

    @property
    def required(self) -> bool:
        """Whether there must be a value."""
        return self.definition.get("required", True) is not False and "default" not in self.definition

    @property
    def default(self) -> Any:
        """The value if none is given."""
        return self.definition.get("default")


def read_schema(definition: Any, what: str) -> Schema:
    """Read the definition of a property or an input.

    :raises InvalidTemplate: it has no type, or constraints of an unknown kind.
    """
    fields = mapping(definition, what)
    type_ = fields.get("type")
    if not isinstance(type_, str):
        raise InvalidTemplate(f"{what} must have a type.")
    for name, _ in _constraints_of(fields, what):
        if name not in _CONSTRAINTS:
            raise InvalidTemplate(f"{what} has the constraint {show(name)}, which Krake does not know.")
    return Schema(type_, fields, what)


def _constraints_of(definition: Mapping[str, Any], what: str) -> list[tuple[str, Any]]:
    constraints = sequence(definition.get("constraints"), f"The constraints of {what}")
    return [pair for each in constraints for pair in mapping(each, f"A constraint of {what}").items()]


@dataclass
class DataTypes:
    """The types that values can have, beside those of the language.

    :param patterns: whether values are matched with regular expressions, which can take for ever.
    :param effort: how many steps may be taken to check values, as types can stand for any number of them; null is any.
    :param complete: whether types that are not known are wrong, and not just not read yet.
    """

    defined: Mapping[str, Any]
    patterns: bool = True
    complete: bool = True
    effort: int | None = None

    def check(self, value: Any, schema: Schema, *, textual: bool = False, depth: int = 0) -> Any:
        """Return a value that fits its schema, with what its type adds to it.

        :param textual: whether texts may stand for values of other types, as on a command line.
        :raises InvalidTemplate: it does not fit.
        """
        if depth > NESTING:
            raise InvalidTemplate(f"{schema.what} is nested too deeply.")
        self._spend(schema)
        read = _READERS.get(schema.type)
        if read is not None:
            value = self._inner(read(_from_text(value, schema.type) if textual else value, schema), schema, textual, depth)
        elif (known := _BUILT_IN.get(schema.type, self.defined.get(schema.type))) is not None:
            value = self._check_defined(value, schema, mapping(known, f"The data type {schema.type}"), textual, depth)
        elif self.complete:
            raise InvalidTemplate(f"{schema.what} has the type {show(schema.type)}, which is not defined.")
        for name, limit in _constraints_of(schema.definition, schema.what):
            if name != "pattern" or self.patterns:
                _CONSTRAINTS[name](value, limit, schema)
        return value

    def _spend(self, schema: Schema) -> None:
        if self.effort is None:
            return
        constraints = _constraints_of(schema.definition, schema.what)
        self.effort -= 1 + sum(len(limit) if isinstance(limit, list) else 1 for _, limit in constraints)
        if self.effort < 0:
            raise InvalidTemplate(f"{schema.what}: its type, and those of all other values, stand for too many values.")

    def _inner(self, value: Any, schema: Schema, textual: bool, depth: int) -> Any:
        entry = schema.definition.get("entry_schema")
        if entry is None or schema.type not in ("list", "map"):
            return value
        definition = {"type": entry} if isinstance(entry, str) else entry

        def check(each: Any, where: object) -> Any:
            inner = read_schema(definition, f"{schema.what}[{where}]")
            return self.check(each, inner, textual=textual, depth=depth + 1)

        if isinstance(value, list):
            return [check(each, index) for index, each in enumerate(value)]
        return {key: check(each, key) for key, each in value.items()}

    def _check_defined(self, value: Any, schema: Schema, known: dict[str, Any], textual: bool, depth: int) -> Any:
        """Check a value whose type is defined by another one, by properties, or both."""
        parent = known.get("derived_from")
        if isinstance(parent, str) and parent != _ROOT:
            inherited = {"type": parent, "constraints": known.get("constraints"), "entry_schema": known.get("entry_schema")}
            value = self.check(value, read_schema(inherited, schema.what), textual=textual, depth=depth + 1)
        properties = mapping(known.get("properties"), f"The properties of {schema.type}")
        if not properties:
            return value
        given = mapping(_from_text(value, "map") if textual else value, schema.what)
        checked = dict(given)
        for name, definition in properties.items():
            inner = read_schema(definition, f"{schema.what}.{name}")
            each = given.get(name, inner.default)
            if each is not None:
                checked[name] = self.check(each, inner, textual=textual, depth=depth + 1)
            elif inner.required:
                raise InvalidTemplate(f"{inner.what} is missing.")
        return checked


_ROOT = "tosca.datatypes.Root"
_PORT = {"derived_from": "integer", "constraints": [{"in_range": [1, 65535]}]}
_BUILT_IN: Mapping[str, Any] = {
    _ROOT: {"derived_from": _ROOT},
    "tosca.datatypes.Credential": {"derived_from": "map"},
    "tosca.datatypes.json": {"derived_from": "string"},
    "tosca.datatypes.xml": {"derived_from": "string"},
    "json": {"derived_from": "string"},
    "xml": {"derived_from": "string"},
    "tosca.datatypes.network.PortDef": _PORT,
    "PortDef": _PORT,
}


def _from_text(value: Any, type_: str) -> Any:
    """Return what a text stands for, or the text itself if that is nothing of this type."""
    if not isinstance(value, str):
        return value
    if type_ == "boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    if type_ == "integer":
        return int(value) if _INTEGER.fullmatch(value) else value
    if type_ == "float":
        return float(value) if _FLOAT.fullmatch(value) else value
    if type_ in ("list", "map", "range"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accept(phrase: str, fits: Callable[[Any], bool]) -> Callable[[Any, Schema], Any]:
    def read(value: Any, schema: Schema) -> Any:
        if not fits(value):
            raise InvalidTemplate(f"{schema.what} must be {phrase}, not {show(value)}.")
        return value

    return read


def _read_scalar(value: Any, schema: Schema) -> Any:
    if measure(value, schema.type) is None:
        units = ", ".join(SCALAR_UNITS[schema.type])
        raise InvalidTemplate(f"{schema.what} must be a number and a unit ({units}), not {show(value)}.")
    return value


_READERS: Mapping[str, Callable[[Any, Schema], Any]] = {
    "string": _accept("a text; quote it", lambda value: isinstance(value, str)),
    "integer": _accept("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": _accept("a number", _is_number),
    "boolean": _accept("true or false", lambda value: isinstance(value, bool)),
    "timestamp": _accept("a time", lambda value: isinstance(value, str)),
    "version": _accept("a version", lambda value: isinstance(value, str) or _is_number(value)),
    "range": _accept(
        "a list of two integers, or of one and UNBOUNDED",
        lambda value: (
            isinstance(value, list)
            and len(value) == 2
            and isinstance(value[0], int)
            and (value[1] == UNBOUNDED or isinstance(value[1], int))
        ),
    ),
    "list": _accept("a list", lambda value: isinstance(value, list)),
    "map": _accept("a mapping", lambda value: isinstance(value, dict)),
    **dict.fromkeys(SCALAR_UNITS, _read_scalar),
}


def _refuse(value: Any, phrase: str, limit: Any, schema: Schema) -> InvalidTemplate:
    bound = json.dumps(limit, default=str)
    return InvalidTemplate(f"{schema.what} must be {phrase} {bound[:200]}, not {show(value)}.")


def _comparable(value: Any, schema: Schema) -> Any:
    if schema.type in SCALAR_UNITS:
        return measure(value, schema.type)
    return value


def _compare(phrase: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], None]:
    def check(value: Any, limit: Any, schema: Schema) -> None:
        try:
            kept = holds(_comparable(value, schema), _comparable(limit, schema))
        except TypeError:
            kept = False
        if not kept:
            raise _refuse(value, phrase, limit, schema)

    return check


def _check_range(value: Any, limit: Any, schema: Schema) -> None:
    if not isinstance(limit, list) or len(limit) != 2:
        raise InvalidTemplate(f"The constraint in_range of {schema.what} must be a list of two values.")
    low, high = limit
    if low != UNBOUNDED:
        _CONSTRAINTS["greater_or_equal"](value, low, schema)
    if high != UNBOUNDED:
        _CONSTRAINTS["less_or_equal"](value, high, schema)


def _check_valid(value: Any, limit: Any, schema: Schema) -> None:
    allowed = sequence(limit, f"The constraint valid_values of {schema.what}")
    if value not in allowed:
        raise _refuse(value, "one of", limit, schema)


def _measure_length(phrase: str, holds: Callable[[int, int], bool]) -> Callable[[Any, Any, Schema], None]:
    def check(value: Any, limit: Any, schema: Schema) -> None:
        if not isinstance(limit, int):
            raise InvalidTemplate(f"The constraint on the length of {schema.what} must be an integer, not {show(limit)}.")
        if not isinstance(value, str | list | dict) or not holds(len(value), limit):
            raise _refuse(value, phrase, limit, schema)

    return check


def _check_pattern(value: Any, limit: Any, schema: Schema) -> None:
    try:
        pattern = re.compile(limit)
    except (re.error, TypeError, OverflowError, RecursionError):
        raise InvalidTemplate(f"The pattern of {schema.what}, {show(limit)}, is no regular expression.") from None
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _refuse(value, "a text that matches", limit, schema)


_CONSTRAINTS: dict[str, Callable[[Any, Any, Schema], None]] = {
    "equal": _compare("equal to", lambda value, limit: bool(value == limit)),
    "greater_than": _compare("greater than", lambda value, limit: bool(value > limit)),
    "greater_or_equal": _compare("at least", lambda value, limit: bool(value >= limit)),
    "less_than": _compare("less than", lambda value, limit: bool(value < limit)),
    "less_or_equal": _compare("at most", lambda value, limit: bool(value <= limit)),
    "in_range": _check_range,
    "valid_values": _check_valid,
    "length": _measure_length("of the length", lambda length, limit: length == limit),
    "min_length": _measure_length("of a length of at least", lambda length, limit: length >= limit),
    "max_length": _measure_length("of a length of at most", lambda length, limit: length <= limit),
    "pattern": _check_pattern,
}
