"""Structural schemas of custom resources: unknown fields are dropped, defaults filled in, the rest is checked."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.status import Cause, invalid_value, required, unsupported

Schema = Mapping[str, Any]

_FREE = ("apiVersion", "kind", "metadata")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def check_schema(schema: Any, field: str) -> list[Cause]:
    """What is wrong with a schema itself, as far as the checks of objects rely on it."""
    if not isinstance(schema, dict):
        return [invalid_value(field, schema, "must be a schema")]
    causes = []
    if schema.get("type", "object") not in list(_TYPES):
        causes.append(unsupported(f"{field}.type", schema["type"], sorted(_TYPES)))
    for name, shapes in (("enum", list), ("required", list), ("pattern", str), ("properties", dict)):
        if not isinstance(schema.get(name, shapes()), shapes):
            causes.append(invalid_value(f"{field}.{name}", schema[name], f"must be a {shapes.__name__}"))
    causes += [
        invalid_value(f"{field}.{name}", schema[name], "must be a number")
        for name in ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
        if not isinstance(schema.get(name, 0), (int, float))
    ]
    if not causes and not _is_pattern(schema.get("pattern", "")):
        causes.append(invalid_value(f"{field}.pattern", schema["pattern"], "must be a regular expression"))
    if causes:
        return causes
    inner: Object = {f"properties[{name}]": part for name, part in (schema.get("properties") or {}).items()}
    inner |= {
        name: schema[name]
        for name in ("items", "additionalProperties")
        if name in schema and not isinstance(schema[name], bool)
    }
    return [cause for name, part in inner.items() for cause in check_schema(part, f"{field}.{name}")]


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def conform(obj: Object, schema: Schema) -> tuple[Object, list[Cause]]:
    """The object as the schema wants it, and what is wrong with it."""
    rest = {name: value for name, value in obj.items() if name not in _FREE}
    shaped = _shape(rest, {**schema, "type": "object"})
    without_free = [name for name in schema.get("required") or () if name not in _FREE]
    causes = list(_check(shaped, {**schema, "type": "object", "required": without_free}, ""))
    return {**{name: obj[name] for name in _FREE if name in obj}, **shaped}, causes


def _shape(value: Any, schema: Schema) -> Any:
    if isinstance(value, dict):
        return _shape_map(value, schema)
    if isinstance(value, list):
        return [_shape(item, schema.get("items") or {}) for item in value]
    return value


def _shape_map(value: Object, schema: Schema) -> Object:
    properties: Schema = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or additional is True
    result = {}
    for name, item in value.items():
        if name in properties:
            if item is None and not properties[name].get("nullable"):
                continue
            result[name] = _shape(item, properties[name])
        elif isinstance(additional, dict):
            result[name] = _shape(item, additional)
        elif free:
            result[name] = item
    for name, inner in properties.items():
        if name not in result and "default" in inner:
            result[name] = _shape(inner["default"], inner)
    return result


def _check(value: Any, schema: Schema, field: str) -> Iterator[Cause]:
    wanted = schema.get("type")
    if value is None and schema.get("nullable"):
        return
    if schema.get("x-kubernetes-int-or-string"):
        wanted = "string" if isinstance(value, str) else "integer"
    if wanted and not _is_a(value, wanted):
        yield Cause(field, "FieldValueTypeInvalid", _wrong_type(value, wanted, field))
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported(field, value, schema["enum"])
    if isinstance(value, dict):
        yield from _check_map(value, schema, field)
    elif isinstance(value, list):
        yield from _check_list(value, schema, field)
    elif isinstance(value, str):
        yield from _check_text(value, schema, field)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _check_number(value, schema, field)


def _is_a(value: Any, wanted: str) -> bool:
    return isinstance(value, _TYPES[wanted]) and isinstance(value, bool) is (wanted == "boolean")


def _wrong_type(value: Any, wanted: str, field: str) -> str:
    names: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    held = names.get(type(value), "null")
    return f'Invalid value: "{held}": {field} in body must be of type {wanted}: "{held}"'


def _check_map(value: Object, schema: Schema, field: str) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield required(_join(field, name))
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for name, item in value.items():
        inner = properties.get(name, additional if isinstance(additional, dict) else None)
        if inner is not None:
            yield from _check(item, inner, _join(field, name))


def _check_list(value: list[Any], schema: Schema, field: str) -> Iterator[Cause]:
    for bound, broken in (("minItems", len(value) < schema.get("minItems", 0)),
                          ("maxItems", len(value) > schema.get("maxItems", len(value)))):  # fmt: skip
        if broken:
            text = f"{field} in body should have at {'least' if bound == 'minItems' else 'most'} {schema[bound]} items"
            yield invalid_value(field, len(value), text)
    for index, item in enumerate(value):
        yield from _check(item, schema.get("items") or {}, f"{field}[{index}]")


def _check_text(value: str, schema: Schema, field: str) -> Iterator[Cause]:
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, value):
        yield invalid_value(field, value, f"{field} in body should match '{pattern}'")
    if len(value) < schema.get("minLength", 0):
        yield invalid_value(field, value, f"{field} in body should be at least {schema['minLength']} chars long")
    if len(value) > schema.get("maxLength", len(value)):
        yield invalid_value(field, value, f"{field} in body should be at most {schema['maxLength']} chars long")


def _check_number(value: float, schema: Schema, field: str) -> Iterator[Cause]:
    if "minimum" in schema and value < schema["minimum"]:
        text = f"{field} in body should be greater than or equal to {schema['minimum']}"
        yield invalid_value(field, value, text)
    if "maximum" in schema and value > schema["maximum"]:
        text = f"{field} in body should be less than or equal to {schema['maximum']}"
        yield invalid_value(field, value, text)


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
