"""Seals what is in the store with the first key, beside whoever else works on the store."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Set
from dataclasses import dataclass

from krake.api.cache import list_all
from krake.api.secrets.vault import Vault, kinds_with_secrets, seals_of
from krake.data.kinds import Kind
from krake.ports.store import Conflict, Entry, Store, StoreError

logger = logging.getLogger(__name__)

_PAGE = 200
_AT_ONCE = 16
_POLL_INTERVAL = 2.0


@dataclass(frozen=True)
class Progress:
    """How far it has come with the objects of a kind: how many were looked at, and how many of them sealed."""

    kind: Kind
    seen: int = 0
    sealed: int = 0
    done: bool = False


async def reseal_all(store: Store, vault: Vault, anew: Set[str] = frozenset()) -> AsyncIterator[Progress]:
    """Seal all secrets in *store* with the first key, page by page; see :meth:`Vault.reseal` for *anew*.

    May be ended anywhere and begun again: each object is written as a whole, if nobody else has written it meanwhile.
    """
    for kind in kinds_with_secrets():
        progress, after = Progress(kind.definition), None
        while True:
            page = await store.list(kind.definition.prefix, limit=_PAGE, after=after)
            sealed = 0
            for start in range(0, len(page.entries), _AT_ONCE):
                written = await asyncio.gather(
                    *(_reseal(store, vault, entry, anew) for entry in page.entries[start : start + _AT_ONCE])
                )
                sealed += sum(written)
            progress = Progress(progress.kind, progress.seen + len(page.entries), progress.sealed + sealed, not page.more)
            yield progress
            if not page.more:
                break
            after = page.entries[-1].key


async def _reseal(store: Store, vault: Vault, entry: Entry, anew: Set[str]) -> bool:
    found: Entry | None = entry
    while found is not None and (value := vault.reseal(found, anew)) is not None:
        try:
            await store.update(found.key, value, found.revision)
            return True
        except Conflict as conflict:
            found = conflict.current
    return False


async def count_seals(store: Store) -> Counter[str]:
    """Return how many secrets in *store* were sealed with each key, by its name; under an empty name, those in plain text."""
    counted: Counter[str] = Counter()
    for kind in kinds_with_secrets():
        for entry in (await list_all(store, kind.definition.prefix)).entries:
            counted.update(seals_of(entry))
    return counted


async def follow_keys(store: Store, vault: Vault) -> None:
    """Look for changes of the keys, for ever.

    What could not be unsealed and can be now is sealed anew, so that all who watch it get to know.
    """
    while True:
        await asyncio.sleep(_POLL_INTERVAL)
        await vault.source.refresh()
        if not (found := vault.missing.keys() & vault.source.keyring.by_id.keys()):
            continue
        logger.info("These keys are known now: %s.", ", ".join(sorted(found)))
        try:
            async for _ in reseal_all(store, vault, found):
                pass
        except StoreError as error:
            logger.warning("What was sealed with keys that are known now could not be sealed anew, trying again: %s", error)
            continue
        for key_id in found:
            vault.missing.pop(key_id, None)
