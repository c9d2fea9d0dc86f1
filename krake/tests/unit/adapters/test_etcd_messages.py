"""The pure parts of the etcd adapter."""

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from krake.adapters.etcd import rpc_pb2 as rpc
from krake.adapters.etcd.errors import OutOfRange, Remedy, diagnose
from krake.adapters.etcd.messages import decode, encode, prefix_end
from krake.adapters.etcd.watch import Assembler, progress_is_true
from krake.ports.store import Batch, Denied, Full, StoreError, TooLarge, Unavailable


@given(st.binary(max_size=3), st.binary(max_size=4))
def test_the_end_of_a_prefix_parts_its_keys_from_those_behind(prefix: bytes, key: bytes) -> None:
    end = prefix_end(prefix)
    assert (key >= prefix and (end == b"\0" or key < end)) == key.startswith(prefix)


@given(st.binary())
def test_any_key_survives_as_text(key: bytes) -> None:
    assert encode(decode(key)) == key


def response(*revisions: int, fragment: bool = False, header: int = 0) -> rpc.WatchResponse:
    events = [rpc.Event(kv=rpc.KeyValue(key=b"/%d" % revision, mod_revision=revision)) for revision in revisions]
    return rpc.WatchResponse(header=rpc.ResponseHeader(revision=header), events=events, fragment=fragment)


def revisions_of(batches: list[Batch]) -> list[int]:
    return [change.revision for batch in batches for change in batch.changes]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=12), st.data())
def test_fragments_are_put_together_to_whole_revisions(sizes: list[int], data: st.DataObject) -> None:
    events = [revision for revision, size in enumerate(sizes, start=2) for _ in range(size)]
    after = data.draw(st.integers(1, len(sizes) + 1))
    assembler = Assembler(after)
    batches: list[Batch] = []
    rest = [revision for revision in events if revision >= after]
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        piece, rest = rest[:size], rest[size:]
        batch = assembler.add(response(*piece, fragment=bool(rest)))
        batches += [batch] if batch else []
    assert revisions_of(batches) == [revision for revision in events if revision > after]
    borders = [batch.revision for batch in batches]
    assert borders == sorted(set(borders))
    for batch in batches:
        assert batch.changes[-1].revision == batch.revision
    assert assembler.position == max(after, events[-1])


def test_progress_moves_the_position_but_never_back() -> None:
    assembler = Assembler(5)
    assert assembler.add(response(header=9)) == Batch((), 9)
    assert assembler.add(response(header=7)) == Batch((), 9)
    assert revisions_of([assembler.add(response(8, 9, 10)) or Batch((), 0)]) == [10]


def test_progress_between_fragments_is_no_progress() -> None:
    assembler = Assembler(5)
    assert assembler.add(response(6, fragment=True)) is None
    assert assembler.add(response(header=9)) is None
    batch = assembler.add(response(6))
    assert batch is not None
    assert revisions_of([batch]) == [6, 6]


@pytest.mark.parametrize(
    ("version", "true"),
    [
        ("3.3.99", False),
        ("3.4.24", False),
        ("3.4.25", True),
        ("3.5.1", False),
        ("3.5.7", False),
        ("3.5.8", True),
        ("3.5.21", True),
        ("3.6.0", True),
        ("3.6.0-rc.1", True),
        ("4.0.0", True),
        ("", False),
        ("not decided", False),
    ],
)
def test_versions_that_tell_progress_truly(version: str, true: bool) -> None:
    assert progress_is_true(version) is true


@pytest.mark.parametrize(
    ("code", "details", "error", "remedy", "reason"),
    [
        (StatusCode.UNAVAILABLE, "Connection reset by peer", Unavailable, Remedy.REPEAT, "a member has died"),
        (StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", Unavailable, Remedy.REPEAT, "a member hangs"),
        (StatusCode.INTERNAL, "stream reset", Unavailable, Remedy.REPEAT, "something between us has failed"),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Unavailable, Remedy.REPEAT, "overload passes"),
        (
            StatusCode.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            Full,
            Remedy.NONE,
            "space does not come back by itself",
        ),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large", TooLarge, Remedy.NONE, "it stays too large"),
        (StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token", Denied, Remedy.LOG_IN, "a session has ended"),
        (StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", Denied, Remedy.NONE, "it is meant so"),
        (StatusCode.OUT_OF_RANGE, "required revision has been compacted", OutOfRange, Remedy.NONE, "it is forgotten"),
        (StatusCode.UNIMPLEMENTED, "unknown service", StoreError, Remedy.NONE, "this is no etcd"),
    ],
)
def test_what_a_failed_read_means(code: StatusCode, details: str, error: type[StoreError], remedy: Remedy, reason: str) -> None:
    failure = diagnose(code, details, "http://here:1", write=False)
    assert type(failure.error) is error, reason
    assert failure.remedy is remedy, reason
    assert "here" in str(failure.error)


@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNKNOWN])
def test_a_write_that_was_cut_off_is_not_repeated(code: StatusCode) -> None:
    failure = diagnose(code, "Socket closed", "http://here:1", write=True)
    assert isinstance(failure.error, Unavailable)
    assert failure.error.outcome_unknown
    assert failure.remedy is Remedy.NONE


def test_a_write_that_a_busy_store_refused_may_be_repeated() -> None:
    failure = diagnose(StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests", "http://here:1", write=True)
    assert isinstance(failure.error, Unavailable)
    assert not failure.error.outcome_unknown
    assert failure.remedy is Remedy.REPEAT
