"""The keys that seal secrets: a text of one key a line, ``ID BASE64-OF-32-BYTES``. The first one seals, all of them unseal.

A third word says what a rotation under way is about to do with a key, see :mod:`krake.admin.rotation`. Empty lines and those
that begin with ``#`` mean nothing. Pure.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

KEY_SIZE = 32
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Stage(StrEnum):
    """What a rotation is about to do with a key."""

    NONE = ""
    STAGED = "staged"
    """It will be the first key, once all machines have it."""
    ROTATING = "rotating"
    """It is the first key, but not all secrets are sealed with it yet."""


@dataclass(frozen=True)
class Key:
    """A key and its name, which stands in front of all that it has sealed."""

    id: str
    secret: bytes = field(repr=False)
    stage: Stage = Stage.NONE


@dataclass(frozen=True)
class Keyring:
    """All keys, the one that seals first."""

    keys: tuple[Key, ...] = ()

    @property
    def primary(self) -> Key | None:
        """The key that seals, if there is any."""
        return self.keys[0] if self.keys else None

    @cached_property
    def by_id(self) -> Mapping[str, Key]:
        """The keys by their names."""
        return {key.id: key for key in self.keys}

    def __str__(self) -> str:
        """The text that :func:`parse_keys` reads."""
        lines = (f"{key.id} {base64.b64encode(key.secret).decode()} {key.stage}".rstrip() for key in self.keys)
        return "".join(f"{line}\n" for line in lines)


def stage(ring: Keyring, new: Key) -> Keyring:
    """Return the keys with a *new* one that unseals, and is to seal later. Raises ValueError if there is such a one."""
    if waiting := _staged(ring):
        raise ValueError(f"The key {waiting.id} waits to be used already; copy the file to all machines, then rotate.")
    return Keyring((*ring.keys[:1], replace(new, stage=Stage.STAGED), *ring.keys[1:]))


def begin_rotation(ring: Keyring, new: Key) -> Keyring:
    """Return the keys led by the one to seal everything with: that of a rotation under way, else a staged one, else *new*."""
    if ring.primary is not None and ring.primary.stage is Stage.ROTATING:
        return ring
    first = replace(_staged(ring) or new, stage=Stage.ROTATING)
    return Keyring((first, *(key for key in ring.keys if key.id != first.id)))


def end_rotation(ring: Keyring) -> Keyring:
    """Return the keys after everything was sealed with the first one."""
    return Keyring((replace(ring.keys[0], stage=Stage.NONE), *ring.keys[1:]))


def drop_unused(ring: Keyring, used: Set[str]) -> Keyring:
    """Return the keys without those, except the first and a staged one, that have sealed nothing of what there is."""
    return Keyring((*ring.keys[:1], *(key for key in ring.keys[1:] if key.id in used or key.stage is Stage.STAGED)))


def _staged(ring: Keyring) -> Key | None:
    return next((key for key in ring.keys if key.stage is Stage.STAGED), None)


def parse_keys(text: str, source: str) -> Keyring:
    """Return the keys of a text. Within an environment variable, commas may stand for ends of lines.

    :param source: of the text, for errors; they never tell what stands there.
    :raises ValueError: the text says something else, or nothing.
    """
    keys = tuple(_parse_lines(text, source))
    if not keys:
        raise ValueError(f"There is no key in {source}; 'krake secrets create-key FILE' makes a file with one.")
    ids = [key.id for key in keys]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise ValueError(f"{source} has several keys of the name {twice[0]}; keep the one that has sealed the secrets.")
    return Keyring(keys)


def _parse_lines(text: str, source: str) -> Iterator[Key]:
    for number, line in enumerate(text.replace(",", "\n").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = _parse_key(words)
        if key is None:
            raise ValueError(f"Line {number} of {source} is not a key: expected ID BASE64-OF-{KEY_SIZE}-BYTES.")
        yield key


def _parse_key(words: list[str]) -> Key | None:
    if len(words) not in (2, 3) or not _ID.fullmatch(words[0]):
        return None
    try:
        secret = base64.b64decode(words[1], altchars=b"-_" if {"-", "_"} & set(words[1]) else None, validate=True)
        stage = Stage(words[2]) if len(words) == 3 else Stage.NONE
    except (ValueError, binascii.Error):
        return None
    return Key(words[0], secret, stage) if len(secret) == KEY_SIZE else None
