"""What a store must do when its server is killed, restarted or paused under load."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fixtures.store_history import LIMIT, Follower, Writers, check_history, paused, wait_until_served

from krake.adapters.etcd import EtcdStore
from krake.ports.store import Compacted, Unavailable
from krake.up.etcd import EtcdProcess
from krake.up.process import free_port

TIMEOUT = 1.0
"""The time limit of the store, in seconds."""


@pytest.fixture
async def store(etcd_process: EtcdProcess) -> AsyncIterator[EtcdStore]:
    async with EtcdStore([etcd_process.endpoint], timeout=TIMEOUT) as store:
        yield store


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


async def test_a_watch_that_was_cut_leaves_nothing_running(etcd_process: EtcdProcess, store: EtcdStore) -> None:
    async with Follower(store, "/w/", await store.revision()) as follower:
        await follower.reach(await store.create("/w/1", b""))
        running = len(asyncio.all_tasks())
        for number in range(3):
            await etcd_process.kill()
            await etcd_process.start()
            await follower.reach(await store.create(f"/w/again-{number}", b""))
        assert len(asyncio.all_tasks()) == running
