"""What Krake needs from a store: versioned keys, guarded writes, and a history that can be watched.

A store is a sorted map from keys to values with one counter, its *revision*. Every write that is applied, of one key or of many
at once, moves the revision on by at least one, and each entry remembers the revision that last wrote it. That is all a caller
needs to write without locks (name the revision you have read; if it is another one by now, nothing is written) and to
follow the store without gaps (list, then watch from the revision of the list).

An entry may be written with a time to live, `ttl`, in seconds from 1 on. The store deletes it when that is over, also if nobody
is there any more: never before, and usually within a minute after. A later write with a `ttl` begins the time anew; one without
leaves it as it is.

Any method may raise `Unavailable` or `Denied`; both are left out of the docstrings below. No method takes longer than the
store's time limit, except `Store.watch`, which waits for as long as nothing happens.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value as of one revision."""

    key: str
    value: bytes
    revision: int
    """The revision that wrote this value."""
    created_revision: int
    """The revision that created the key; a key that is deleted and created anew gets a new one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The entries below a prefix as they were together at one revision, in the order of their keys (by UTF-8 bytes)."""

    entries: tuple[Entry, ...]
    revision: int
    """The revision that was read; watch after it, or name it to read the next page of the same state."""
    more: bool = False
    """Whether a limit cut the list; the next page starts after the key of the last entry."""


class ChangeType(StrEnum):
    """What happened to a key."""

    PUT = "put"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One key was written or deleted."""

    type: ChangeType
    entry: Entry
    """What is there now. Of a deleted key: its key, the revision of the deletion, no value, and 0 as `created_revision`."""
    previous: Entry | None
    """What was there before. None if the key was new, or (rarely) if compaction has forgotten it meanwhile."""

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def revision(self) -> int:
        """The revision that this change belongs to; changes written together share one."""
        return self.entry.revision

    @property
    def created(self) -> bool:
        """Whether the key did not exist before."""
        return self.type is ChangeType.PUT and self.entry.revision == self.entry.created_revision


@dataclass(frozen=True, slots=True)
class Batch:
    """The next part of the history below a prefix: whole revisions, ascending."""

    changes: tuple[Change, ...]
    """Empty if the store only tells how far it has come."""
    revision: int
    """All changes up to and including this revision have been handed out; resume after it."""


@dataclass(frozen=True, slots=True)
class Create:
    """Write `key`, which must not exist; with `ttl`, it expires."""

    key: str
    value: bytes
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Write `key`, whose entry must still have the revision `expected`; with `ttl`, it expires, counted anew from now."""

    key: str
    value: bytes
    expected: int
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete `key`, whose entry must still have the revision `expected`."""

    key: str
    expected: int


@dataclass(frozen=True, slots=True)
class Guard:
    """Write nothing, but let the transaction fail unless the entry of `key` still has the revision `expected`."""

    key: str
    expected: int


Operation: TypeAlias = Create | Update | Delete | Guard


class StoreError(Exception):
    """The store did not do what it was asked for."""


class Unavailable(StoreError):
    """The store cannot be reached, does not answer in time, or cannot work now; the same call may succeed later."""

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown
        """Whether a write may have been applied, or may yet be; read the entry to find out. False: surely not applied."""


class Full(Unavailable):
    """The store has no space for writes until somebody makes some; reads go on. Nothing was written."""


class Denied(StoreError):
    """The store refuses this user, password, certificate or access."""


class TooLarge(StoreError):
    """A value, or the sum of one transaction, is larger than the store takes. Nothing was written."""


class AlreadyExists(StoreError):
    """A key to be created exists. Nothing was written."""

    def __init__(self, key: str, current: Entry) -> None:
        super().__init__(f"{key} already exists; update it, or choose another key.")
        self.key = key
        self.current = current
        """What is there instead."""


class Conflict(StoreError):
    """A key to be updated, deleted or only guarded has another revision than expected. Nothing was written."""

    def __init__(self, key: str, expected: int, current: Entry | None) -> None:
        found = f"is at revision {current.revision} by now" if current else "does not exist (any more)"
        super().__init__(f"{key} {found}, not at revision {expected}; read it again and repeat the change.")
        self.key = key
        self.expected = expected
        self.current = current
        """What is there instead; None if the key does not exist."""


class Compacted(StoreError):
    """The history asked for is not there: forgotten by compaction, or ahead of a store that was set back to an older state.

    The way out is the same for both: list anew and watch from there.
    """

    def __init__(self, revision: int) -> None:
        super().__init__(f"Revision {revision} is not in the history of the store (any more); list anew and go on from there.")
        self.revision = revision
        """The revision that was asked for."""


class Store(Protocol):
    """The store. Keys are text; prefixes are compared as plain text, so end them with `/` to get a whole directory."""

    async def get(self, key: str) -> Entry | None:
        """The current entry of `key`; None if there is none. Sees every write that was applied before the call."""
        ...

    async def list(
        self, prefix: str, *, limit: int | None = None, after: str | None = None, revision: int | None = None
    ) -> Snapshot:
        """The entries whose keys start with `prefix`; at most `limit` of them, only keys behind `after`.

        Reads the state at `revision`, or the current one, which then includes every write applied before the call.
        To read in pages, pass `after=page.entries[-1].key, revision=page.revision` while `page.more`.

        Raises `Compacted` if `revision` is forgotten or not yet reached; `ValueError` if `limit` is below 1 or `after` does not
        start with `prefix`.
        """
        ...

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int:
        """Write a new key; returns the revision of the write. Raises `AlreadyExists`, `TooLarge`."""
        ...

    async def update(self, key: str, value: bytes, expected: int, *, ttl: int | None = None) -> int:
        """Replace the value written at revision `expected`; returns the new revision. Raises `Conflict`, `TooLarge`."""
        ...

    async def delete(self, key: str, expected: int) -> int:
        """Delete the entry written at revision `expected`; returns the revision of the deletion. Raises `Conflict`."""
        ...

    async def transact(self, operations: Sequence[Operation]) -> int:
        """Apply all operations at one revision, which is returned, or none of them.

        Raises `AlreadyExists` or `Conflict` for the first operation, in the order given, whose condition fails; `TooLarge`;
        `ValueError` if there are no operations that write, more than 128 in all, or two for the same key.
        """
        ...

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """All changes below `prefix` at revisions greater than `after`: in order, each exactly once, for ever.

        The changes of one revision are never split over batches. Lost connections are mended behind the scenes, for as long
        as it takes: nothing is skipped, repeated or reordered. In quiet times batches without changes tell the revision that
        the store has reached (never less than before); how often depends on the store, so do not rely on them. Leaving the
        loop early, close the generator (`contextlib.aclosing`) to free the connection at once.

        Raises `Compacted` as soon as a change that has not been handed out may be forgotten, or if `after` lies ahead of the
        store; `Denied`; `Unavailable` only once the store object is closed.
        """
        ...

    async def revision(self) -> int:
        """The current revision: that of the last write applied, to whatever key."""
        ...

    async def ping(self) -> int:
        """Return the current revision if the store serves consistent reads now; raises after 2 seconds or less if not."""
        ...

    async def compact(self, revision: int) -> None:
        """Forget the history before `revision`. The state at `revision` stays readable, and watching after it stays possible.

        Does nothing if so much is forgotten already. Raises `ValueError` if `revision` is ahead of the store.
        """
        ...

    async def close(self) -> None:
        """Drop all connections; calls and watches under way end with `Unavailable`. May be called twice."""
        ...
