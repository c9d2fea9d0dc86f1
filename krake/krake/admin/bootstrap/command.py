"""The command ``krake_bootstrap_db``."""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from krake.admin.bootstrap.documents import Document, Draft, Fault, draft, read_documents, refuse_repetitions
from krake.admin.bootstrap.plan import Plan, make_plan
from krake.admin.store import ToolError, add_arguments, explained, read_config
from krake.api.secrets.source import make_source
from krake.api.secrets.store import SealedStore
from krake.api.secrets.vault import Vault
from krake.api.settings import ApiConfig
from krake.api.stores import open_store
from krake.data.secrets import secrets_of
from krake.ports.store import AlreadyExists, Conflict, Store

DESCRIPTION = (
    "Put the objects of YAML files into the store: all of them, or none if anything is wrong. The API need not run; if it does,"
    " it sees the objects at once."
)
MOST_OBJECTS = 128
"""So many objects can be written together."""
_ATTEMPTS = 5
_RULE = "#############"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(argv)
    try:
        return asyncio.run(_bootstrap(options))
    except ToolError as error:
        print(f"krake_bootstrap_db: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="krake_bootstrap_db", description=DESCRIPTION)
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML file with one document for each object; - is the input")
    parser.add_argument(
        "-f", "--force", action="store_true", help="replace objects that are there already; they keep their uid and status"
    )
    add_arguments(parser)
    return parser


async def _bootstrap(options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    config = read_config(options)
    drafts, faults = _draft_all(options.files, now)
    if not drafts and not faults:
        raise ToolError("There are no objects in these files.")
    with explained():
        async with open_store(config.etcd) as store:
            sealed, refused = _sealed(config, store, drafts)
            faults += refused
            plan = await _write(sealed, drafts, faults, force=options.force, now=now, ttl=config.events.ttl)
    if plan.faults:
        _report_faults(plan.faults)
        return 1
    _report(plan)
    return 0


def _draft_all(files: Sequence[str], now: datetime) -> tuple[list[Draft], list[Fault]]:
    drafts: list[Draft] = []
    faults: list[Fault] = []
    for each in (found for file in files for found in read_documents(_read(file), file)):
        result = draft(each, now) if isinstance(each, Document) else each
        if isinstance(result, Draft):
            drafts.append(result)
        else:
            faults.append(result)
    return drafts, faults + list(refuse_repetitions(drafts))


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ToolError(f"The file '{file}' can not be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ToolError(f"The file '{file}' is not a text in UTF-8.") from None


def _sealed(config: ApiConfig, store: Store, drafts: Sequence[Draft]) -> tuple[Store, list[Fault]]:
    """Return the store that seals secrets, and what can not be written because there is no key for that."""
    try:
        return SealedStore(store, Vault(make_source(config.secrets))), []
    except ValueError as error:
        if config.secrets.key_file or config.secrets.keys:
            raise ToolError(str(error)) from None
        # Most of what is bootstrapped holds no secrets, and needs no key.
        secret = [each for each in drafts if secrets_of(type(each.record), each.record.serialize())]
        return store, [Fault(each.document, str(each), f"It holds secrets. {error}") for each in secret]


async def _write(store: Store, drafts: Sequence[Draft], faults: list[Fault], *, force: bool, now: datetime, ttl: int) -> Plan:
    for _ in range(_ATTEMPTS):
        keys = [each.record.definition.store_key(each.record.key) for each in drafts]
        entries = await asyncio.gather(*(store.get(key) for key in dict.fromkeys(keys)))
        plan = make_plan(drafts, {entry.key: entry for entry in entries if entry}, force=force, now=now, ttl=ttl)
        plan.faults += faults
        if plan.faults or not plan.operations:
            return plan
        if len(plan.operations) > MOST_OBJECTS:
            raise ToolError(
                f"These are {len(plan.operations)} objects, but only {MOST_OBJECTS} can be written together."
                " Nothing was written; give fewer files at once."
            )
        try:
            await store.transact(plan.operations)
        except (AlreadyExists, Conflict):
            continue  # Somebody else was faster; what that means is for a new plan to say.
        return plan
    raise ToolError("Others keep changing the same objects; nothing was written. Try again.")


def _report(plan: Plan) -> None:
    for title, drafts in (
        ("Resources added to database:", plan.added),
        ("Resources replaced in database:", plan.replaced),
        ("Resources that are in the database as they should be:", plan.unchanged),
    ):
        if drafts:
            print("\n".join([title, *(f" * {each}" for each in drafts)]))
    print(f"{len(plan.added)} added, {len(plan.replaced)} replaced, {len(plan.unchanged)} unchanged.")


def _report_faults(faults: Iterable[Fault]) -> None:
    lines = [_RULE, "The following could not be added:"]
    for file, group in groupby(sorted(faults, key=_place), key=lambda fault: fault.document.file):
        lines.append(f"In file '{file}':")
        lines += [f" * {fault.name}, with error: {fault.error} (line {fault.document.line})" for fault in group]
    print("\n".join([*lines, _RULE, "Nothing was changed in the database."]), file=sys.stderr)


def _place(fault: Fault) -> tuple[str, int]:
    return fault.document.file, fault.document.line


if __name__ == "__main__":
    sys.exit(main())
