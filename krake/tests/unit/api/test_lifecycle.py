"""What a write makes of an object, for objects of every kind."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from fixtures.records import records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from krake.api import lifecycle
from krake.api.body import merge_patch
from krake.api.items import Item, encode, with_version
from krake.api.problem import Problem
from krake.data import KINDS, Resource
from krake.data.openstack import MagnumCluster
from krake.ports.store import Entry

R = TypeVar("R", bound=Resource)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
relaxed = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
LASTING_KIND = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if not kind.definition.transient], ids=lambda kind: kind.__name__
)


def stored(record: R) -> R:
    metadata = record.metadata
    namespace = (metadata.namespace or "ns") if record.definition.namespaced else None
    return replace(record, metadata=replace(metadata, namespace=namespace, deleted=None, resource_version="7"))


@EVERY_KIND
@relaxed
@given(data=st.data(), revision=st.integers(1, 2**60))
def test_the_version_is_put_in_place_without_decoding(kind: type[Resource], data: st.DataObject, revision: int) -> None:
    record = data.draw(records(kind))
    record = replace(
        record, metadata=replace(record.metadata, resource_version=None, generation=abs(record.metadata.generation))
    )
    key = kind.definition.store_key(record.key)
    wire = Item.of(kind, Entry(key, encode(record.serialize()), revision, revision)).wire
    expected = record.serialize()
    expected["metadata"]["resource_version"] = str(revision)
    assert json.loads(wire) == json.loads(json.dumps(expected))
    expected["metadata"]["resource_version"] = str(revision + 1)
    assert json.loads(with_version(wire, revision + 1) or b"") == json.loads(json.dumps(expected))


@EVERY_KIND
@relaxed
@given(data=st.data())
def test_sending_back_what_was_read_changes_nothing(kind: type[Resource], data: st.DataObject) -> None:
    record = stored(data.draw(records(kind)))
    body = lifecycle.read_body(record, record.serialize, record.serialize())
    assert lifecycle.update(record, body, NOW) == lifecycle.Outcome(record)


@EVERY_KIND
@relaxed
@given(data=st.data())
def test_what_the_server_owns_stays(kind: type[Resource], data: st.DataObject) -> None:
    record, other = stored(data.draw(records(kind))), data.draw(records(kind))
    body = replace(other, metadata=replace(other.metadata, name=record.metadata.name, namespace=record.metadata.namespace))
    if isinstance(record, MagnumCluster) and record.spec.master_count != body.spec.master_count:
        with pytest.raises(Problem, match="Trying to update an immutable field: master_count"):
            lifecycle.update(record, body, NOW)
        return
    changed = lifecycle.update(record, body, NOW).record
    for name in ("name", "namespace", "uid", "created", "deleted", "resource_version"):
        assert getattr(changed.metadata, name) == getattr(record.metadata, name)
    assert changed.metadata.generation - record.metadata.generation in (0, 1)
    assert changed.metadata.modified in (record.metadata.modified, NOW)
    assert getattr(changed, "status", None) == getattr(record, "status", None)
    again = lifecycle.update(changed, body, NOW)
    assert again.record is changed


@LASTING_KIND
@relaxed
@given(data=st.data())
def test_deletion_begins_once(kind: type[Resource], data: st.DataObject) -> None:
    record = stored(data.draw(records(kind)))
    deleted = lifecycle.mark_deleted(record, NOW)
    assert deleted.metadata.deleted == NOW
    assert deleted.metadata.finalizers.count("cascade_deletion") == 1
    assert deleted.metadata.finalizers[: len(record.metadata.finalizers)] == record.metadata.finalizers
    assert lifecycle.mark_deleted(deleted, NOW.replace(year=2031)) is deleted
    body = replace(deleted, metadata=replace(deleted.metadata, finalizers=[]))
    assert lifecycle.update(deleted, body, NOW).removed


@EVERY_KIND
@pytest.mark.parametrize("needed", [True, False])
@relaxed
@given(data=st.data())
def test_what_nothing_depends_on_goes_at_once_unless_it_is_held(
    kind: type[Resource], needed: bool, data: st.DataObject
) -> None:
    record = stored(data.draw(records(kind)))
    if data.draw(st.booleans()):
        record = replace(record, metadata=replace(record.metadata, finalizers=[]))
    held = bool(record.metadata.finalizers)
    outcome = lifecycle.delete(record, NOW, needed=needed)
    transient = kind.definition.transient
    assert outcome.removed is (not held and (transient or not needed))
    assert outcome.record.metadata.deleted == NOW
    added = [] if outcome.removed or transient else ["cascade_deletion"]
    assert outcome.record.metadata.finalizers == [*record.metadata.finalizers, *added]
    # Whoever asks again finishes what the garbage collector has not.
    again = lifecycle.delete(outcome.record, NOW.replace(year=2031), needed=False)
    assert again.removed is not held
    assert again.record.metadata.deleted == NOW


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # The examples of RFC 7396.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    before = json.dumps(target)
    assert merge_patch(target, patch) == result
    assert json.dumps(target) == before
