"""Objects as the cache keeps them: in their wire form, decoded only if someone looks inside."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from krake.api.schema.findings import read_object
from krake.api.schema.migrations import migrate
from krake.data.kinds import Resource
from krake.data.metadata import Key, Metadata, ResourceRef, WatchEventType
from krake.data.secrets import SEALED, has_secrets, redact, redact_sealed
from krake.ports.store import Entry

logger = logging.getLogger(__name__)

_SEALED = SEALED.encode()
_AT_ONCE = 200
_DECODER = json.JSONDecoder()
_OWNERS = b'"owners": ['
_VERSION = re.compile(rb'"generation": \d+, "resource_version": (null|"\d+")\}')


def encode(data: Any) -> bytes:
    """Return the JSON text of a wire form. Raises ValueError for numbers that JSON does not know."""
    return json.dumps(data, allow_nan=False).encode()


def with_version(value: bytes, revision: int) -> bytes | None:
    """Return the text of an object with the version *revision*; ``None`` if it was not written by this version of Krake.

    The version is put in place without decoding the text. It follows the generation at the end of the metadata, which comes
    before everything a user may have written freely; inside of strings the quotes would be escaped.
    """
    found = _VERSION.search(value)
    return None if found is None else b'%b"%d"%b' % (value[: found.start(1)], revision, value[found.end(1) :])


class Item:
    """A stored object at one version."""

    __slots__ = ("_labels", "_owners", "_record", "_redacted", "created_revision", "kind", "revision", "store_key", "wire")

    def __init__(self, kind: type[Resource], store_key: str, revision: int, created_revision: int, wire: bytes) -> None:
        self.kind = kind
        self.store_key = store_key
        self.revision = revision
        self.created_revision = created_revision
        self.wire = wire
        """The whole text; what of it clients get, :meth:`shown` says."""
        self._redacted: bytes | None = None
        self._record: Resource | None = None
        self._labels: Mapping[str, str] | None = None
        self._owners: Sequence[ResourceRef] | None = None

    @classmethod
    def of(cls, kind: type[Resource], entry: Entry) -> "Item":
        """Return the object of a store entry. Raises ValueError if the value is no object at all."""
        wire = with_version(entry.value, entry.revision)
        if wire is None:
            wire = _rewrite(kind, entry)
        elif not _looks_whole(entry.value):
            read_object(entry)
        return cls(kind, entry.key, entry.revision, entry.created_revision, wire)

    @property
    def key(self) -> Key:
        return self.kind.definition.key_of(self.store_key)

    @property
    def record(self) -> Resource:
        """The object; its resource version is set."""
        if self._record is None:
            self._record = self.kind.restore(self.decode())
        return self._record

    @property
    def labels(self) -> Mapping[str, str]:
        if self._labels is None:
            self._labels = self.record.metadata.labels if self._record else self.decode()["metadata"].get("labels") or {}
        return self._labels

    @property
    def owners(self) -> Sequence[ResourceRef]:
        """What the object depends on, read without decoding the whole text: most objects depend on nothing.

        The first list of this name is that of the metadata, for the same reasons as in :func:`with_version`.
        """
        if self._owners is None:
            self._owners = _read_owners(self.wire)
        return self._owners

    def shown(self, secrets: bool) -> bytes:
        """Return the text that clients get who may see secrets, or may not."""
        if secrets:
            # What could not be unsealed is no use to anybody.
            return self._hide(redact_sealed) if _SEALED in self.wire else self.wire
        if self._redacted is None:
            self._redacted = self._hide(redact)
        return self._redacted

    def _hide(self, hide: Callable[[type[Resource], dict[str, Any]], dict[str, Any]]) -> bytes:
        if not has_secrets(self.kind):
            return self.wire
        wire = self.decode()
        hidden = hide(self.kind, wire)
        return self.wire if hidden is wire else encode(hidden)

    def decode(self) -> dict[str, Any]:
        """Return the wire form; made anew by each call, so it may be changed."""
        data: dict[str, Any] = json.loads(self.wire)
        return data

    def at(self, revision: int) -> "Item":
        """Return the same object under another version, as the event of its deletion shows it."""
        return Item(self.kind, self.store_key, revision, self.created_revision, with_version(self.wire, revision) or self.wire)


def _looks_whole(value: bytes) -> bool:
    """Whether a text is that of a whole object, as far as a glance tells: one that was cut off is not, whatever it holds."""
    return value.startswith(b"{") and value.endswith(b"}") and value.count(b"{") == value.count(b"}")


def _read_owners(wire: bytes) -> Sequence[ResourceRef]:
    start = wire.find(_OWNERS) + len(_OWNERS) - 1
    if wire.startswith(b"[]", start) or not wire.startswith(b"[", start):
        return ()
    try:
        owners, _ = _DECODER.raw_decode(wire[start:].decode())
    except (ValueError, RecursionError):
        return ()  # somebody has damaged it in the store; the others are to be served nevertheless
    return Metadata.restore({"owners": owners}).owners


def read_item(kind: type[Resource], entry: Entry) -> Item | None:
    """Return the object of a store entry, or nothing if it is none: it is left out, and must not harm others."""
    try:
        return Item.of(kind, entry)
    except (ValueError, RecursionError) as error:
        logger.error("The entry %s of the store is left out because it is not an object: %s", entry.key, error)
        return None


def _rewrite(kind: type[Resource], entry: Entry) -> bytes:
    """Return the text of an object that another version of Krake has stored."""
    data = migrate(kind, kind.definition.key_of(entry.key), read_object(entry), 0)
    wire = with_version(encode(kind.restore(data).serialize()), entry.revision)
    assert wire is not None
    return wire


async def redact_all(items: Iterable[Item]) -> None:
    """Make the texts without secrets of many objects, and let others work in between."""
    for number, item in enumerate(list(items), 1):
        item.shown(False)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


class Event:
    """A change of an object, and the lines that tell it to all watchers."""

    __slots__ = ("_lines", "item", "previous", "revision", "type")

    def __init__(self, kind: WatchEventType, item: Item, previous: Item | None) -> None:
        self.type = kind
        self.item = item
        """The object as it is now, or as it was when it was removed."""
        self.previous = previous
        self.revision = item.revision
        self._lines: dict[tuple[WatchEventType, bool], bytes] = {}

    def line(self, kind: WatchEventType, secrets: bool) -> bytes:
        """Return the line of a watch that tells the event as of *kind*, to someone who may see secrets or may not."""
        line = self._lines.get((kind, secrets))
        if line is None:
            line = b'{"type": "%b", "object": %b}\n' % (kind.name.encode(), self.item.shown(secrets))
            self._lines[kind, secrets] = line
        return line
