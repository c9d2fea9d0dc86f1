"""Who depends on whom, as the cache knows it without decoding what it keeps."""

from dataclasses import replace

import pytest
from fixtures.records import records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from krake.api.dependents import Dependents
from krake.api.items import Item, encode
from krake.data import KINDS, Resource, ResourceRef
from krake.data.core import Role
from krake.data.kubernetes import Application
from krake.ports.store import Entry

relaxed = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
A, B = (ResourceRef(api="kubernetes", kind="Cluster", namespace="ns", name=name) for name in "ab")


def item_of(record: Resource) -> Item:
    return Item.of(type(record), Entry(record.definition.store_key(record.key), encode(record.serialize()), 5, 3))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
@relaxed
@given(data=st.data())
def test_the_owners_in_a_text_are_those_of_the_object(kind: type[Resource], data: st.DataObject) -> None:
    record = data.draw(records(kind))
    record = replace(record, metadata=replace(record.metadata, generation=1))
    assert list(item_of(record).owners) == record.metadata.owners
    free = replace(record, metadata=replace(record.metadata, owners=[]))
    assert list(item_of(free).owners) == []


def app(*owners: ResourceRef, manifest: object = None) -> Item:
    wire = {"metadata": {"name": "app", "namespace": "ns"}, "spec": {"manifest": [manifest]}}
    record = Application.restore(wire)
    return item_of(replace(record, metadata=replace(record.metadata, owners=list(owners))))


def test_nothing_that_users_write_passes_for_owners() -> None:
    false = [A.serialize()]
    assert app(manifest={"owners": false, "text": f'"owners": {encode(false).decode()}'}).owners == ()
    role = Role.restore({"metadata": {"name": "r", "labels": {"owners": "["}, "finalizers": ["owners", '"owners": [1']}})
    assert item_of(role).owners == ()


@pytest.mark.parametrize("damaged", ["[{]", "[1, 2]", '["', "null", "[" * 100_000 + "]", '[{"api": 1}]', '[{"name": {}}]'])
def test_damaged_owners_harm_nobody(damaged: str) -> None:
    text = encode(Role.restore({"metadata": {"name": "r"}}).serialize()).replace(
        b'"owners": []', b'"owners": ' + damaged.encode()
    )
    item = Item(Role, "/core/roles/r", 5, 3, text)
    dependents = Dependents()
    dependents.replace(None, item)
    assert A not in dependents
    dependents.replace(item, None)


def test_changes_are_followed() -> None:
    dependents = Dependents()
    first, second = app(A, A), app(B)
    dependents.replace(None, first)
    assert (A in dependents, B in dependents) == (True, False)
    dependents.replace(first, second)
    assert (A in dependents, B in dependents) == (False, True)
    dependents.replace(second, None)
    assert (A in dependents, B in dependents) == (False, False)


def test_owners_in_other_namespaces_do_not_count() -> None:
    dependents = Dependents()
    foreign = A.serialize() | {"namespace": "other"}
    dependents.replace(None, app(ResourceRef.restore(foreign)))
    assert ResourceRef.restore(foreign) not in dependents


def test_an_owner_is_needed_until_nothing_depends_on_it() -> None:
    dependents = Dependents()
    one = app(A)
    other = Item(Application, "/kubernetes/applications/ns/other", 6, 6, one.wire)
    for item in (one, other):
        dependents.replace(None, item)
    dependents.replace(one, None)
    assert A in dependents
    dependents.replace(other, None)
    assert A not in dependents
