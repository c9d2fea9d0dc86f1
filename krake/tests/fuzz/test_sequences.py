"""Many clients at once on two API processes: what they are told is one story, and nothing that they write is lost."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from fixtures.api_process import KEY, ApiProcess, RunApi
from fixtures.fuzzing import MINUTES, check_log
from fixtures.store_history import Follower
from fuzz.clients import KINDS, Client, Watcher
from fuzz.journal import History, Journal, Watched

from krake.adapters.etcd import EtcdStore
from krake.api.secrets.source import make_source
from krake.api.secrets.store import SealedStore
from krake.api.secrets.vault import Vault
from krake.api.settings import SecretsSettings
from krake.ports.store import Store

CLIENTS = 12
WATCHERS_OF_KIND = 2
ROUND = 12.0
"""Seconds after which all that was done and seen is checked."""
OPTIONS = ("--watch-buffer", "20", "--watch-history", "100000", "--rate-per-second", "0")


async def test_concurrent_clients(run_api: RunApi, etcd_store: EtcdStore, fuzz_seed: int) -> None:
    store = SealedStore(etcd_store, Vault(make_source(SecretsSettings(keys=KEY))))
    ends = time.monotonic() + MINUTES * 60
    async with two_apis(run_api) as apis:
        number = 0
        while number == 0 or time.monotonic() + ROUND < ends:
            await play_round(apis, store, f"{fuzz_seed}/{number}", min(ROUND, ends - time.monotonic()))
            number += 1
        for api in apis:
            assert api.process.returncode is None
    for api in apis:
        check_log(api.output)


@asynccontextmanager
async def two_apis(run_api: RunApi) -> AsyncIterator[list[ApiProcess]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(run_api(*OPTIONS)) for _ in range(2)]


async def play_round(apis: list[ApiProcess], store: Store, seed: str, seconds: float) -> None:
    """Let clients and watchers loose for some time, and check what they tell."""
    start = await store.revision()
    initial = (await store.list("/")).entries
    journal, chance, urls = Journal(), random.Random(seed), [api.url for api in apis]
    ends = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, read_bufsize=2**16) as session,
        Follower(store, "/", start) as follower,
    ):
        journal.watched = [Watched(kind, start) for kind in dict.fromkeys(KINDS) for _ in range(WATCHERS_OF_KIND)]
        watchers = [Watcher(session, urls, random.Random(chance.random()), watched) for watched in journal.watched]
        watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
        try:
            async with asyncio.TaskGroup() as tasks:
                for index in range(CLIENTS):
                    url = urls[index % len(urls)]
                    client = Client(f"r{start}c{index}", session, url, random.Random(chance.random()), journal)
                    tasks.create_task(client.run(lambda: time.monotonic() > ends))
            await follower.reach(await store.revision())
            history = History(initial, follower.changes)
            for watcher, watched in zip(watchers, journal.watched, strict=True):
                await watcher.reach(history.latest(watched.kind))
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    history.check(journal)
    check_variety(journal)


def check_variety(journal: Journal) -> None:
    """There is nothing to be learnt from clients that never succeed, never come too late, or never lose their patience."""
    outcomes = {(write.verb, write.status) for write in journal.writes}
    assert {(verb, 200) for verb in ("put", "patch", "status", "bind", "delete", "force")} <= outcomes
    assert {("create", 201), ("create", 409), ("put", 409), ("patch", 409), ("bind", 409), ("patch", None)} <= outcomes
    assert all(watched.events for watched in journal.watched)
    assert journal.seen
    assert journal.listed
