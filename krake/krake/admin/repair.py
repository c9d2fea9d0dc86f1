"""``krake repair``: shows entries of the store that the API can not serve as they are, and mends or removes them."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from krake.admin.store import ToolError, explained, read_config, sealed_by
from krake.admin.store import add_arguments as add_store_arguments
from krake.api.cache import list_all
from krake.api.items import encode
from krake.api.schema.findings import Finding, Flaw, examine, read_object
from krake.api.stores import open_store
from krake.data.kinds import KINDS, Resource
from krake.data.names import is_name
from krake.data.secrets import SEALED
from krake.ports.store import AlreadyExists, Conflict, Create, Delete, Entry, Store

HELP = "show and mend entries of the store that can not be served"
DESCRIPTION = (
    "List the entries of the store that are no objects, that no request can name, or that hold something which is not"
    " understood. The exit status is 3 if there are any. A PUT or PATCH of an object leaves out what is not understood in it;"
    " krake_bootstrap_db --force replaces what is no object."
)
FLAWED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", metavar="KEY", help="print what is stored under a key, secrets sealed as they are")
    what.add_argument("--delete", metavar="KEY", help="delete an entry for good")
    what.add_argument("--rename", nargs=2, metavar=("KEY", "NAME"), help="give an object a name that requests can have")
    add_store_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        with explained():
            return asyncio.run(_repair(options))
    except ToolError as error:
        print(f"krake repair: {error}", file=sys.stderr)
        return 1


async def _repair(options: argparse.Namespace) -> int:
    work: Callable[[Store], Awaitable[int]] = _list
    if options.show:
        work = lambda store: _show(store, options.show)  # noqa: E731
    elif options.delete:
        work = lambda store: _delete(store, options.delete)  # noqa: E731
    elif options.rename:
        work = lambda store: _rename(store, *options.rename)  # noqa: E731
    config = read_config(options)
    async with open_store(config.etcd) as store:
        # A sealed secret belongs to the key it is stored under; with another one it must be sealed anew.
        return await work(sealed_by(config, store) if options.rename else store)


async def _list(store: Store) -> int:
    findings: list[Finding] = []
    count = 0
    for kind in KINDS.values():
        entries = (await list_all(store, kind.definition.prefix)).entries
        count += len(entries)
        findings += [finding for entry in entries if (finding := examine(kind, entry))]
    for finding in findings:
        print(finding)
    print(f"{len(findings)} of {count} objects have flaws.")
    return FLAWED if findings else 0


async def _show(store: Store, key: str) -> int:
    entry, _ = await _find(store, key)
    print(entry.value.decode(errors="backslashreplace"))
    return 0


async def _delete(store: Store, key: str) -> int:
    entry, kind = await _find(store, key)
    if examine(kind, entry) is None:
        raise ToolError(f"Nothing is wrong with {key}; delete it by a request to the API.")
    try:
        await store.delete(key, entry.revision)
    except Conflict:
        raise ToolError(f"{key} is being changed by somebody else; look at it again.") from None
    print(f"Deleted {key}.")
    return 0


async def _rename(store: Store, key: str, name: str) -> int:
    """A name is ``NAME``, or ``NAMESPACE/NAME`` if the namespace is to change, too."""
    entry, kind = await _find(store, key)
    finding = examine(kind, entry)
    if finding is None or finding.flaw is not Flaw.UNREACHABLE:
        raise ToolError(f"{key} can be named by requests, or is no object; it is not renamed.")
    definition = kind.definition
    namespace, _, plain = name.rpartition("/")
    old = definition.key_of(key)
    new = old._replace(namespace=(namespace or old.namespace) if definition.namespaced else None, name=plain)
    if not all(is_name(part) for part in new if part is not None):
        raise ToolError(f"{new} is no name: use 1 to 255 letters, digits or _-.: and end alphanumeric.")
    wire = read_object(entry)
    if SEALED.encode() in entry.value:
        raise ToolError(f"{key} holds secrets that can not be unsealed; name the configuration of the API by --config.")
    value = encode({**wire, "metadata": {**wire["metadata"], **new._asdict()}})
    try:
        await store.transact([Create(definition.store_key(new), value), Delete(key, entry.revision)])
    except AlreadyExists:
        raise ToolError(f"There is a {definition.name} of the name {new} already.") from None
    except Conflict:
        raise ToolError(f"{key} is being changed by somebody else; look at it again.") from None
    print(f"{key} is {definition.store_key(new)} now.")
    return 0


async def _find(store: Store, key: str) -> tuple[Entry, type[Resource]]:
    kind = next((each for each in KINDS.values() if key.startswith(each.definition.prefix)), None)
    entry = None if kind is None else await store.get(key)
    if kind is None or entry is None:
        raise ToolError(f"There is no object under the key {key}.")
    return entry, kind
