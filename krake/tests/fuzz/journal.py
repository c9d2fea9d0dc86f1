"""What clients did and saw, and the check that all of it fits the history of the store."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from krake.api.body import merge_patch
from krake.data.kinds import KINDS, Resource
from krake.data.metadata import Key
from krake.ports.store import Change, ChangeType, Entry

Wire = dict[str, Any]
MARK = "fuzz"
"""The label that names the write that an object comes from."""
CASCADE = "cascade_deletion"
PREFIXES = tuple(kind.definition.prefix for kind in KINDS.values())


@dataclass(frozen=True)
class Version:
    """An object between two writes; ``None`` for an object that is removed."""

    revision: int
    wire: Wire | None


@dataclass
class Write:
    """A request to change an object, and what became of it.

    :param verb: ``create``, ``put``, ``patch``, ``status``, ``bind``, ``delete`` or ``force``.
    :param named: the version that the request names.
    :param status: of the answer; ``None`` if there was none.
    """

    key: str
    verb: str
    body: Wire
    named: str | None = None
    status: int | None = None
    answer: Wire = field(default_factory=dict)

    @property
    def revision(self) -> int:
        """The version that the answer shows."""
        return int(self.answer["metadata"]["resource_version"])

    @property
    def mark(self) -> str | None:
        """The value of the label by which the write can be found in the history."""
        return str(mark) if (mark := self.body.get("metadata", {}).get("labels", {}).get(MARK)) else None


@dataclass
class Seen:
    """An object that was read, or ``None`` where there was none; *known* is the last version the reader knew before."""

    key: str
    wire: Wire | None
    known: int = 0


@dataclass
class Listed:
    """A list as of a revision."""

    kind: type[Resource]
    revision: int
    items: list[Wire]


@dataclass
class Watched:
    """All events of a watch that was cut and resumed at will."""

    kind: type[Resource]
    start: int
    events: list[tuple[str, Wire]] = field(default_factory=list)

    @property
    def last(self) -> int:
        """Where to resume."""
        return int(self.events[-1][1]["metadata"]["resource_version"]) if self.events else self.start


@dataclass
class Journal:
    """All that was done and seen by one or many clients."""

    writes: list[Write] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)


class History:
    """All versions of all objects, as the store tells them.

    :param initial: what was there when the journal begins.
    """

    def __init__(self, initial: Iterable[Entry], changes: Iterable[Change]) -> None:
        self.versions: dict[str, list[Version]] = defaultdict(list)
        for entry in initial:
            if entry.key.startswith(PREFIXES):
                self.versions[entry.key].append(Version(entry.revision, _wire(entry)))
        self._initial = {*self.versions}
        for change in changes:
            if change.key.startswith(PREFIXES):
                wire = _wire(change.entry) if change.type is ChangeType.PUT else None
                self.versions[change.key].append(Version(change.revision, wire))

    def latest(self, kind: type[Resource]) -> int:
        """The revision of the last change of an object of a kind; 0 if there is none."""
        versions = [each[-1] for key, each in self.versions.items() if key.startswith(kind.definition.prefix)]
        return max((version.revision for version in versions), default=0)

    def at(self, key: str, revision: int) -> Version | None:
        """The version that was written at exactly this revision."""
        return next((each for each in self.versions[key] if each.revision == revision), None)

    def before(self, key: str, revision: int) -> Version | None:
        """The version that was there before a revision; ``None`` if there was no object."""
        earlier = [each for each in self.versions[key] if each.revision < revision]
        return earlier[-1] if earlier and earlier[-1].wire is not None else None

    def check(self, journal: Journal) -> None:
        """Assert that the history obeys the rules, and that everything in the journal fits it."""
        for key, versions in self.versions.items():
            check_life(key, versions, known=key in self._initial)
        for write in journal.writes:
            self._check_write(write)
        for key in self.versions:
            self._check_removals(key, [write for write in journal.writes if write.key == key])
        for seen in journal.seen:
            self._check_seen(seen)
        for listed in journal.listed:
            assert listed.items == self._state(listed.kind, listed.revision), f"list of {listed.kind} at {listed.revision}"
        for watched in journal.watched:
            expected = list(self._events(watched.kind, watched.start, watched.last))
            assert watched.events == expected, f"watch on {watched.kind} from {watched.start}"

    def _check_write(self, write: Write) -> None:
        if write.mark is not None and not self._has_removed(write):
            times = sum(1 for before, now in _steps(self.versions[write.key]) if _mark(now) == write.mark != _mark(before))
            # An answer that never came says nothing; a refusal says that nothing happened.
            allowed = {None: (0, 1), True: (1,), False: (0,)}[None if write.status is None else write.status < 400]
            assert times in allowed, f"{write} is {times} times in the history"
        if write.status is None:
            return
        if write.status < 400:
            self._check_acknowledged(write)
        elif write.status == 409 and write.named is not None:
            overtaken = [each for each in self.versions[write.key] if each.revision > int(write.named)]
            assert overtaken, f"{write} was refused without a reason"

    def _has_removed(self, write: Write) -> bool:
        """Whether an object is gone with a write: then there is no version that shows what else it did."""
        if write.status is None or write.status >= 400:
            return False
        version = self.at(write.key, write.revision)
        return version is not None and version.wire is None

    def _check_acknowledged(self, write: Write) -> None:
        version = self.at(write.key, write.revision)
        assert version is not None, f"{write} is not in the history"
        if version.wire is None:
            finished = write.answer["metadata"]["deleted"] is not None and not write.answer["metadata"]["finalizers"]
            assert write.verb == "force" or finished, f"{write} removed what it must not"
            if write.verb == "delete":
                self._check_leaf(write)
            return
        assert write.answer == version.wire, f"{write} is not what was stored"
        before = self.before(write.key, write.revision)
        if write.named is not None and _mark(version.wire) == write.mark:
            assert before is not None, write
            assert str(before.revision) == write.named, f"{write} overwrote {before}"
        check_effect(write, before.wire if before else None, version.wire)
        if write.verb == "bind":
            target = self.before(store_key_of(write.body["cluster"]), write.revision)
            assert target is not None, f"{write} binds to what is not there"
            assert target.wire is not None
            assert target.wire["metadata"]["deleted"] is None, f"{write} binds to {target}"

    def _check_leaf(self, write: Write) -> None:
        """Nothing depended on what was removed: neither when its deletion began nor all the time since then."""
        before = self.before(write.key, write.revision)
        assert before is not None, write
        for key in self.versions:
            versions = [self.before(key, before.revision + 1)]
            versions += [each for each in self.versions[key] if before.revision < each.revision < write.revision]
            depends = all(each and each.wire and write.key in owners_of(each.wire) for each in versions)
            assert not depends, f"{write} removed what {key} depends on"

    def _check_removals(self, key: str, writes: list[Write]) -> None:
        """An object only goes by force, with its last finalizer, or if it has none, and somebody has asked for just that."""
        acknowledged = {write.revision for write in writes if write.status is not None and write.status < 400}
        for version in self.versions[key]:
            if version.wire is None and version.revision not in acknowledged:
                verbs = ("force", "delete", "put", "patch")
                unanswered = [write for write in writes if write.status is None and write.verb in verbs]
                assert unanswered, f"{key} vanished at {version.revision}"

    def _check_seen(self, seen: Seen) -> None:
        if seen.wire is None:
            gone = [each for each in self.versions[seen.key] if each.wire is None and each.revision > seen.known]
            assert gone or not seen.known, f"{seen} was there"
            return
        revision = int(seen.wire["metadata"]["resource_version"])
        assert revision >= seen.known, f"{seen} is older than what was known"
        version = self.at(seen.key, revision)
        assert version is not None, seen
        assert version.wire == seen.wire

    def _state(self, kind: type[Resource], revision: int) -> list[Wire]:
        prefix = kind.definition.prefix
        latest = {key: self.before(key, revision + 1) for key in sorted(self.versions) if key.startswith(prefix)}
        return [version.wire for version in latest.values() if version and version.wire]

    def _events(self, kind: type[Resource], start: int, end: int) -> Iterator[tuple[str, Wire]]:
        changes = [
            (now.revision, before, now)
            for key, versions in self.versions.items()
            if key.startswith(kind.definition.prefix)
            for before, now in zip([None, *versions], versions, strict=False)
            if start < now.revision <= end
        ]
        for revision, before, now in sorted(changes, key=lambda change: change[0]):
            if now.wire is None:
                assert before is not None
                assert before.wire is not None
                yield "DELETED", with_revision(before.wire, revision)
            else:
                yield "ADDED" if before is None or before.wire is None else "MODIFIED", now.wire


def store_key_of(reference: Wire) -> str:
    """The store key of the object that a reference names."""
    kind = KINDS[reference["api"], reference["kind"]].definition
    return kind.store_key(Key(reference["namespace"], reference["name"]))


def owners_of(wire: Wire) -> set[str]:
    """The store keys of the objects that an object depends on."""
    return {store_key_of(owner) for owner in wire["metadata"]["owners"]}


def _wire(entry: Entry) -> Wire:
    return with_revision(json.loads(entry.value), entry.revision)


def with_revision(wire: Wire, revision: int) -> Wire:
    """An object as of another version."""
    return {**wire, "metadata": {**wire["metadata"], "resource_version": str(revision)}}


def _mark(wire: Wire | None) -> str | None:
    return wire["metadata"]["labels"].get(MARK) if wire else None


def _steps(versions: list[Version]) -> Iterator[tuple[Wire | None, Wire | None]]:
    wires = [version.wire for version in versions]
    return zip([None, *wires], wires, strict=False)


def declared(wire: Wire) -> Wire:
    """What the user declares of an object."""
    return {name: value for name, value in wire.items() if name not in ("metadata", "status")}


def check_life(key: str, versions: list[Version], *, known: bool) -> None:
    """From its creation to its removal, an object keeps its identity, and counts its changes.

    :param known: whether the first version is not that of the creation.
    """
    for before, now in islice(_steps(versions), int(known), None):
        if now is None:
            assert before is not None, f"{key} was removed twice"
            continue
        new = now["metadata"]
        if before is None:
            assert (new["generation"], new["deleted"]) == (1, None), key
            continue
        old = before["metadata"]
        kept = ("uid", "name", "namespace", "created")
        assert [old[name] for name in kept] == [new[name] for name in kept], (key, old, new)
        changed = declared(before) != declared(now)
        assert new["generation"] == old["generation"] + changed, (key, before, now)
        assert old["deleted"] in (None, new["deleted"]), (key, old, new)
        if old["deleted"] is not None:
            assert {*new["finalizers"]} <= {*old["finalizers"], CASCADE}, (key, old, new)
    uids = [now["metadata"]["uid"] for before, now in _steps(versions) if now and before is None]
    assert len(uids) == len(set(uids)), f"{key} was created twice with one uid"


def check_effect(write: Write, before: Wire | None, now: Wire) -> None:
    """A write does what it says to the object that was there just before, whatever that was, and nothing else."""
    match write.verb:
        case "create":
            assert before is None, f"{write} replaced {before}"
            assert now["metadata"]["finalizers"] == write.body["metadata"]["finalizers"], (write, now)
        case "put" if _mark(now) == write.mark and before:
            assert declared(now) == declared(write.body), (write, now)
            assert now["metadata"]["labels"] == write.body["metadata"]["labels"], (write, now)
            assert now.get("status") == before.get("status"), (write, before, now)
        case "patch" if _mark(now) == write.mark and before:
            assert declared(now) == merge_patch(declared(before), declared(write.body)), (write, before, now)
            labels = merge_patch(before["metadata"]["labels"], write.body["metadata"]["labels"])
            assert now["metadata"]["labels"] == labels, (write, before, now)
            assert now.get("status") == before.get("status"), (write, before, now)
        case "status" if before:
            assert now["status"] == merge_patch(now["status"], write.body["status"]), (write, now)
            # Where nothing was to change, the version is that of somebody else's write.
            assert declared(now) == declared(before) or now["status"] == before["status"], (write, before, now)
        case "bind":
            target = write.body["cluster"]
            assert now["status"]["scheduled_to"] == target, (write, now)
            assert target in now["metadata"]["owners"], (write, now)
        case "delete":
            assert now["metadata"]["deleted"] is not None, (write, now)
