"""What a store must do when its server is killed, restarted or paused under load."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from krake.adapters.etcd import EtcdStore
from krake.ports.store import (
    AlreadyExists,
    Change,
    ChangeType,
    Compacted,
    Conflict,
    Create,
    Entry,
    Operation,
    Store,
    Unavailable,
    Update,
)
from krake.up.etcd import EtcdProcess
from krake.up.process import free_port

TIMEOUT = 1.0
"""The time limit of the store, in seconds."""
LIMIT = 60.0
"""Seconds after which something that should have happened has failed."""


@pytest.fixture
async def store(etcd_process: EtcdProcess) -> AsyncIterator[EtcdStore]:
    async with EtcdStore([etcd_process.endpoint], timeout=TIMEOUT) as store:
        yield store


class Background:
    """Tasks that end with the block."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Follower(Background):
    """Collects what a watch hands out."""

    def __init__(self, store: Store, prefix: str, after: int) -> None:
        super().__init__()
        self.changes: list[Change] = []
        self.revision = after
        self.tasks = [asyncio.create_task(self._follow(store, prefix))]

    async def _follow(self, store: Store, prefix: str) -> None:
        async with aclosing(store.watch(prefix, self.revision)) as batches:
            async for batch in batches:
                self.changes += batch.changes
                self.revision = batch.revision

    async def reach(self, revision: int) -> None:
        """Wait until the watch has come so far."""
        async with asyncio.timeout(LIMIT):
            while self.revision < revision:
                assert not self.tasks[0].done(), self.tasks[0]
                await asyncio.sleep(0.01)


class Writers(Background):
    """Tasks that create, update and delete entries of their own, one or three at a time, through any failure."""

    def __init__(self, store: Store, number: int) -> None:
        super().__init__()
        self.applied: list[tuple[int, str]] = []
        """Revisions and keys that the store has confirmed."""
        self._store = store
        self._ended = asyncio.Event()
        self.tasks = [asyncio.create_task(self._write(f"/w/{index}", random.Random(index))) for index in range(number)]

    async def stop(self) -> None:
        self._ended.set()
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*self.tasks)

    async def wait_for(self, more: int) -> None:
        """Wait until so many more writes have been confirmed."""
        goal = len(self.applied) + more
        async with asyncio.timeout(LIMIT):
            while len(self.applied) < goal:  # noqa: ASYNC110 (tasks of the test itself add to it)
                await asyncio.sleep(0.005)

    async def _write(self, base: str, chance: random.Random) -> None:
        while not self._ended.is_set():
            with suppress(Unavailable, Conflict, AlreadyExists):
                await self._change(base, chance)

    async def _change(self, base: str, chance: random.Random) -> None:
        entry = await self._store.get(base)
        value = chance.randbytes(chance.choice([10, 10, 2000]))
        if entry is not None and chance.random() < 0.2:
            revision, keys = await self._store.delete(base, entry.revision), [base]
        else:
            operations: list[Operation] = [Update(base, value, entry.revision) if entry else Create(base, value)]
            if chance.random() < 0.3:
                operations += (Create(f"{base}/{chance.getrandbits(64)}", value) for _ in range(2))
            revision, keys = await self._store.transact(operations), [operation.key for operation in operations]
        self.applied += ((revision, key) for key in keys)


async def check_history(store: Store, prefix: str, start: int, changes: list[Change]) -> None:
    """The changes are exactly the history of the store: applied one by one they lead to each of its states."""
    state: dict[str, Entry] = {entry.key: entry for entry in (await store.list(prefix, revision=start)).entries}
    revisions = [change.revision for change in changes]
    assert revisions == sorted(revisions), "out of order"
    assert sorted(set(revisions)) == list(range(start + 1, await store.revision() + 1)), "a revision is missing"
    twice = [key for key, count in Counter((c.revision, c.key) for c in changes).items() if count > 1]
    assert not twice
    for position, change in enumerate(changes):
        assert change.previous == state.get(change.key)
        if change.type is ChangeType.DELETE:
            del state[change.key]
        else:
            state[change.key] = change.entry
        if position + 1 == len(changes) or changes[position + 1].revision > change.revision:
            snapshot = await store.list(prefix, revision=change.revision)
            assert snapshot.entries == tuple(sorted(state.values(), key=lambda entry: entry.key))


async def test_a_watch_loses_and_repeats_nothing_over_crashes(etcd_process: EtcdProcess, store: EtcdStore) -> None:
    start = await store.revision()
    async with Follower(store, "/w/", start) as follower, Writers(store, 8) as writers:
        for _ in range(3):
            await writers.wait_for(100)
            await etcd_process.kill()
            await etcd_process.start()
        await writers.wait_for(100)
        await writers.stop()
        await follower.reach(await store.revision())
    await check_history(store, "/w/", start, follower.changes)
    assert set(writers.applied) <= {(change.revision, change.key) for change in follower.changes}


async def test_a_watch_goes_on_where_it_was_when_etcd_is_away(etcd_process: EtcdProcess, store: EtcdStore) -> None:
    async with Follower(store, "/w/", await store.revision()) as follower:
        first = await store.create("/w/1", b"")
        await follower.reach(first)
        await etcd_process.stop()
        with pytest.raises(Unavailable) as refused:
            await store.update("/w/1", b"", first)
        assert not refused.value.outcome_unknown, "etcd was surely not reached"
        await etcd_process.start()
        await follower.reach(await store.create("/w/2", b""))
    assert [change.key for change in follower.changes] == ["/w/1", "/w/2"]


async def test_a_hanging_store_is_unavailable_in_time_and_comes_back(etcd_process: EtcdProcess, store: EtcdStore) -> None:
    start = await store.revision()
    async with Follower(store, "/w/", start) as follower:
        revision = await store.create("/w/1", b"1")
        await follower.reach(revision)
        with paused(etcd_process.pid):
            begin = time.monotonic()
            calls = (store.get("/w/1"), store.list("/w/"), store.revision(), store.ping(), store.compact(1))
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, Unavailable), result
            with pytest.raises(Unavailable) as refused:
                await store.update("/w/1", b"2", revision)
            assert refused.value.outcome_unknown
            assert time.monotonic() - begin < 2 * TIMEOUT + 1.0
        await wait_until_served(store)
        entry = await store.get("/w/1")
        assert entry is not None
        await follower.reach(await store.update("/w/1", b"3", entry.revision))
    assert follower.changes[-1].entry.value == b"3"
    await check_history(store, "/w/", start, follower.changes)


async def test_a_store_that_is_not_there_is_unavailable() -> None:
    async with EtcdStore([f"http://127.0.0.1:{free_port()}"], timeout=0.3) as store:
        for call in (store.get("/a"), store.create("/a", b""), store.ping()):
            with pytest.raises(Unavailable) as refused:
                await call
            assert not refused.value.outcome_unknown


async def test_a_store_set_back_to_an_older_state_is_noticed(tmp_path: Path, etcd_process: EtcdProcess) -> None:
    async with EtcdStore([etcd_process.endpoint]) as store:
        for number in range(5):
            revision = await store.create(f"/{number}", b"")
        async with Follower(store, "/", 1) as follower:
            await follower.reach(revision)
            await etcd_process.stop()
            async with EtcdProcess(tmp_path / "new", client_port=etcd_process.client_port, unsafe_no_fsync=True):
                with pytest.raises(Compacted):
                    async with asyncio.timeout(LIMIT):
                        await follower.tasks[0]


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def wait_until_served(store: Store) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            with suppress(Unavailable):
                return await store.ping()
