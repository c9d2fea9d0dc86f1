"""``krake backup``: writes all objects, as they are together at one moment, into one file."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from krake import __version__
from krake.admin.archive import ArchiveWriter, Header
from krake.admin.store import ToolError, explained, read_config
from krake.admin.store import add_arguments as add_store_arguments
from krake.api.schema.marks import PREFIX, RESTORE, SCHEMA, read_schema
from krake.api.settings import ApiConfig
from krake.api.stores import open_store
from krake.data.kinds import KINDS
from krake.ports.store import Compacted, Entry, Store

HELP = "write all objects into a file"
DESCRIPTION = (
    "Write all objects, as they are together at one moment, into a file, which is there only when it is whole. The API and the"
    " controllers may go on. Secrets stay sealed: keep their key file as well, but not in the same place. Events are left out."
)
_PAGE = 500
_TIMEOUT = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="is replaced if it exists")
    add_store_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        print(asyncio.run(back_up(read_config(options), options.file)))
    except ToolError as error:
        print(f"krake backup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("krake backup: interrupted; there is no file.", file=sys.stderr)
        return 130
    return 0


async def back_up(config: ApiConfig, path: Path) -> str:
    """Write the file; returns what to say of it. Raises ToolError."""
    with explained():
        async with open_store(config.etcd, timeout=_TIMEOUT) as store:
            try:
                return await _write(store, path)
            except Compacted:
                raise ToolError(
                    "The store has forgotten the state that was being read; let it keep more of its history, and try again."
                ) from None
            except OSError as error:
                raise ToolError(f"{path} can not be written: {error.strerror}.") from None


async def _write(store: Store, path: Path) -> str:
    marks = await store.list(PREFIX)
    values = {entry.key: entry.value for entry in marks.entries}
    if RESTORE in values:
        raise ToolError("A backup is being restored into this store; finish that by 'krake restore' first.")
    header = Header(
        __version__, read_schema(values.get(SCHEMA)), marks.revision, datetime.now(UTC).isoformat(timespec="seconds")
    )
    with ArchiveWriter(path, header) as archive:
        async for entries in _pages(store, marks.revision):
            for entry in entries:
                archive.add(entry.key, entry.value)
    return f"Wrote {archive.count} objects, as of revision {header.revision}, to {path}."


async def _pages(store: Store, revision: int) -> AsyncIterator[Sequence[Entry]]:
    for kind in KINDS.values():
        if kind.definition.transient:
            continue
        after: str | None = None
        more = True
        while more:
            page = await store.list(kind.definition.prefix, limit=_PAGE, after=after, revision=revision)
            yield page.entries
            more = page.more
            after = page.entries[-1].key if more else None
