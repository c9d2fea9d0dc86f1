"""Seals and unseals the secrets of whole objects."""

import json
import logging
import re
from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

from krake.api.secrets.seals import SealBroken, is_sealed, seal, sealed_by, unseal
from krake.api.secrets.source import KeySource
from krake.data.kinds import KINDS, Resource
from krake.data.secrets import SEALED, Place, has_secrets, rewrite_secrets, secrets_of
from krake.ports.store import Entry

logger = logging.getLogger(__name__)

_SEALED = f'"{SEALED}'.encode()
_SEALED_BY = re.compile(rb'"%b([^:"]+):' % SEALED.encode())
_WITH_SECRETS = {kind.definition.prefix: kind for kind in KINDS.values() if has_secrets(kind)}


def kinds_with_secrets() -> tuple[type[Resource], ...]:
    """Return the kinds whose objects may hold secrets."""
    return tuple(_WITH_SECRETS.values())


def _kind_of(store_key: str) -> type[Resource] | None:
    _, api, plural, *_ = f"{store_key}//".split("/", 3)
    return _WITH_SECRETS.get(f"/{api}/{plural}/")


def seals_of(entry: Entry) -> list[str]:
    """Return for each secret of a stored object the name of the key that has sealed it; an empty text if none has."""
    if (kind := _kind_of(entry.key)) is None:
        return []
    try:
        secrets = secrets_of(kind, json.loads(entry.value)).values()
    except (ValueError, RecursionError):
        return []
    return [sealed_by(value) if is_sealed(value) else "" for value in secrets]


class Vault:
    """Seals with the first key and unseals with all.

    A secret whose key is not there stays in its sealed form above the store, too. It is shown to nobody, see
    :meth:`krake.api.items.Item.shown`, and written back as it is: nothing is lost until the key is back.
    """

    def __init__(self, source: KeySource) -> None:
        self.source = source
        self.missing: dict[str, str] = {}
        """The names of keys that were needed and not there, each with an object that needs it."""
        self.broken: set[str] = set()
        """The store keys of objects with secrets that the key of that name does not open."""

    def seal(self, store_key: str, value: bytes) -> bytes:
        """Return the text of an object as it is to be stored."""
        kind, key = _kind_of(store_key), self.source.keyring.primary
        if kind is None or key is None:
            return value
        self.forget(store_key)
        return _rewrite(
            kind, value, lambda place, plain: plain if is_sealed(plain) else seal(key, plain, (store_key, *place.path))
        )

    def lacks_key_of(self, entry: Entry) -> bool:
        """Whether something in a stored object may have been sealed with a key that is not known."""
        if _SEALED not in entry.value:
            return False
        return any(key_id.decode() not in self.source.keyring.by_id for key_id in _SEALED_BY.findall(entry.value))

    def open(self, entry: Entry) -> Entry:
        """Return a stored object as it was before it was sealed."""
        # Most objects of some kinds hold no secrets; they need not be looked into.
        if _SEALED not in entry.value or (kind := _kind_of(entry.key)) is None:
            return entry
        try:
            return replace(entry, value=_rewrite(kind, entry.value, lambda place, value: self._open(entry.key, place, value)))
        except (ValueError, RecursionError):
            return entry  # It is not an object at all, as its readers will find out.

    def _open(self, store_key: str, place: Place, value: Any) -> Any:
        if not is_sealed(value):
            return value
        key = self.source.keyring.by_id.get(sealed_by(value))
        if key is None:
            self._miss(sealed_by(value), store_key)
            return value
        try:
            return unseal(key, value, (store_key, *place.path))
        except SealBroken:
            if store_key not in self.broken:
                self.broken.add(store_key)
                logger.error(
                    "A secret of %s, %s, cannot be unsealed: it was not sealed there with the key %s that is known here."
                    " It is kept as it is; write it anew.",
                    *(store_key, place.field, key.id),
                )
            return value

    def _miss(self, key_id: str, store_key: str) -> None:
        if key_id not in self.missing:
            self.missing[key_id] = store_key
            logger.error(
                "The key %s that has sealed secrets, for example of %s, is not among those of %s: these secrets are shown to"
                " nobody, and kept as they are. Add the key.",
                *(key_id, store_key, self.source.name),
            )

    def forget(self, store_key: str) -> None:
        """Say no more that secrets of an object cannot be unsealed; if that is so still, reading it will tell."""
        self.broken.discard(store_key)

    def reseal(self, entry: Entry, anew: Set[str] = frozenset()) -> bytes | None:
        """Return the text of a stored object with all its secrets sealed with the first key; ``None`` if they are.

        Secrets that cannot be unsealed stay as they are. Those that were sealed with one of the keys *anew* are sealed once
        more in any case.
        """
        kind, key = _kind_of(entry.key), self.source.keyring.primary
        if kind is None or key is None:
            return None

        def renew(place: Place, value: Any) -> Any:
            if is_sealed(value) and sealed_by(value) == key.id and key.id not in anew:
                return value
            plain = self._open(entry.key, place, value)
            return plain if is_sealed(plain) else seal(key, plain, (entry.key, *place.path))

        renewed = _rewrite(kind, entry.value, renew)
        return None if renewed is entry.value else renewed


def _rewrite(kind: type[Resource], value: bytes, visit: Callable[[Place, Any], Any]) -> bytes:
    wire = json.loads(value)
    if not isinstance(wire, dict):
        return value
    rewritten = rewrite_secrets(kind, wire, visit)
    return value if rewritten is wire else json.dumps(rewritten, allow_nan=False).encode()
