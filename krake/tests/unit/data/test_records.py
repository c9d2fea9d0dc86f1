"""What holds for every kind: its wire form is complete, and nothing is lost on the way there and back."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fixtures.records import json_values, records
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from krake.data.kinds import KINDS, Resource
from krake.data.kubernetes import Application
from krake.data.merging import ImmutableFieldError, merge
from krake.data.openstack import MagnumCluster
from krake.data.plain import read_plain
from krake.data.record import fields_of
from krake.data.schema import Purpose, flatten_errors, load, load_by_schema

ALL_KINDS = list(KINDS.values())
every_kind = pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.__name__)


def test_all_kinds_are_declared() -> None:
    assert {(kind.definition.api, kind.definition.plural, kind.definition.namespaced) for kind in ALL_KINDS} == {
        ("core", "roles", False),
        ("core", "rolebindings", False),
        ("core", "globalmetrics", False),
        ("core", "metrics", True),
        ("core", "globalmetricsproviders", False),
        ("core", "metricsproviders", True),
        ("core", "events", True),
        ("core", "placements", True),
        ("core", "plans", True),
        ("core", "quotas", True),
        ("kubernetes", "applications", True),
        ("kubernetes", "clusters", True),
        ("infrastructure", "globalinfrastructureproviders", False),
        ("infrastructure", "infrastructureproviders", True),
        ("infrastructure", "globalclouds", False),
        ("infrastructure", "clouds", True),
        ("openstack", "projects", True),
        ("openstack", "magnumclusters", True),
    }


@every_kind
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_wire_form_and_back(kind: type[Resource], data: st.DataObject) -> None:
    made = data.draw(records(kind))
    wire = json.loads(json.dumps(made.serialize()))
    assert list(wire) == ["api", "kind", *(info.name for info in fields_of(kind))]
    assert kind.deserialize(wire) == made
    assert kind.restore(wire) == made
    assert kind.restore(wire).serialize() == wire


@every_kind
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_stored_can_be_read(kind: type[Resource], data: st.DataObject) -> None:
    wire = data.draw(records(kind)).serialize()
    damaged = data.draw(st.sampled_from([_without, _replaced]))(data, json.loads(json.dumps(wire)))
    read = kind.restore(damaged)
    assert kind.restore(read.serialize()) == read


def _place(data: st.DataObject, wire: Any) -> tuple[Any, Any]:
    """Pick any member of any object of a wire form."""
    while True:
        key = data.draw(st.sampled_from(sorted(wire)))
        if not isinstance(wire[key], dict) or not wire[key] or data.draw(st.booleans()):
            return wire, key
        wire = wire[key]


def _without(data: st.DataObject, wire: dict[str, Any]) -> dict[str, Any]:
    inner, key = _place(data, wire)
    del inner[key]
    return wire


def _replaced(data: st.DataObject, wire: dict[str, Any]) -> dict[str, Any]:
    inner, key = _place(data, wire)
    inner[key] = data.draw(json_values)
    return wire


@every_kind
@settings(max_examples=30, deadline=None)
@given(data=st.data(), purpose=st.sampled_from(Purpose))
def test_plain_forms_are_read_as_by_the_schemas(kind: type[Resource], data: st.DataObject, purpose: Purpose) -> None:
    made = data.draw(records(kind))
    wire = json.loads(json.dumps(made.serialize()))
    if kind is not Application or not made.spec.tosca:
        assert read_plain(kind, wire, Purpose.FULL) == made
    form = data.draw(st.sampled_from([_without, _replaced, lambda _, whole: whole]))(data, wire)
    assert _outcome(load, kind, form, purpose) == _outcome(load_by_schema, kind, form, purpose)


@every_kind
@settings(max_examples=2, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_values_written_in_another_way_are_read_as_by_the_schemas(kind: type[Resource], data: st.DataObject) -> None:
    wire = json.loads(json.dumps(data.draw(records(kind)).serialize()))
    for inner, key in list(_places(wire)):
        value = inner[key]
        for other in (str(value), [value], {"a": value}, None, True, 1, 1.0, 1.5, float("inf"), 10**400, "1", "2020-01-01"):
            inner[key] = other
            assert _outcome(load, kind, wire, Purpose.FULL) == _outcome(load_by_schema, kind, wire, Purpose.FULL)
        inner[key] = value


def _places(form: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in form.items() if isinstance(form, dict) else enumerate(form):
        yield form, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _outcome(
    read: Callable[[type[Resource], Any, Purpose], Resource], kind: type[Resource], form: Any, purpose: Purpose
) -> str:
    """What comes of reading, as text: to Python, true is 1 and 1 is 1.0."""
    try:
        return repr(read(kind, form, purpose))
    except ValidationError as error:
        return repr(error.messages)


@every_kind
@settings(max_examples=40, deadline=None)
@given(body=json_values)
def test_arbitrary_json_is_refused_by_field(kind: type[Resource], body: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        load(kind, body, Purpose.CREATE)
    assert all(message for _, message in flatten_errors(refused.value.messages))


@every_kind
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_create_ignores_what_the_server_owns(kind: type[Resource], data: st.DataObject) -> None:
    wire = data.draw(records(kind)).serialize()
    wire["metadata"] |= {
        "uid": 3,
        "created": "never",
        "modified": None,
        "deleted": [],
        "resource_version": {},
        "generation": "x",
    }
    if "status" in wire:
        wire["status"] = {"state": "no such state"}
    admitted = load(kind, wire, Purpose.CREATE)
    assert admitted.metadata.uid == ""
    assert admitted.metadata.deleted is None


@every_kind
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_merge_takes_what_a_user_may_change_and_nothing_else(kind: type[Resource], data: st.DataObject) -> None:
    stored, other = data.draw(records(kind)), data.draw(records(kind))
    same_name = replace(other.metadata, name=stored.metadata.name, namespace=stored.metadata.namespace)
    body = replace(other, metadata=same_name)
    if kind is MagnumCluster:
        body = replace(body, spec=replace(body.spec, master_count=stored.spec.master_count))
    merged = merge(stored, body)
    assert merged.metadata.uid == stored.metadata.uid
    assert merged.metadata.labels == body.metadata.labels
    assert getattr(merged, "status", None) == getattr(stored, "status", None)
    assert getattr(merged, "spec", None) == getattr(body, "spec", None)
    assert merge(stored, stored) == stored


def test_merge_refuses_another_name() -> None:
    kind = KINDS["core", "Role"]
    stored = kind.restore({"metadata": {"name": "one"}})
    with pytest.raises(ImmutableFieldError, match="Trying to update an immutable field: name"):
        merge(stored, replace(stored, metadata=replace(stored.metadata, name="two")))


@every_kind
def test_keys_and_paths_are_inverse(kind: type[Resource]) -> None:
    definition = kind.definition
    made = kind.restore({"metadata": {"name": "n:1", "namespace": "ns" if definition.namespaced else None}})
    assert definition.key_of(definition.store_key(made.key)) == made.key
    assert made.ref.key == made.key
