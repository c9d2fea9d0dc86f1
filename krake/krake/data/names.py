"""The rules for names, labels and addresses."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

from krake.data.rules import Rule, rule

NAME = re.compile(r"\w|\w[\w\-_.:]{0,253}\w", re.ASCII)
LABEL_KEY = re.compile(r"^((\w|(\w[\w\-_.]{0,251}\w))\/)?(\w|(\w[\w\-_.]{0,61}\w))$", re.ASCII)
LABEL_VALUE = re.compile(r"\w|(\w[\w\-_.]{0,61}\w)", re.ASCII)


def _whole(pattern: re.Pattern[str]) -> str:
    """Return a pattern for a whole text, as it is written for readers to whom ``\\w`` may be more than ASCII."""
    portable = pattern.pattern.replace(r"[\w\-_", r"[A-Za-z0-9_\-").replace(r"\w", "[A-Za-z0-9_]")
    return f"^({portable.strip('^$')})$"


def is_name(text: str) -> bool:
    """Whether *text* may name a resource or a namespace: 1 to 255 letters, digits, ``_ - . :``, ends alphanumeric."""
    return NAME.fullmatch(text) is not None


@rule({"pattern": _whole(NAME)})
def check_resource_name(text: str) -> None:
    """Refuse what may not name a resource."""
    if not is_name(text):
        raise ValidationError("Invalid character in resource name.")


@rule({"pattern": _whole(NAME)})
def check_namespace(text: str | None) -> None:
    """Refuse what may not name a namespace."""
    if text is not None and not is_name(text):
        raise ValidationError("Invalid character in resource namespace.")


def label_key_problem(key: Any) -> str | None:
    """Why *key* may not be the key of a label, or nothing."""
    return _mismatch("key", key, LABEL_KEY)


def label_value_problem(value: Any) -> str | None:
    """Why *value* may not be the value of a label, or nothing."""
    return _mismatch("value", value, LABEL_VALUE)


def _mismatch(part: str, text: Any, pattern: re.Pattern[str]) -> str | None:
    if not isinstance(text, str):
        return f"expected string or bytes-like object, got '{type(text).__name__}'"
    if pattern.fullmatch(text) and not text.endswith("\n"):
        return None
    return f"Label {part} '{text}' does not match the regex '{pattern.pattern}'."


@rule({"propertyNames": {"pattern": _whole(LABEL_KEY)}, "additionalProperties": {"pattern": _whole(LABEL_VALUE)}})
def check_labels(labels: Mapping[Any, Any]) -> None:
    """Refuse labels of which a key or a value breaks the rules; all of them are named."""
    problems = [{str(key): problem} for key in labels if (problem := label_key_problem(key))]
    problems += [{str(value): problem} for value in labels.values() if (problem := label_value_problem(value))]
    if problems:
        raise ValidationError(problems)


@rule({"pattern": _whole(LABEL_KEY)})
def check_label_key(text: str | None) -> None:
    """Refuse what can not be the key of a label; nothing is fine."""
    if text is not None and (problem := label_key_problem(text)):
        raise ValidationError(problem)


@rule({"pattern": f"^$|{_whole(LABEL_VALUE)}"})
def check_label_value(text: str) -> None:
    """Refuse what can not be the value of a label; an empty text is fine."""
    if text and (problem := label_value_problem(text)):
        raise ValidationError(problem)


@rule({"format": "uri", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]"})
def check_url(url: str | None) -> None:
    """Refuse what is not an absolute ``http`` or ``https`` URL."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise ValidationError("Not a valid URL: it must start with http:// or https:// and name a host.")


def one_of(*choices: str) -> Rule:
    """Return a validator for an optional text that must be one of *choices*."""

    @rule({"enum": list(choices)})
    def check(value: str | None) -> None:
        if value is not None and value not in choices:
            raise ValidationError(f"Must be one of: {', '.join(choices)}.")

    return check


def each_of(*choices: str) -> Rule:
    """Return a validator for a list of which each item must be one of *choices*."""
    check_one = one_of(*choices)

    @rule({"items": check_one.keywords})
    def check(values: list[str]) -> None:
        for value in values:
            check_one(value)

    return check


def at_least(minimum: float) -> Rule:
    """Return a validator for an optional number with a lower bound."""

    @rule({"minimum": minimum})
    def check(value: float | None) -> None:
        if value is not None and value < minimum:
            raise ValidationError(f"Must be greater than or equal to {minimum}.")

    return check


def no_longer_than(length: int) -> Rule:
    """Return a validator for a list or an optional text of a limited length."""

    @rule({"maxItems": length, "maxLength": length})
    def check(value: list[object] | str | None) -> None:
        if value is not None and len(value) > length:
            raise ValidationError(f"Must not be longer than {length}.")

    return check


@rule({"minimum": 0, "maximum": 65535})
def check_port(port: int) -> None:
    """Refuse what is no port; 0 stands for any free one."""
    if not 0 <= port <= 65535:
        raise ValidationError("Must be a port: 0 to 65535.")
