"""Rotation of the keys that seal secrets: a new key goes into the file first, then every secret is sealed with it.

Each step may be the last one: whoever is killed leaves a file with all keys that anything is sealed with, and a mark at the
first of them that says whether everything is sealed with it.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from krake.admin.store import ToolError
from krake.api.secrets.keyfile import make_key, replace_keys
from krake.api.secrets.keys import Keyring, begin_rotation, drop_unused, end_rotation, stage
from krake.api.secrets.resealing import Progress, count_seals, reseal_all
from krake.api.secrets.source import KeySource, read_keys
from krake.api.secrets.vault import Vault
from krake.api.settings import EtcdSettings
from krake.api.stores import open_store
from krake.ports.store import Store

_ROUNDS = 10


def stage_key(path: Path) -> None:
    """Add a key to a file that unseals now and seals after the next rotation."""
    new = make_key(datetime.now(UTC).date())
    replace_keys(path, stage(read_keys(path), new))
    print(f"Added the key {new.id} to {path}. Copy the file to all machines with an API, then rotate without --stage.")


async def rotate(path: Path, etcd: EtcdSettings, wait: float, *, anew: bool, drop_old: bool) -> bool:
    """Seal everything with the first key, and say what is done; false if there are secrets that cannot be unsealed.

    :param wait: seconds that running APIs get to take notice of the new key.
    :param anew: put a new key first, unless there was no end to the rotation before.
    """
    before = read_keys(path)
    ring = begin_rotation(before, make_key(datetime.now(UTC).date())) if anew else before
    async with open_store(etcd) as store:
        await store.ping()  # A key that nothing is sealed with afterwards would only be in the way.
        if ring != before:
            replace_keys(path, ring)
        print(f"{'Carrying on: s' if anew and ring == before else 'S'}ealing all secrets with the key {ring.keys[0].id}.")
        vault = Vault(KeySource(str(path), ring))
        await _seal_all(store, vault, wait)
        ring = end_rotation(ring)
        replace_keys(path, ring)
        if drop_old:
            _drop(path, ring, set(await count_seals(store)))
    return not (vault.missing or vault.broken)


async def print_counts(etcd: EtcdSettings) -> None:
    """Say how many secrets are sealed with which key."""
    async with open_store(etcd) as store:
        for key_id, number in sorted((await count_seals(store)).items()):
            print(f"{number:>9,}  {f'sealed with {key_id}' if key_id else 'in plain text'}")


async def _seal_all(store: Store, vault: Vault, wait: float) -> None:
    """Seal until nothing is left: an API that does not know the new key yet may still write with the old one."""
    sealed = await _seal_round(store, vault)
    for _ in range(_ROUNDS):
        await asyncio.sleep(wait)
        found = await _seal_round(store, vault)
        if not found:
            print(f"Done: the secrets of {sealed:,} objects were sealed anew.")
            return
        sealed += found
    raise ToolError("An API keeps sealing with an old key: bring the key file to its machine, and run the command again.")


async def _seal_round(store: Store, vault: Vault) -> int:
    total = 0
    async for progress in reseal_all(store, vault):
        _report(progress, sys.stdout.isatty())
        total += progress.sealed if progress.done else 0
    return total


def _report(progress: Progress, live: bool) -> None:
    """Say how far it has come: one line for each kind, on a terminal kept up to date."""
    line = f"{progress.kind.plural}: {progress.sealed:,} of {progress.seen:,} objects sealed"
    if progress.done and progress.sealed:
        print(line, flush=True)
    elif live:
        print(line, end="\r", flush=True)


def _drop(path: Path, ring: Keyring, used: set[str]) -> None:
    kept = drop_unused(ring, used)
    if dropped := ring.by_id.keys() - kept.by_id.keys():
        replace_keys(path, kept)
        print(f"Removed the keys that nothing is sealed with: {', '.join(sorted(dropped))}.")
