"""Brings the objects of a store up to the schema of this version."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from krake.api.items import encode
from krake.api.schema.findings import Finding, Flaw, examine, read_object
from krake.api.schema.marks import RESTORE, SCHEMA, encode_schema, read_schema, refusal_of
from krake.api.schema.migrations import CURRENT, STEPS, migrate
from krake.data.kinds import KINDS, Resource
from krake.lib.backoff import Backoff
from krake.ports.store import AlreadyExists, Conflict, Create, Entry, Operation, Store, StoreError, TooLarge, Update

logger = logging.getLogger(__name__)

_PAGE = 100
_REPORT_INTERVAL = 5.0
_MOST_FINDINGS = 20
_RETRY = Backoff(initial=0.5, ceiling=10.0)


class NewerSchema(ValueError):
    """The store belongs to a newer version of Krake."""


async def check_schema(store: Store) -> None:
    """Refuse a store of a newer version of Krake.

    :raises NewerSchema: it is one; the message says what to do.
    :raises ValueError: it does not tell its schema.
    """
    entry = await store.get(SCHEMA)
    version = read_schema(None if entry is None else entry.value)
    if version > CURRENT:
        raise NewerSchema(refusal_of(version))


async def upgrade(store: Store) -> list[Finding]:
    """Bring all objects up to date and let the store say so; returns what is wrong with some of them.

    May be done by several processes at once, and be killed and begun anew: each object is written as a whole, if nobody else
    has written it meanwhile.

    :raises NewerSchema: it belongs to a newer version of Krake.
    :raises ValueError: it does not tell its schema.
    """
    await check_schema(store)
    findings: list[Finding] = []
    while True:
        mark = await store.get(SCHEMA)
        version = read_schema(None if mark is None else mark.value)
        if version >= CURRENT:
            return findings
        findings = await _Upgrade(store, version).run()
        value = encode_schema(CURRENT)
        try:
            await store.transact([Create(SCHEMA, value) if mark is None else Update(SCHEMA, value, mark.revision)])
        except (AlreadyExists, Conflict):
            continue  # Another process has finished; look what it says.


async def keep_up(store: Store) -> None:
    """Upgrade as soon as the store can be reached. While a restore is under way, that is left to the restore."""
    failures = 0
    while True:
        try:
            if await store.get(RESTORE) is None:
                _report(await upgrade(store))
            return
        except ValueError as error:
            logger.critical("%s", error)
            return
        except StoreError as error:
            failures += 1
            logger.warning("The schema of the stored objects cannot be checked now: %s", error)
        await asyncio.sleep(_RETRY.delay(failures, random.random()))


def _report(findings: Sequence[Finding]) -> None:
    for finding in findings[:_MOST_FINDINGS]:
        logger.warning("Stored object %s", finding)
    if len(findings) > _MOST_FINDINGS:
        logger.warning("There are %d more of such objects; 'krake repair' lists all.", len(findings) - _MOST_FINDINGS)


class _Upgrade:
    """One pass over all objects."""

    def __init__(self, store: Store, version: int) -> None:
        self._store = store
        self._version = version
        self._findings: list[Finding] = []
        self._seen = self._written = 0
        self._reported = time.monotonic()

    async def run(self) -> list[Finding]:
        for kind in KINDS.values():
            after: str | None = None
            while True:
                # Always the present state: whoever writes meanwhile does so in the current schema.
                page = await self._store.list(kind.definition.prefix, limit=_PAGE, after=after)
                await self._upgrade_all(kind, page.entries)
                if not page.more:
                    break
                after = page.entries[-1].key
        if self._seen:
            summary = "; ".join(step.summary for step in STEPS[self._version :])
            counts = f"{self._written} of {self._seen} objects rewritten, {len(self._findings)} with flaws"
            logger.info("The stored objects have schema %d now (%s): %s.", CURRENT, summary, counts)
        return self._findings

    async def _upgrade_all(self, kind: type[Resource], entries: Sequence[Entry]) -> None:
        operations: list[Operation] = []
        for entry in entries:
            if finding := examine(kind, entry):
                self._findings.append(finding)
            if (value := self._upgraded(kind, entry)) is not None:
                operations.append(Update(entry.key, value, entry.revision))
        await self._write(kind, operations)
        self._seen += len(entries)
        if time.monotonic() - self._reported > _REPORT_INTERVAL:
            self._reported = time.monotonic()
            logger.info("Upgrading the stored objects to schema %d: %d looked at so far.", CURRENT, self._seen)

    async def _write(self, kind: type[Resource], operations: Sequence[Operation]) -> None:
        if not operations:
            return
        try:
            await self._store.transact(operations)
            self._written += len(operations)
        except (Conflict, TooLarge):
            for operation in operations:
                await self._write_one(kind, operation.key)

    async def _write_one(self, kind: type[Resource], key: str) -> None:
        while (entry := await self._store.get(key)) is not None and (value := self._upgraded(kind, entry)) is not None:
            try:
                await self._store.update(key, value, entry.revision)
            except Conflict:
                continue
            except TooLarge:
                self._findings.append(Finding(key, Flaw.STRANGE, "its new form is too large for the store"))
                return
            self._written += 1

    def _upgraded(self, kind: type[Resource], entry: Entry) -> bytes | None:
        """Return the value of an object in the current schema; ``None`` if it has it, or would lose something by it."""
        finding = examine(kind, entry)
        if finding and finding.flaw is not Flaw.UNREACHABLE:
            return None
        wire = read_object(entry)
        migrated = migrate(kind, kind.definition.key_of(entry.key), wire, self._version)
        new = kind.restore(migrated).serialize()
        return None if new == wire else encode(new)
