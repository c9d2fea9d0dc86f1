"""``krake restore``: makes the store hold what a backup holds, and nothing else.

The store is marked before the first write and until after the last one. While it is marked, no API serves anything of it, so
that nobody acts upon half a state; whatever ends the restore, the same command carries it on.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from krake.admin.archive import Archive, Damaged, read_archive
from krake.admin.store import ToolError, explained, read_config, sealed_by
from krake.admin.store import add_arguments as add_store_arguments
from krake.api.cache import list_all
from krake.api.schema.marks import RESTORE, SCHEMA, encode_schema
from krake.api.schema.migrations import CURRENT
from krake.api.schema.upgrade import upgrade
from krake.api.secrets.resealing import count_seals
from krake.api.secrets.source import make_source
from krake.api.settings import ApiConfig
from krake.api.stores import open_store
from krake.data.kinds import KINDS
from krake.ports.store import AlreadyExists, Conflict, Create, Delete, Entry, Operation, Store, Update

HELP = "make the store hold what a backup holds"
DESCRIPTION = (
    "Put all objects of a backup into an empty store or, by --force, in place of all that are there. The file is checked before"
    " anything is written. Running APIs answer 503 meanwhile; what was interrupted is carried on by the same command."
    " Objects keep their uid and get new resource versions. Secrets need the keys that they were sealed with."
)
_CHUNK = 100
_CHUNK_SIZE = 500_000
_TIMEOUT = 30.0
_SETTLING = 1.0
"""Seconds from the mark until every API has taken notice and ended what it was writing."""
_MOST_PASSES = 10

Chunk = Sequence[tuple[str, bytes]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="made by krake backup")
    parser.add_argument("--force", action="store_true", help="replace all objects that are in the store")
    add_store_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        config = read_config(options)
        print(asyncio.run(restore(config, options.file, force=options.force)))
    except ToolError as error:
        print(f"krake restore: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("krake restore: interrupted; the API serves nothing until the same command has carried it on.", file=sys.stderr)
        return 130
    return 0


async def restore(config: ApiConfig, path: Path, *, force: bool) -> str:
    """Restore a file; returns what to say of it. Raises ToolError."""
    try:
        archive = _check(read_archive(path))
        with explained():
            async with open_store(config.etcd, timeout=_TIMEOUT) as store:
                return await _restore(store, archive, config, force=force)
    except Damaged as error:
        raise ToolError(f"{error}") from None
    except OSError as error:
        raise ToolError(f"{path} can not be read: {error.strerror}.") from None


def _check(archive: Archive) -> Archive:
    """Refuse what this version of Krake does not understand."""
    prefixes = tuple(kind.definition.prefix for kind in KINDS.values())
    foreign = next((key for key in sorted(archive.keys) if not key.startswith(prefixes)), None)
    if archive.header.schema > CURRENT or foreign:
        what = f"the entry {foreign}" if foreign else f"objects of schema {archive.header.schema}"
        raise ToolError(
            f"{archive.path} was made by Krake {archive.header.krake} and holds {what}, which this version does not know."
        )
    return archive


async def _restore(store: Store, archive: Archive, config: ApiConfig, *, force: bool) -> str:
    await _mark(store, archive, force=force)
    for _ in range(_MOST_PASSES):
        # The last pass finds nothing to do: nobody else has written meanwhile.
        if not await _write_all(store, archive) + await _delete_others(store, archive):
            break
    else:
        raise ToolError("Others keep writing to the store; stop them, and run the command again.")
    await _set_schema(store, archive)
    findings = await upgrade(sealed_by(config, store))
    await _unmark(store)
    said = [f"Restored {len(archive.keys)} objects of {archive.header.created} (Krake {archive.header.krake})."]
    said += [f"Object {finding}" for finding in findings]
    return "\n".join(said + await _missing_keys(store, config))


async def _mark(store: Store, archive: Archive, *, force: bool) -> None:
    mark = await store.get(RESTORE)
    value = json.dumps({"sha256": archive.digest, "revision": archive.header.revision}).encode()
    if mark is not None and mark.value == value:
        print("A restore of this file was interrupted; it is carried on.", file=sys.stderr)
        return
    if mark is not None and not force:
        raise ToolError("A restore of another file was interrupted; carry that on, or replace all that is there by --force.")
    lasting = [kind.definition.prefix for kind in KINDS.values() if not kind.definition.transient]
    present = sum([len((await list_all(store, prefix)).entries) for prefix in lasting])
    if present and not force:
        raise ToolError(f"There are {present} objects in the store; --force replaces them all.")
    try:
        await store.transact([Create(RESTORE, value) if mark is None else Update(RESTORE, value, mark.revision)])
    except (AlreadyExists, Conflict):
        raise ToolError("Somebody else has begun to restore a backup.") from None
    await asyncio.sleep(_SETTLING)


async def _write_all(store: Store, archive: Archive) -> int:
    """Write what is not there as it should be; returns how many entries that were."""
    written = seen = 0
    for chunk in _chunks(archive):
        written += await _write(store, chunk)
        seen += len(chunk)
        if sys.stderr.isatty():
            print(f"\r{seen} of {len(archive.keys)} objects", end="\n" if seen == len(archive.keys) else "", file=sys.stderr)
    return written


def _chunks(archive: Archive) -> Iterator[Chunk]:
    chunk: list[tuple[str, bytes]] = []
    size = 0
    for key, value in archive.entries():
        if chunk and (len(chunk) >= _CHUNK or size + len(value) > _CHUNK_SIZE):
            yield chunk
            chunk, size = [], 0
        chunk.append((key, value))
        size += len(value)
    if chunk:
        yield chunk


async def _write(store: Store, chunk: Chunk) -> int:
    while True:
        present = await asyncio.gather(*(store.get(key) for key, _ in chunk))
        pairs = zip(chunk, present, strict=True)
        operations = [_write_of(key, value, entry) for (key, value), entry in pairs if entry is None or entry.value != value]
        if not operations:
            return 0
        try:
            await store.transact(operations)
        except (AlreadyExists, Conflict):
            continue
        return len(operations)


def _write_of(key: str, value: bytes, present: Entry | None) -> Operation:
    return Create(key, value) if present is None else Update(key, value, present.revision)


async def _delete_others(store: Store, archive: Archive) -> int:
    """Delete what is not in the backup; returns how many entries that were."""
    deleted = 0
    for kind in KINDS.values():
        entries = (await list_all(store, kind.definition.prefix)).entries
        others = iter([entry for entry in entries if entry.key not in archive.keys])
        while some := list(islice(others, _CHUNK)):
            with contextlib.suppress(Conflict):  # The next pass sees to it.
                await store.transact([Delete(entry.key, entry.revision) for entry in some])
            deleted += len(some)
    return deleted


async def _set_schema(store: Store, archive: Archive) -> None:
    """Let the store say which schema the restored objects have."""
    mark = await store.get(SCHEMA)
    value = encode_schema(archive.header.schema)
    if mark is None:
        await store.create(SCHEMA, value)
    elif mark.value != value:
        await store.update(SCHEMA, value, mark.revision)


async def _unmark(store: Store) -> None:
    mark = await store.get(RESTORE)
    if mark is not None:
        await store.delete(RESTORE, mark.revision)


async def _missing_keys(store: Store, config: ApiConfig) -> list[str]:
    """Name the keys that restored secrets are sealed with and that the API does not have."""
    sealed = {key for key in await count_seals(store) if key}
    try:
        known = set(make_source(config.secrets).keyring.by_id)
    except ValueError:
        known = set()
    return [
        f"Its secrets are sealed with the key {key}, which is not among the keys of the API: add it."
        for key in sorted(sealed - known)
    ]
