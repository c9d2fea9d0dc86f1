"""The judge of the fuzz tests: it lets a consistent story pass, and no other one."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.samples import sample
from fuzz.journal import MARK, History, Journal, Listed, Seen, Watched, Write, with_revision

from krake.data.core import GlobalMetric
from krake.ports.store import Change, ChangeType, Entry

KEY = "/core/globalmetrics/one"
Wire = dict[str, Any]


def wire(generation: int, mark: str, *, deleted: str | None = None, finalizers: tuple[str, ...] = ()) -> Wire:
    body = sample(GlobalMetric, "one", labels={MARK: mark}, finalizers=[*finalizers])
    body["metadata"] |= {"namespace": None, "uid": "u", "created": "c", "deleted": deleted, "generation": generation}
    body["spec"]["max"] = 10 + generation
    return body


STORED = [
    wire(1, "a", finalizers=("mine",)),
    wire(2, "b", finalizers=("mine",)),
    wire(2, "b", deleted="d", finalizers=("mine", "cascade_deletion")),
]
SHOWN = [with_revision(each, revision) for revision, each in enumerate(STORED, start=1)]


def changes(stored: list[Wire]) -> list[Change]:
    puts = [
        Change(ChangeType.PUT, Entry(KEY, json.dumps(each).encode(), revision, 1), None)
        for revision, each in enumerate(stored, start=1)
    ]
    return [*puts, Change(ChangeType.DELETE, Entry(KEY, b"", len(stored) + 1, 0), None)]


def journal() -> Journal:
    named = {**SHOWN[0], "metadata": {**SHOWN[0]["metadata"], "labels": {MARK: "b"}}, "spec": SHOWN[1]["spec"]}
    return copy.deepcopy(
        Journal(
            writes=[
                Write(KEY, "create", STORED[0], None, 201, SHOWN[0]),
                Write(KEY, "put", named, "1", 200, SHOWN[1]),
                Write(KEY, "put", {"metadata": {"labels": {MARK: "late"}}}, "1", 409),
                Write(KEY, "delete", {}, None, 200, SHOWN[2]),
                Write(KEY, "force", {}, None, 200, with_revision(STORED[2], 4)),
            ],
            seen=[Seen(KEY, SHOWN[1], 1), Seen(KEY, None, 3)],
            listed=[Listed(GlobalMetric, 2, [SHOWN[1]]), Listed(GlobalMetric, 4, [])],
            watched=[
                Watched(
                    GlobalMetric,
                    0,
                    [
                        ("ADDED", SHOWN[0]),
                        ("MODIFIED", SHOWN[1]),
                        ("MODIFIED", SHOWN[2]),
                        ("DELETED", with_revision(STORED[2], 4)),
                    ],
                )
            ],
        )
    )


def test_a_consistent_story_passes() -> None:
    History([], changes(STORED)).check(journal())


LIES: dict[str, Callable[[Journal], object]] = {
    "a lost write": lambda told: told.writes[1].answer["metadata"].update(resource_version="9"),
    "another answer": lambda told: told.writes[1].answer["spec"].update(max=0),
    "an overwritten version": lambda told: setattr(told.writes[1], "named", "0"),
    "a write without effect": lambda told: told.writes[1].body["metadata"]["labels"].update({MARK: "z"}),
    "a refused write": lambda told: setattr(told.writes[1], "status", 404),
    "a conflict with nobody": lambda told: setattr(told.writes[2], "named", "4"),
    "an unfounded removal": lambda told: told.writes.pop(),
    "a removal of what has finalizers": lambda told: setattr(told.writes[4], "verb", "patch"),
    "an old version": lambda told: setattr(told.seen[0], "known", 3),
    "an object that is not there": lambda told: setattr(told.seen[1], "known", 4),
    "another object": lambda told: told.seen[0].wire["spec"].update(max=0) if told.seen[0].wire else None,
    "an incomplete list": lambda told: told.listed[0].items.clear(),
    "a late list": lambda told: setattr(told.listed[0], "revision", 1),
    "a missing event": lambda told: told.watched[0].events.pop(1),
    "an event told twice": lambda told: told.watched[0].events.insert(1, told.watched[0].events[1]),
    "a wrong event": lambda told: told.watched[0].events.__setitem__(0, ("MODIFIED", SHOWN[0])),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(lie: str) -> None:
    told = journal()
    LIES[lie](told)
    with pytest.raises(AssertionError):
        History([], changes(STORED)).check(told)


@pytest.mark.parametrize(
    ("depending", "allowed"), [({}, True), ({1: True}, False), ({1: True, 4: False}, True), ({4: True}, True)]
)
def test_nothing_is_removed_that_something_depends_on(depending: dict[int, bool], allowed: bool) -> None:
    """One object is marked at revision 3 and removed at 5; another one depends on it or not, from some revisions on."""
    key = "/kubernetes/clusters/ns/two"
    owner = {"api": "kubernetes", "kind": "Cluster", "namespace": "ns", "name": "two"}

    def put(key: str, revision: int, owners: list[Wire]) -> Change:
        value = json.dumps({"metadata": {"labels": {}, "owners": owners}}).encode()
        return Change(ChangeType.PUT, Entry(key, value, revision, 1), None)

    puts = [put(KEY, revision, [owner] if depends else []) for revision, depends in depending.items()]
    removal = Change(ChangeType.DELETE, Entry(key, b"", 5, 0), None)
    history = History([], [*puts, put(key, 3, []), removal])
    metadata = {"deleted": "d", "finalizers": [], "resource_version": "5"}
    write = Write(key, "delete", {}, None, 200, {"metadata": metadata})
    if allowed:
        history._check_write(write)
    else:
        with pytest.raises(AssertionError, match="depends on"):
            history._check_write(write)


CRIMES: dict[str, tuple[int, dict[str, Any]]] = {
    "another uid": (1, {"uid": "v"}),
    "no generation counted": (1, {"generation": 1}),
    "a generation too many": (2, {"generation": 3}),
    "first generation": (0, {"generation": 0}),
    "born dead": (0, {"deleted": "d"}),
    "another birthday": (1, {"created": "e"}),
}


@pytest.mark.parametrize("crime", CRIMES)
def test_a_broken_rule_is_found(crime: str) -> None:
    index, changed = CRIMES[crime]
    stored = copy.deepcopy(STORED)
    stored[index]["metadata"] |= changed
    with pytest.raises(AssertionError):
        History([], changes(stored)).check(Journal(writes=journal().writes[-1:]))


def test_no_finalizer_is_added_to_what_is_being_deleted() -> None:
    stored = [*STORED, wire(2, "b", deleted="d", finalizers=("mine", "new"))]
    removal = Write(KEY, "force", {}, None, 200, with_revision(stored[3], 5))
    with pytest.raises(AssertionError):
        History([], changes(stored)).check(Journal(writes=[removal]))
