"""What every store must do (`krake.ports.store`), on each store that we have."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from krake.ports.store import (
    AlreadyExists,
    Batch,
    Change,
    ChangeType,
    Compacted,
    Conflict,
    Create,
    Delete,
    Entry,
    Guard,
    Operation,
    Store,
    TooLarge,
    Unavailable,
    Update,
)

LIMIT = 60.0
"""Seconds after which something that should have happened has failed."""


@pytest.fixture(params=["etcd_store"])
def store(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def gather_changes(store: Store, prefix: str, after: int, upto: int) -> list[Change]:
    """All changes below the prefix from behind `after` to `upto`."""
    changes: list[Change] = []
    async with asyncio.timeout(LIMIT), aclosing(store.watch(prefix, after)) as batches:
        async for batch in batches:
            changes += batch.changes
            if batch.revision >= upto:
                return changes
    raise AssertionError("The watch has ended.")


@asynccontextmanager
async def watching(store: Store, prefix: str, after: int) -> AsyncIterator[AsyncIterator[Batch]]:
    async with asyncio.timeout(LIMIT), aclosing(store.watch(prefix, after)) as batches:
        yield batches


class TestEntries:
    async def test_what_is_created_can_be_read(self, store: Store) -> None:
        before = await store.revision()
        revision = await store.create("/a/b", b"\x00value\xff")
        assert revision == before + 1 == await store.revision()
        assert await store.get("/a/b") == Entry("/a/b", b"\x00value\xff", revision, revision)

    async def test_what_does_not_exist_is_none(self, store: Store) -> None:
        await store.create("/a/b", b"")
        assert await store.get("/a") is None
        assert await store.get("/a/b/") is None

    async def test_an_update_keeps_the_revision_of_creation(self, store: Store) -> None:
        created = await store.create("/a", b"1")
        updated = await store.update("/a", b"2", created)
        assert await store.get("/a") == Entry("/a", b"2", updated, created)

    async def test_what_is_deleted_is_gone_and_can_be_created_anew(self, store: Store) -> None:
        first = await store.create("/a", b"1")
        deleted = await store.delete("/a", first)
        assert deleted == first + 1
        assert await store.get("/a") is None
        second = await store.create("/a", b"2")
        assert await store.get("/a") == Entry("/a", b"2", second, second)

    @pytest.mark.parametrize("key", ["/ü/😀", "/with space", "/a\x00b", "no slash", "/" + "k" * 500])
    async def test_keys_are_any_text(self, store: Store, key: str) -> None:
        revision = await store.create(key, key.encode())
        assert (await store.list(key)).entries == (Entry(key, key.encode(), revision, revision),)

    @pytest.mark.parametrize("size", [0, 1, 900_000])
    async def test_values_are_any_bytes(self, store: Store, size: int) -> None:
        value = bytes(range(256)) * (size // 256 + 1)
        await store.create("/large", value[:size])
        entry = await store.get("/large")
        assert entry is not None
        assert entry.value == value[:size]

    async def test_a_value_that_is_too_large_is_refused_and_the_next_one_is_not(self, store: Store) -> None:
        for size in (1_700_000, 50_000_000):
            with pytest.raises(TooLarge):
                await store.create("/large", bytes(size))
        assert await store.get("/large") is None
        await store.create("/large", b"small")


class TestConditions:
    async def test_what_exists_cannot_be_created(self, store: Store) -> None:
        revision = await store.create("/a", b"1")
        with pytest.raises(AlreadyExists) as refused:
            await store.create("/a", b"2")
        assert refused.value.key == "/a"
        assert refused.value.current == Entry("/a", b"1", revision, revision) == await store.get("/a")

    async def test_a_stale_update_is_refused(self, store: Store) -> None:
        first = await store.create("/a", b"1")
        second = await store.update("/a", b"2", first)
        with pytest.raises(Conflict) as refused:
            await store.update("/a", b"3", first)
        assert (refused.value.key, refused.value.expected) == ("/a", first)
        assert refused.value.current == Entry("/a", b"2", second, first) == await store.get("/a")

    async def test_a_stale_delete_is_refused(self, store: Store) -> None:
        first = await store.create("/a", b"1")
        second = await store.update("/a", b"2", first)
        with pytest.raises(Conflict):
            await store.delete("/a", first)
        assert await store.get("/a") == Entry("/a", b"2", second, first)

    async def test_what_does_not_exist_can_be_neither_updated_nor_deleted(self, store: Store) -> None:
        revision = await store.delete("/a", await store.create("/a", b"1"))
        with pytest.raises(Conflict) as refused:
            await store.update("/a", b"2", revision - 1)
        assert refused.value.current is None
        with pytest.raises(Conflict):
            await store.delete("/a", revision - 1)
        assert await store.revision() == revision

    @pytest.mark.parametrize("operation", [Update("/a", b"", 0), Delete("/a", 0), Update("/a", b"", -1)])
    async def test_a_write_without_expectation_is_a_mistake(self, store: Store, operation: Operation) -> None:
        with pytest.raises(ValueError, match="revision"):
            await store.transact([operation])
        assert await store.get("/a") is None

    async def test_only_one_of_many_simultaneous_updates_wins(self, store: Store) -> None:
        first = await store.create("/a", b"")
        attempts = (store.update("/a", b"%d" % number, first) for number in range(50))
        results = await asyncio.gather(*attempts, return_exceptions=True)
        wins = [number for number, result in enumerate(results) if isinstance(result, int)]
        assert len(wins) == 1
        assert all(isinstance(result, Conflict) for number, result in enumerate(results) if number not in wins)
        assert await store.get("/a") == Entry("/a", b"%d" % wins[0], first + 1, first)

    async def test_counting_with_conflicts_loses_no_count(self, store: Store) -> None:
        await store.create("/count", b"0")

        async def count() -> None:
            for _ in range(10):
                entry = await store.get("/count")
                while entry is not None:
                    try:
                        await store.update("/count", b"%d" % (int(entry.value) + 1), entry.revision)
                        break
                    except Conflict as conflict:
                        entry = conflict.current

        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*(count() for _ in range(8)))
        entry = await store.get("/count")
        assert entry is not None
        assert entry.value == b"80"


class TestTransactions:
    async def test_all_operations_share_one_revision(self, store: Store) -> None:
        update, delete = await store.create("/u", b"1"), await store.create("/d", b"1")
        revision = await store.transact([Create("/c", b"2"), Update("/u", b"2", update), Delete("/d", delete)])
        assert revision == delete + 1
        assert (await store.list("/")).entries == (
            Entry("/c", b"2", revision, revision),
            Entry("/u", b"2", revision, update),
        )

    async def test_one_failed_condition_stops_all_and_is_named(self, store: Store) -> None:
        revision = await store.create("/b", b"1")
        operations: list[Operation] = [Create("/a", b""), Update("/b", b"2", revision + 1), Create("/c", b"")]
        with pytest.raises(Conflict) as refused:
            await store.transact(operations)
        assert refused.value.key == "/b"
        with pytest.raises(AlreadyExists) as occupied:
            await store.transact([Create("/a", b""), Create("/b", b"")])
        assert occupied.value.key == "/b"
        assert [entry.key for entry in (await store.list("/")).entries] == ["/b"]
        assert await store.revision() == revision

    async def test_the_first_of_several_failures_is_told(self, store: Store) -> None:
        await store.create("/b", b"")
        with pytest.raises(Conflict) as refused:
            await store.transact([Create("/a", b""), Delete("/z", 1), Create("/b", b"")])
        assert refused.value.key == "/z"

    async def test_a_guard_writes_nothing_and_stops_the_others_if_it_fails(self, store: Store) -> None:
        first = await store.create("/guarded", b"1")
        revision = await store.transact([Create("/a", b""), Guard("/guarded", first)])
        assert await store.get("/guarded") == Entry("/guarded", b"1", first, first)
        second = await store.update("/guarded", b"2", first)
        for expected, current in ((first, Entry("/guarded", b"2", second, first)), (second + 1, await store.get("/guarded"))):
            with pytest.raises(Conflict) as refused:
                await store.transact([Update("/a", b"new", revision), Guard("/guarded", expected)])
            assert (refused.value.key, refused.value.current) == ("/guarded", current)
        gone = await store.delete("/guarded", second)
        with pytest.raises(Conflict) as refused:
            await store.transact([Update("/a", b"new", revision), Guard("/guarded", second)])
        assert (refused.value.key, refused.value.current) == ("/guarded", None)
        assert await store.get("/a") == Entry("/a", b"", revision, revision)
        assert await store.revision() == gone

    async def test_a_guard_without_expectation_is_a_mistake(self, store: Store) -> None:
        with pytest.raises(ValueError, match="revision"):
            await store.transact([Create("/a", b""), Guard("/b", 0)])

    async def test_128_operations_are_possible(self, store: Store) -> None:
        await store.transact([Create(f"/{number}", b"") for number in range(128)])
        assert len((await store.list("/")).entries) == 128

    @pytest.mark.parametrize(
        "operations",
        [
            [],
            [Guard("/a", 1)],
            [Create("/a", b""), Delete("/a", 1)],
            [Create("/a", b""), Guard("/a", 1)],
            [Create(f"/{number}", b"") for number in range(129)],
        ],
    )
    async def test_what_cannot_be_a_transaction_is_a_mistake(self, store: Store, operations: list[Operation]) -> None:
        with pytest.raises(ValueError, match="transaction"):
            await store.transact(operations)
        assert (await store.list("/")).entries == ()


class TestLists:
    async def test_a_prefix_selects_by_text_and_keys_are_in_order(self, store: Store) -> None:
        for key in ("/b/2", "/b/10", "/b", "/bb/1", "/a/1", "/c"):
            await store.create(key, b"")
        assert [entry.key for entry in (await store.list("/b/")).entries] == ["/b/10", "/b/2"]
        assert [entry.key for entry in (await store.list("/b")).entries] == ["/b", "/b/10", "/b/2", "/bb/1"]
        assert len((await store.list("")).entries) == 6
        assert (await store.list("/none/")).entries == ()

    async def test_pages_show_one_state_however_it_changes_meanwhile(self, store: Store) -> None:
        for number in range(7):
            await store.create(f"/p/{number}", b"")
        page = await store.list("/p/", limit=3)
        revision, pages = page.revision, [page]
        await store.create("/p/35", b"too late")
        entry = page.entries[0]
        await store.delete(entry.key, entry.revision)
        while page.more:
            page = await store.list("/p/", limit=3, after=page.entries[-1].key, revision=revision)
            pages.append(page)
        assert [len(page.entries) for page in pages] == [3, 3, 1]
        assert [entry.key for page in pages for entry in page.entries] == [f"/p/{number}" for number in range(7)]
        assert {page.revision for page in pages} == {revision}

    async def test_an_old_state_can_be_read(self, store: Store) -> None:
        first = await store.create("/a", b"1")
        second = await store.update("/a", b"2", first)
        third = await store.delete("/a", second)
        for revision, values in ((first, [b"1"]), (second, [b"2"]), (third, [])):
            snapshot = await store.list("/", revision=revision)
            assert [entry.value for entry in snapshot.entries] == values
            assert snapshot.revision == revision

    async def test_a_state_yet_to_come_cannot_be_read(self, store: Store) -> None:
        with pytest.raises(Compacted):
            await store.list("/", revision=await store.revision() + 100)

    @pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": -1}, {"after": "/other/a"}])
    async def test_a_wrong_page_is_a_mistake(self, store: Store, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="list"):
            await store.list("/p/", **arguments)

    async def test_five_thousand_entries_of_one_kilobyte(self, store: Store) -> None:
        start = await store.revision()
        for first in range(0, 5000, 100):
            await store.transact([Create(f"/many/{number:04}", bytes(1000)) for number in range(first, first + 100)])
        snapshot = await store.list("/many/")
        assert [entry.key for entry in snapshot.entries] == [f"/many/{number:04}" for number in range(5000)]
        changes = await gather_changes(store, "/many/", start, snapshot.revision)
        assert [change.entry for change in changes] == list(snapshot.entries)

    async def test_twenty_large_values_at_once(self, store: Store) -> None:
        start = await store.revision()
        for number in range(20):
            await store.create(f"/large/{number:02}", bytes([number]) * 900_000)
        snapshot = await store.list("/large/")
        assert [entry.value[-1] for entry in snapshot.entries] == list(range(20))
        changes = await gather_changes(store, "/large/", start, snapshot.revision)
        assert [change.entry for change in changes] == list(snapshot.entries)


class TestWatches:
    async def test_changes_tell_what_is_and_what_was(self, store: Store) -> None:
        start = await store.revision()
        created = await store.create("/w/a", b"1")
        updated = await store.update("/w/a", b"2", created)
        deleted = await store.delete("/w/a", updated)
        put, replaced, removed = await gather_changes(store, "/w/", start, deleted)
        one, two = Entry("/w/a", b"1", created, created), Entry("/w/a", b"2", updated, created)
        assert put == Change(ChangeType.PUT, one, None)
        assert replaced == Change(ChangeType.PUT, two, one)
        assert removed == Change(ChangeType.DELETE, Entry("/w/a", b"", deleted, 0), two)
        assert [change.created for change in (put, replaced, removed)] == [True, False, False]
        assert removed.key == "/w/a"
        assert removed.revision == deleted

    async def test_from_any_revision_on_all_that_follows_and_nothing_else(self, store: Store) -> None:
        revisions = [await store.create(f"/w/{number}", b"") for number in range(10)]
        for position, after in enumerate(revisions[:-1]):
            changes = await gather_changes(store, "/w/", after, revisions[-1])
            assert [change.revision for change in changes] == revisions[position + 1 :]

    async def test_what_happens_later_arrives(self, store: Store) -> None:
        async with watching(store, "/w/", await store.revision()) as batches:
            for number in range(3):
                revision = await store.create(f"/w/{number}", b"")
                batch = await anext(batches)
                assert (batch.revision, [change.key for change in batch.changes]) == (revision, [f"/w/{number}"])

    async def test_only_changes_below_the_prefix(self, store: Store) -> None:
        start = await store.revision()
        for key in ("/v", "/w", "/w/1", "/wx", "/w/2", "/x"):
            await store.create(key, b"")
        last = await store.create("/w/3", b"")
        assert [change.key for change in await gather_changes(store, "/w/", start, last)] == ["/w/1", "/w/2", "/w/3"]
        assert len(await gather_changes(store, "", start, last)) == 7

    async def test_a_transaction_is_never_split(self, store: Store) -> None:
        start = await store.revision()
        # Together more than etcd puts into one response.
        for number in range(8):
            end = await store.transact([Create(f"/w/{number}/{part}", bytes(100_000)) for part in range(12)])
        seen: list[int] = []
        async with watching(store, "/w/", start) as batches:
            while not seen or seen[-1] < end:
                batch = await anext(batches)
                revisions = [change.revision for change in batch.changes]
                assert all(revisions.count(revision) == 12 for revision in revisions)
                assert all(revision not in seen for revision in revisions)
                seen += revisions
        assert seen == sorted(seen)
        assert len(seen) == 96

    async def test_resuming_after_each_batch_misses_nothing(self, store: Store) -> None:
        start = position = await store.revision()
        keys: list[str] = []
        for number in range(20):
            end = await store.create(f"/w/{number:02}", b"")
        while position < end:
            async with watching(store, "/w/", position) as batches:
                batch = await anext(batches)
            keys += (change.key for change in batch.changes)
            assert batch.revision > position
            position = batch.revision
        assert keys == [f"/w/{number:02}" for number in range(20)]
        assert end == start + 20

    async def test_a_quiet_watch_learns_the_revision(self, store: Store) -> None:
        async with watching(store, "/quiet/", await store.revision()) as batches:
            revision = await store.create("/loud", b"")
            async for batch in batches:
                assert batch.changes == ()
                if batch.revision == revision:
                    break

    async def test_many_watches_beside_requests(self, store: Store) -> None:
        start = await store.revision()
        watches = [asyncio.ensure_future(gather_changes(store, "/w/", start, start + 200)) for _ in range(100)]
        for number in range(200):
            await store.create(f"/w/{number}", b"")
        results = await asyncio.gather(*watches)
        assert {tuple(change.key for change in changes) for changes in results} == {
            tuple(f"/w/{number}" for number in range(200))
        }

    async def test_a_slow_reader_gets_everything(self, store: Store) -> None:
        async with watching(store, "/w/", await store.revision()) as batches:
            end = await store.create("/w/first", b"")
            await anext(batches)
            for number in range(40):
                end = await store.create(f"/w/{number}", bytes(900_000))
            count = 0
            async for batch in batches:
                count += len(batch.changes)
                if batch.revision == end:
                    break
        assert count == 40

    async def test_a_revision_ahead_of_the_store_is_refused(self, store: Store) -> None:
        async with watching(store, "/w/", await store.revision() + 1000) as batches:
            with pytest.raises(Compacted):
                await anext(batches)


class TestCompaction:
    async def test_the_past_is_gone_the_present_stays(self, store: Store) -> None:
        first = await store.create("/a", b"1")
        second = await store.update("/a", b"2", first)
        third = await store.update("/a", b"3", second)
        await store.compact(second)
        with pytest.raises(Compacted):
            await store.list("/", revision=first)
        assert [entry.value for entry in (await store.list("/", revision=second)).entries] == [b"2"]
        async with watching(store, "/", first) as batches:
            with pytest.raises(Compacted) as gone:
                await anext(batches)
        assert gone.value.revision == first
        (change,) = await gather_changes(store, "/", second, third)
        assert change.previous == Entry("/a", b"2", second, first)

    async def test_a_deletion_at_the_compacted_revision_is_never_passed_over(self, store: Store) -> None:
        created = await store.create("/a", b"1")
        deleted = await store.delete("/a", created)
        await store.create("/b", b"")
        await store.compact(deleted)
        async with watching(store, "/", created) as batches:
            with pytest.raises(Compacted):
                await anext(batches)

    async def test_a_watch_that_has_seen_it_all_goes_on(self, store: Store) -> None:
        async with watching(store, "/", await store.revision()) as batches:
            revision = await store.create("/a", b"1")
            await anext(batches)
            revision = await store.update("/a", b"2", revision)
            await store.compact(revision)
            assert (await anext(batches)).revision == revision

    async def test_compacting_twice_does_nothing(self, store: Store) -> None:
        revision = await store.create("/a", b"1")
        await store.compact(revision)
        await store.compact(revision)
        await store.compact(revision - 1)
        assert await store.get("/a") is not None

    async def test_the_future_cannot_be_compacted(self, store: Store) -> None:
        with pytest.raises(ValueError, match="ahead"):
            await store.compact(await store.revision() + 10)


class TestClose:
    async def test_ping_answers_until_closed(self, store: Store) -> None:
        await store.ping()
        await store.close()
        await store.close()
        with pytest.raises(Unavailable):
            await store.ping()
        with pytest.raises(Unavailable) as refused:
            await store.create("/a", b"")
        assert not refused.value.outcome_unknown

    async def test_closing_ends_watches(self, store: Store) -> None:
        async with watching(store, "/w/", await store.revision()) as batches:
            await store.create("/w/1", b"")
            await anext(batches)
            waiting = asyncio.ensure_future(anext(batches))
            await asyncio.sleep(0)
            await store.close()
            with pytest.raises(Unavailable):
                await waiting

    async def test_a_cancelled_call_is_cancelled(self, store: Store) -> None:
        for call in (store.revision(), anext(store.watch("/", 0)), store.create("/a", b"")):
            task = asyncio.ensure_future(call)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class TestTimeToLive:
    async def test_an_entry_expires_and_watches_are_told(self, store: Store) -> None:
        before = await store.revision()
        started = time.monotonic()
        await store.create("/e/short", b"1", ttl=2)
        await store.create("/e/lasting", b"2")
        async with watching(store, "/e/", before) as batches:
            changes: list[Change] = []
            async for batch in batches:
                changes += batch.changes
                if any(change.type is ChangeType.DELETE for change in changes):
                    break
        assert time.monotonic() - started > 1.9
        assert [(change.type, change.key) for change in changes[2:]] == [(ChangeType.DELETE, "/e/short")]
        assert changes[2].previous is not None
        assert changes[2].previous.value == b"1"
        assert [entry.key for entry in (await store.list("/e/")).entries] == ["/e/lasting"]

    async def test_an_update_with_a_time_to_live_begins_it_anew(self, store: Store) -> None:
        revisions = {name: await store.create(f"/e/{name}", b"1", ttl=2) for name in ("renewed", "left")}
        await store.update("/e/renewed", b"2", revisions["renewed"], ttl=600)
        await expired(store, "/e/left")
        assert await store.get("/e/renewed") is not None

    async def test_an_update_without_leaves_it_as_it_is(self, store: Store) -> None:
        revision = await store.create("/e/a", b"1", ttl=2)
        await store.update("/e/a", b"2", revision)
        await expired(store, "/e/a")

    async def test_an_update_can_make_an_entry_expire(self, store: Store) -> None:
        revision = await store.create("/e/a", b"1")
        await store.update("/e/a", b"2", revision, ttl=1)
        await expired(store, "/e/a")

    async def test_entries_written_together_may_have_different_times(self, store: Store) -> None:
        await store.transact([Create("/e/1", b"", 2), Create("/e/2", b"", 600), Create("/e/3", b"")])
        await expired(store, "/e/1")
        assert [entry.key for entry in (await store.list("/e/")).entries] == ["/e/2", "/e/3"]

    async def test_what_was_deleted_and_created_anew_does_not_expire(self, store: Store) -> None:
        await store.delete("/e/a", await store.create("/e/a", b"1", ttl=2))
        await store.create("/e/a", b"2")
        await store.create("/e/b", b"", ttl=2)
        await expired(store, "/e/b")
        assert await store.get("/e/a") is not None

    async def test_a_refused_write_leaves_the_time_as_it_is(self, store: Store) -> None:
        revision = await store.create("/e/a", b"1")
        with pytest.raises(Conflict):
            await store.update("/e/a", b"2", revision + 1, ttl=1)
        with pytest.raises(AlreadyExists):
            await store.create("/e/a", b"2", ttl=1)
        await store.create("/e/b", b"", ttl=1)
        await expired(store, "/e/b")
        assert await store.get("/e/a") is not None

    @pytest.mark.parametrize("ttl", [0, -1])
    async def test_there_is_no_shorter_time_than_a_second(self, store: Store, ttl: int) -> None:
        with pytest.raises(ValueError, match="at least 1 second"):
            await store.create("/e/a", b"", ttl=ttl)


async def expired(store: Store, key: str) -> None:
    """Wait until an entry is gone."""
    async with asyncio.timeout(LIMIT):
        while await store.get(key) is not None:  # noqa: ASYNC110 (the store does it)
            await asyncio.sleep(0.05)
