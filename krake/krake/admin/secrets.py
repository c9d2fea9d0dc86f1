"""``krake secrets``: the keys that seal secrets in the store."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from krake.admin.keyfile import create_key_file, make_key, replace_keys, sole_user_of
from krake.admin.store import ToolError, add_arguments as add_store_arguments, explained, read_config
from krake.api.secrets.keys import Keyring, begin_rotation, drop_unused, end_rotation, stage
from krake.api.secrets.resealing import Progress, count_seals, reseal_all
from krake.api.secrets.source import KeySource, read_keys
from krake.api.secrets.vault import Vault
from krake.api.settings import ApiConfig
from krake.api.stores import open_store
from krake.ports.store import Store

HELP = "make and rotate the keys that seal secrets"
DESCRIPTION = (
    "Secrets are sealed in the store with the first key of a file that the API is told of by secrets.key_file. Keep a copy of"
    " the file: nobody can read the secrets without it."
)
_WAIT = 5.0
"""Seconds that running APIs get to take notice of a new key; they look for one every two seconds."""
_ROUNDS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create-key", help="make a file with a new key", description="Make a file with a new key.")
    create.add_argument("file", type=Path, metavar="FILE", help="must not exist; only its owner can read it")
    create.set_defaults(command=_create_key)
    status = commands.add_parser(
        "status", help="count what is sealed with which key", description="Count the secrets in the store by the key."
    )
    add_store_arguments(status)
    status.set_defaults(command=_status)
    rotate = commands.add_parser(
        "rotate",
        help="seal all secrets with a new key",
        description="Put a new key first in the file, and seal every secret in the store with it, beside running APIs. What was"
        " interrupted is carried on by the same command. Where APIs run on several machines, begin with --stage.",
    )
    rotate.add_argument("--key-file", type=Path, metavar="FILE", help="(otherwise secrets.key_file of the configuration)")
    rotate.add_argument(
        "--stage",
        action="store_true",
        help="only add the new key to the file, so that it can be copied to other machines; rotate uses it when run again",
    )
    rotate.add_argument("--drop-old", action="store_true", help="then remove the keys that nothing is sealed with any more")
    rotate.add_argument("--wait", type=float, default=_WAIT, metavar="SECONDS", help=argparse.SUPPRESS)
    add_store_arguments(rotate)
    rotate.set_defaults(command=_rotate)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    logging.basicConfig(format="krake secrets: %(message)s", level=logging.WARNING)
    try:
        with explained():
            return int(options.command(options))
    except ToolError as error:
        print(f"krake secrets: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("krake secrets: interrupted; the same command carries on.", file=sys.stderr)
        return 130


def _create_key(options: argparse.Namespace) -> int:
    key = make_key(_today())
    create_key_file(options.file, key)
    print(f"Made the key {key.id} in {options.file}. Set secrets.key_file of the API to it, and keep a copy elsewhere.")
    return 0


def _status(options: argparse.Namespace) -> int:
    config = read_config(options)

    async def count() -> None:
        async with open_store(config.etcd) as store:
            for key_id, number in sorted((await count_seals(store)).items()):
                print(f"{number:>9,}  {f'sealed with {key_id}' if key_id else 'in plain text'}")

    asyncio.run(count())
    return 0


def _rotate(options: argparse.Namespace) -> int:
    config = read_config(options)
    if not (options.key_file or config.secrets.key_file):
        raise ToolError("Which keys? Give --key-file, or set secrets.key_file in the configuration of the API.")
    path = Path(options.key_file or config.secrets.key_file).resolve()
    with sole_user_of(path):
        new = make_key(_today())
        if options.stage:
            replace_keys(path, stage(read_keys(path), new))
            print(f"Added the key {new.id} to {path}. Copy the file to all machines with an API, then rotate without --stage.")
            return 0
        return asyncio.run(_seal_anew(config, path, options))


async def _seal_anew(config: ApiConfig, path: Path, options: argparse.Namespace) -> int:
    before = read_keys(path)
    ring = begin_rotation(before, make_key(_today()))
    async with open_store(config.etcd) as store:
        await store.ping()  # A file that is changed for nothing would only be in the way.
        if ring == before:
            print(f"Carrying on: sealing all secrets with the key {ring.keys[0].id}.")
        else:
            replace_keys(path, ring)
            print(f"Sealing all secrets with the key {ring.keys[0].id}.")
        vault = Vault(KeySource(str(path), ring))
        await _seal_all(store, vault, options.wait)
        ring = end_rotation(ring)
        replace_keys(path, ring)
        if options.drop_old:
            _drop(path, ring, set(await count_seals(store)))
    if not vault.missing:
        return 0
    lost = ", ".join(sorted(vault.missing))
    print(f"krake secrets: what these keys have sealed is left as it is, they are not in {path}: {lost}", file=sys.stderr)
    return 1


async def _seal_all(store: Store, vault: Vault, wait: float) -> None:
    """Seal until nothing is left: an API that does not know the new key yet may still write with the old one."""
    sealed = 0
    for _ in range(_ROUNDS):
        found = await _seal_round(store, vault, _report(sys.stdout.isatty()))
        sealed += found
        await asyncio.sleep(wait)
        if not found and set(await count_seals(store)) <= {vault.source.keyring.keys[0].id, *vault.missing}:
            print(f"Done: sealed the secrets of {sealed:,} objects.")
            return
    raise ToolError("An API keeps sealing with an old key: bring the key file to its machine, and run the command again.")


async def _seal_round(store: Store, vault: Vault, report: Callable[[Progress], None]) -> int:
    sealed: dict[str, int] = {}
    async for progress in reseal_all(store, vault):
        sealed[str(progress.kind)] = progress.sealed
        report(progress)
    return sum(sealed.values())


def _report(live: bool) -> Callable[[Progress], None]:
    """Return what tells the progress: one line for each kind, on a terminal kept up to date."""

    def report(progress: Progress) -> None:
        line = f"{progress.kind.plural}: {progress.sealed:,} of {progress.seen:,} objects sealed"
        if progress.done and progress.sealed:
            print(f"\r{line}" if live else line, flush=True)
        elif live:
            print(f"\r{line}", end="\r", flush=True)

    return report


def _drop(path: Path, ring: Keyring, used: set[str]) -> None:
    kept = drop_unused(ring, used)
    if dropped := ring.by_id.keys() - kept.by_id.keys():
        replace_keys(path, kept)
        print(f"Removed the keys that nothing is sealed with: {', '.join(sorted(dropped))}.")


def _today() -> date:
    return datetime.now(UTC).date()
