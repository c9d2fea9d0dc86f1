"""The steps between schemas, and what is found wrong with stored objects."""

import json
from typing import Any

import pytest
from fixtures import stored
from hypothesis import given
from hypothesis import strategies as st

from krake.api.schema.findings import Flaw, examine
from krake.api.schema.marks import RESTORE, SCHEMA, concern_of, encode_schema, read_schema
from krake.api.schema.migrations import CURRENT, migrate
from krake.data.kinds import KINDS
from krake.data.kubernetes import Application
from krake.data.metadata import Key
from krake.data.restoring import losses
from krake.ports.store import Entry

OBJECTS = [(version, key, wire) for version in stored.VERSIONS for key, wire in stored.load(version).items()]
NAMES = [f"{version}-{wire['kind']}" for version, _, wire in OBJECTS]
ROLE = KINDS["core", "Role"]


def migrated(key: str, wire: dict[str, Any], version: int = 0) -> dict[str, Any]:
    kind = stored.kind_of(wire)
    return kind.restore(migrate(kind, kind.definition.key_of(key), wire, version)).serialize()


NEW = {"Placement", "Quota"}
"""Kinds that the original does not know."""


def test_the_fixtures_cover_all_lasting_kinds() -> None:
    lasting = {kind.kind for kind in KINDS.values() if not kind.definition.transient} - NEW
    for version in stored.VERSIONS:
        assert {wire["kind"] for wire in stored.load(version).values()} == lasting


@pytest.mark.parametrize(("version", "key", "wire"), OBJECTS, ids=NAMES)
def test_nothing_of_an_original_object_is_lost(version: str, key: str, wire: dict[str, Any]) -> None:
    kind = stored.kind_of(wire)
    assert list(losses(kind, wire)) == []
    new = migrated(key, wire)
    assert new["metadata"]["generation"] == 1
    assert new["metadata"]["namespace"] == kind.definition.key_of(key).namespace
    assert new["metadata"]["created"].endswith("+00:00")
    for part in wire.keys() - {"metadata", "status"}:
        assert_contains(new[part], wire[part], part)


def assert_contains(new: Any, old: Any, path: str) -> None:
    if isinstance(old, dict):
        for name in old:
            assert_contains(new[name], old[name], f"{path}.{name}")
    elif path == "spec.storage_migration":
        assert (old, new) == ("none", "copy")  # It had no effect: data went along in any case.
    elif not path.startswith("spec.constraints"):  # Constraints are written in their canonical form.
        assert new == old, path


@pytest.mark.parametrize(("version", "expected"), [(0, "copy"), (1, "copy"), (2, "none")])
def test_volumes_begin_empty_only_where_somebody_said_so(version: int, expected: str) -> None:
    wire = {"metadata": {"name": "app", "generation": 1}, "spec": {"storage_migration": "none"}}
    assert migrate(Application, Key("ns", "app"), wire, version)["spec"] == {"storage_migration": expected}


@pytest.mark.parametrize(("version", "key", "wire"), OBJECTS, ids=NAMES)
def test_migrating_once_more_changes_nothing(version: str, key: str, wire: dict[str, Any]) -> None:
    once = migrated(key, wire)
    assert migrated(key, once) == once
    assert [migrated(key, once, version) for version in range(CURRENT + 1)] == [once] * (CURRENT + 1)


@pytest.mark.parametrize(
    ("running_on", "scheduled_to", "expected"),
    [(None, None, []), ("a", None, ["a"]), ("a", "a", ["a"]), ("a", "b", ["a", "b"]), (None, "b", ["b"])],
)
def test_an_application_tells_where_objects_of_it_may_be(
    running_on: str | None, scheduled_to: str | None, expected: list[str]
) -> None:
    def ref(name: str | None) -> dict[str, Any] | None:
        return name and {"api": "kubernetes", "kind": "Cluster", "namespace": "ns", "name": name}

    wire = {"metadata": {"name": "app"}, "status": {"running_on": ref(running_on), "scheduled_to": ref(scheduled_to)}}
    new = migrate(Application, Key("ns", "app"), wire, 0)
    assert [place["name"] for place in new["status"]["placed_on"]] == expected


def test_the_steps_leave_what_is_stored_now_alone() -> None:
    wire = {"metadata": {"name": "app", "namespace": "ns", "generation": 7}, "status": {"placed_on": [], "running_on": {}}}
    assert migrate(Application, Key("ns", "app"), wire, 0) == wire


def entry(value: Any, key: str = "/core/roles/r") -> Entry:
    return Entry(key, value if isinstance(value, bytes) else json.dumps(value).encode(), 1, 1)


GOOD = {"api": "core", "kind": "Role", "metadata": {"name": "r"}, "rules": []}


@pytest.mark.parametrize(
    ("found", "flaw", "detail"),
    [
        (entry(b"{"), Flaw.UNREADABLE, "not JSON"),
        (entry(b"\xff"), Flaw.UNREADABLE, "not JSON"),
        (entry(b"[" * 100_000), Flaw.UNREADABLE, "not JSON"),
        (entry([]), Flaw.UNREADABLE, "not an object with metadata"),
        (entry({"metadata": []}), Flaw.UNREADABLE, "not an object with metadata"),
        (entry(GOOD, "/core/roles/a b"), Flaw.UNREACHABLE, "its name"),
        (entry(GOOD, "/core/roles/a/b"), Flaw.UNREACHABLE, "its name"),
        (entry(GOOD, "/core/roles/"), Flaw.UNREACHABLE, "its name"),
        (entry(GOOD, "/core/roles/other"), Flaw.STRANGE, "another object"),
        (entry({**GOOD, "rules": "all"}), Flaw.STRANGE, "rules"),
        (entry({**GOOD, "extra": 1}), Flaw.STRANGE, "extra"),
        (entry({**GOOD, "rules": [{"verbs": ["fly"]}]}), Flaw.STRANGE, "rules[0].verbs[0]"),
        (entry({**GOOD, "metadata": {"name": "r", "created": "soon"}}), Flaw.STRANGE, "metadata.created"),
    ],
)
def test_flaws(found: Entry, flaw: Flaw, detail: str) -> None:
    finding = examine(ROLE, found)
    assert finding is not None
    assert finding.flaw is flaw
    assert detail in finding.detail


def test_a_good_object_has_no_flaw() -> None:
    assert examine(ROLE, entry(GOOD)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(
    st.sampled_from(list(KINDS.values())), st.dictionaries(st.sampled_from(["metadata", "spec", "status", "rules", "x"]), JSON)
)
def test_whatever_is_stored_is_examined_and_migrated(kind: Any, wire: dict[str, Any]) -> None:
    list(losses(kind, wire))
    wire["metadata"] = wire["metadata"] if isinstance(wire.get("metadata"), dict) else {}
    kind.restore(migrate(kind, Key("ns" if kind.definition.namespaced else None, "n"), wire, 0)).serialize()


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ({}, None),
        ({SCHEMA: encode_schema(CURRENT)}, None),
        ({SCHEMA: encode_schema(CURRENT + 1)}, "belongs to a newer version"),
        ({SCHEMA: encode_schema(CURRENT - 1)}, "start the API anew"),
        ({SCHEMA: b"{}"}, "does not tell"),
        ({SCHEMA: b'{"version": true}'}, "does not tell"),
        ({SCHEMA: encode_schema(CURRENT), RESTORE: b"{}"}, "krake restore"),
    ],
)
def test_what_the_marks_say(marks: dict[str, bytes], said: str | None) -> None:
    concern = concern_of(marks)
    assert said in concern if said and concern else concern is said


def test_a_store_without_a_mark_has_the_first_schema() -> None:
    assert read_schema(None) == 0
