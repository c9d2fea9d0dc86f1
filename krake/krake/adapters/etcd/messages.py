"""Translates between the values of the store port and etcd's messages. Pure."""

from collections.abc import Mapping, Sequence

from krake.adapters.etcd import rpc_pb2 as rpc
from krake.ports.store import AlreadyExists, Change, ChangeType, Conflict, Create, Delete, Entry, Guard, Operation, Update

MOST_OPERATIONS = 128
"""etcd's default for the operations of one transaction (`--max-txn-ops`)."""


def prefix_end(prefix: bytes) -> bytes:
    """The first key behind all keys that start with `prefix`, as etcd spells it (a zero byte: no end)."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"


def encode(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def decode(key: bytes) -> str:
    # A foreign key that is no text must not stop a list or a watch.
    return key.decode(errors="surrogateescape")


def point_read(key: str) -> rpc.RangeRequest:
    return rpc.RangeRequest(key=encode(key))


def prefix_read(prefix: str, limit: int | None, after: str | None, revision: int | None) -> rpc.RangeRequest:
    """Raises ValueError if `limit` is below 1 or `after` does not start with `prefix`."""
    if limit is not None and limit < 1:
        raise ValueError(f"The limit of a list must be at least 1, not {limit}.")
    if after is not None and not after.startswith(prefix):
        raise ValueError(f"The list of {prefix} cannot continue after {after}, which is not below it.")
    start = encode(prefix) if after is None else encode(after) + b"\0"
    # To etcd an empty key is no key at all; the zero byte is the first possible one.
    return rpc.RangeRequest(key=start or b"\0", range_end=prefix_end(encode(prefix)), limit=limit or 0, revision=revision or 0)


def prefix_watch(prefix: str, start: int) -> rpc.WatchRequest:
    """Watches the prefix from revision `start` on (included)."""
    return rpc.WatchRequest(
        create_request=rpc.WatchCreateRequest(
            key=encode(prefix) or b"\0",
            range_end=prefix_end(encode(prefix)),
            start_revision=start,
            progress_notify=True,
            prev_kv=True,
            fragment=True,
        )
    )


def lifetimes(operations: Sequence[Operation]) -> set[int]:
    """The times to live that operations ask for, in seconds."""
    found = (operation.ttl for operation in operations if isinstance(operation, Create | Update))
    return {ttl for ttl in found if ttl is not None}


def transaction(operations: Sequence[Operation], leases: Mapping[int, int]) -> rpc.TxnRequest:
    """All operations if all their conditions hold; else the current entries of all their keys.

    `leases` has the lease for each of their `lifetimes`.

    Raises ValueError if none of them writes, there are too many, or two for the same key.
    """
    if not 1 <= len(operations) <= MOST_OPERATIONS:
        raise ValueError(f"A transaction takes 1 to {MOST_OPERATIONS} operations, not {len(operations)}.")
    writes = [_write(operation, leases) for operation in operations if not isinstance(operation, Guard)]
    if not writes:
        raise ValueError("A transaction must write something.")
    if len({operation.key for operation in operations}) < len(operations):
        raise ValueError("A transaction takes one operation for each key only.")
    return rpc.TxnRequest(
        compare=[_condition(operation) for operation in operations],
        success=writes,
        failure=[rpc.RequestOp(request_range=point_read(operation.key)) for operation in operations],
    )


def _condition(operation: Operation) -> rpc.Compare:
    key = encode(operation.key)
    if isinstance(operation, Create):
        return rpc.Compare(key=key, result=rpc.Compare.EQUAL, target=rpc.Compare.CREATE, create_revision=0)
    return rpc.Compare(key=key, result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, mod_revision=_expected(operation))


def _expected(operation: Update | Delete | Guard) -> int:
    # etcd takes 0 for "does not exist", so that an update would create.
    if operation.expected < 1:
        raise ValueError(f"The expected revision of {operation.key} must be at least 1, not {operation.expected}.")
    return operation.expected


def _write(operation: Create | Update | Delete, leases: Mapping[int, int]) -> rpc.RequestOp:
    key = encode(operation.key)
    if isinstance(operation, Delete):
        return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))
    put = rpc.PutRequest(key=key, value=operation.value)
    if operation.ttl is not None:
        put.lease = leases[operation.ttl]
    else:
        # Otherwise the entry would lose its lease, and stay for ever.
        put.ignore_lease = isinstance(operation, Update)
    return rpc.RequestOp(request_put=put)


def refusal(operations: Sequence[Operation], answer: rpc.TxnResponse) -> AlreadyExists | Conflict:
    """Which condition of a transaction failed first, from the entries that etcd answered instead of writing."""
    for operation, response in zip(operations, answer.responses, strict=True):
        found = response.response_range.kvs
        current = entry(found[0]) if found else None
        if isinstance(operation, Create):
            if current is not None:
                return AlreadyExists(operation.key, current)
        elif current is None or current.revision != operation.expected:
            return Conflict(operation.key, operation.expected, current)
    raise AssertionError("etcd refused a transaction whose conditions hold.")


def entry(pair: rpc.KeyValue) -> Entry:
    return Entry(decode(pair.key), pair.value, pair.mod_revision, pair.create_revision)


def change(event: rpc.Event) -> Change:
    kind = ChangeType.DELETE if event.type == rpc.Event.DELETE else ChangeType.PUT
    return Change(kind, entry(event.kv), entry(event.prev_kv) if event.HasField("prev_kv") else None)
