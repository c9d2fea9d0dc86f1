"""The secret parts of wire forms, as the declarations of the kinds name them; sealing and redaction both go by this.

A field is declared secret by ``field(secret=True)``: its whole value is secret. Where only parts of a value are, the
declaration names a function instead, see :mod:`krake.data.credentials`: ``field(secret=rewrite_kubeconfig)``. Such a function
is a :data:`Rewrite`, and so is what is derived here for each record that holds secrets anywhere below.
"""

import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from marshmallow import ValidationError

from krake.data.polymorphic import Polymorphic
from krake.data.record import Record, alternatives, fields_of, once_per_class

MARK = "<redacted>"
"""Stands where a secret is not shown; sent back, it means that the secret is to stay as it is."""

SEALED = "sealed:v1:"
"""What every secret begins with in the store; so no secret itself may begin like this."""
_SHORTEST = 4


class Place(NamedTuple):
    """Where a secret is.

    :param path: names it among the secrets of the object, however the elements of its lists are ordered.
    :param field: the place as in error messages, for example ``spec.manifest[0].data.password``.
    """

    path: tuple[str, ...] = ()
    field: str = ""

    def key(self, name: str) -> "Place":
        """The place of the value under a key."""
        return Place((*self.path, name), f"{self.field}.{name}" if self.field else name)

    def item(self, index: int, name: str) -> "Place":
        """The place of an element of a list, which is called *name* wherever it stands."""
        return Place((*self.path, name), f"{self.field}[{index}]")


Visit = Callable[[Place, Any], Any]
"""Returns what is to stand at the place of a secret instead; never called for ``None``."""
Rewrite = Callable[[Any, Place, Visit], Any]
"""Returns a value with its secrets replaced as *visit* says; the very same value if none was.

The value may be anything that JSON can hold. It is not changed; what is not replaced is shared with the result.
"""


def has_secrets(cls: type[Record]) -> bool:
    """Whether records of a class may hold secrets."""
    return _rewrite_of(cls) is not None


def rewrite_secrets(cls: type[Record], wire: dict[str, Any], visit: Visit) -> dict[str, Any]:
    """Return a wire form of a class with its secrets replaced as *visit* says; the very same one if none was."""
    rewrite = _rewrite_of(cls)
    if rewrite is None:
        return wire
    rewritten: dict[str, Any] = rewrite(wire, Place(), visit)
    return rewritten


def secrets_of(cls: type[Record], wire: dict[str, Any]) -> dict[Place, Any]:
    """Return all secrets of a wire form by their places."""
    found: dict[Place, Any] = {}

    def remember(place: Place, value: Any) -> Any:
        found[place] = value
        return value

    rewrite_secrets(cls, wire, remember)
    return found


def redact(cls: type[Record], wire: dict[str, Any]) -> dict[str, Any]:
    """Return a wire form with the mark in the place of each secret; the very same one if there are no secrets."""
    return rewrite_secrets(cls, wire, lambda place, value: MARK)


def restore_marked(cls: type[Record], body: dict[str, Any], stored: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a body with each mark replaced by the secret that is *stored* in its place.

    :raises marshmallow.ValidationError: there is none; or a secret looks like a sealed one, and is not the stored one.
    """
    special = {place: value for place, value in secrets_of(cls, body).items() if _is_special(value)}
    if not special:
        return body
    kept = {place.path: value for place, value in secrets_of(cls, stored()).items()}
    errors = {}
    for place, value in special.items():
        if value == MARK and place.path not in kept:
            errors[place.field] = [f"{MARK} keeps the stored secret, but none is stored here."]
        elif value != MARK and value != kept.get(place.path):
            errors[place.field] = [f"A secret must not begin with {SEALED}"]
    if errors:
        raise ValidationError(errors)
    return rewrite_secrets(cls, body, lambda place, value: kept[place.path] if value == MARK else value)


def kept_secrets(cls: type[Record], body: dict[str, Any]) -> list[str]:
    """Return the fields of a body that hold the mark."""
    return [place.field for place, value in secrets_of(cls, body).items() if value == MARK]


def destinations_of(record: Record, path: str = "") -> dict[str, Any]:
    """Return what says where the secrets of a record are sent, by the names of the fields."""
    found: dict[str, Any] = {}
    parts = {record.type: record.value} if isinstance(record, Polymorphic) else {}
    for info in () if parts else fields_of(type(record)):
        value = getattr(record, info.name)
        if (destination := info.flags.destination) is not False:
            found[f"{path}{info.name}"] = value if destination is True else destination(value)
        elif isinstance(value, Record):
            parts[info.name] = value
    for name, part in parts.items():
        found |= destinations_of(part, f"{path}{name}.")
    return found


def refuse_redirection(stored: Record, changed: Record, kept: list[str]) -> None:
    """Refuse a change that would send secrets that are *kept* as stored to somewhere else.

    :raises marshmallow.ValidationError: it names the secrets.
    """
    old, new = destinations_of(stored), destinations_of(changed)
    moved = ", ".join(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))
    if moved:
        message = f"The stored secret would be used elsewhere, as {moved} changes; give it anew, or ask someone who may see it."
        raise ValidationError({field: [message] for field in kept})


def _is_special(value: Any) -> bool:
    return isinstance(value, str) and (value == MARK or value.startswith(SEALED))


def redact_sealed(cls: type[Record], wire: dict[str, Any]) -> dict[str, Any]:
    """Return a wire form with the mark in the place of each secret that is still sealed, because its key is not known."""
    return rewrite_secrets(cls, wire, lambda place, value: MARK if _is_special(value) else value)


def marked_fields(record: Record) -> list[str]:
    """Return the fields of a record that hold the mark: whoever read it may not see its secrets."""
    return kept_secrets(type(record), record.serialize())


def without_secrets(text: str, record: Record) -> str:
    """Return a text that somebody else has written about a record, with the mark in the place of each secret it quotes."""
    quoted = {str(value) for value in secrets_of(type(record), record.serialize()).values()}
    for secret in sorted(quoted, key=len, reverse=True):
        # What is this short is no secret, and stands in any text.
        if len(secret) >= _SHORTEST and secret != MARK:
            text = text.replace(secret, MARK)
    return text


@once_per_class
def _rewrite_of(cls: type[Record]) -> Rewrite | None:
    if issubclass(cls, Polymorphic):
        parts = {name: _rewrite_of(variant) for name, variant in cls.variants.items()}
    else:
        parts = {info.name: _rewrite_of_field(info.type, info.flags.secret) for info in fields_of(cls)}
    return _rewrite_parts({name: rewrite for name, rewrite in parts.items() if rewrite is not None})


def _rewrite_parts(parts: Mapping[str, Rewrite]) -> Rewrite | None:
    if not parts:
        return None

    def rewrite(value: Any, place: Place, visit: Visit) -> Any:
        if not isinstance(value, dict):
            return value
        changed = {}
        for name, rewrite_part in parts.items():
            old = value.get(name)
            if old is not None and (new := rewrite_part(old, place.key(name), visit)) is not old:
                changed[name] = new
        return {**value, **changed} if changed else value

    return rewrite


def _rewrite_of_field(hint: Any, secret: bool | Rewrite) -> Rewrite | None:
    if secret is True:
        return rewrite_whole
    return secret or _rewrite_of_type(hint)


def _rewrite_of_type(hint: Any) -> Rewrite | None:
    if len(members := alternatives(hint)) > 1:
        return next((found for each in members if (found := _rewrite_of_type(each)) is not None), None)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, dict):
        inner = _rewrite_of_type(arguments[-1])
        return inner and (_rewrite_each_item(inner) if origin is list else _rewrite_each_value(inner))
    return _rewrite_of(hint) if isinstance(hint, type) and issubclass(hint, Record) else None


def _rewrite_each_item(inner: Rewrite) -> Rewrite:
    return lambda value, place, visit: rewrite_items(value, place, visit, lambda index, item: str(index), inner)


def _rewrite_each_value(inner: Rewrite) -> Rewrite:
    return lambda value, place, visit: rewrite_values(value, place, visit, inner)


def rewrite_whole(value: Any, place: Place, visit: Visit) -> Any:
    """The value is the secret."""
    return value if value is None else visit(place, value)


def rewrite_values(value: Any, place: Place, visit: Visit, inner: Rewrite = rewrite_whole) -> Any:
    """The values of a mapping hold secrets; what should be a mapping but is none is a secret as a whole."""
    if not isinstance(value, dict):
        return rewrite_whole(value, place, visit)
    new = {key: inner(each, place.key(str(key)), visit) for key, each in value.items()}
    return new if any(new[key] is not each for key, each in value.items()) else value


def rewrite_items(value: Any, place: Place, visit: Visit, name: Callable[[int, Any], str], inner: Rewrite) -> Any:
    """The elements of a list hold secrets; *name* tells which of them is which wherever it stands in the list.

    Of several elements of a name, the later ones are numbered. What should be a list but is none is a secret as a whole.
    """
    if not isinstance(value, list):
        return rewrite_whole(value, place, visit)
    taken: dict[str, int] = {}
    new = []
    for index, item in enumerate(value):
        called = name(index, item)
        taken[called] = taken.get(called, 0) + 1
        where = place.item(index, called if taken[called] == 1 else f"{called}#{taken[called]}")
        new.append(inner(item, where, visit))
    return new if any(one is not other for one, other in zip(new, value, strict=True)) else value
