"""How what is differs from what should be."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import UID, app, config_map, deployment

from krake.controller.kubernetes.application.delta import compare, differences, drift, settle
from krake.controller.kubernetes.application.desired import Declared, declare
from krake.ports.cluster import Identity, Object, ObjectType


def declared(*manifest: dict[str, Any]) -> list[Declared]:
    return declare(app(), [*manifest], lambda _: True, "default")


def as_live(obj: Object) -> dict[str, Any]:
    """What a cluster makes of an object: more fields everywhere."""
    live = copy.deepcopy(dict(obj))
    live["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": []}
    live["metadata"]["labels"]["added"] = "by-somebody"
    live["status"] = {"phase": "Fine"}
    return live


def live_of(items: list[Declared]) -> dict[Identity, Object]:
    return {each.identity: as_live(each.object) for each in items}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"limits": {"cpu": "1000m", "memory": "1Gi"}}, {"limits": {"cpu": "1", "memory": "1073741824"}}),
        ({"limits": {"cpu": 1}}, {"limits": {"cpu": "1"}}),
        ({"limits": {"cpu": 0.5}}, {"limits": {"cpu": "500m"}}),
    ],
)
def test_quantities_are_compared_by_value(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not differences(deployment(resources=one), deployment(resources=other))


def test_text_that_looks_like_a_quantity_is_text() -> None:
    assert differences(config_map(a="1000m"), config_map(a="1")) == {("data", "a")}
    one, other = deployment(env=[{"name": "A", "value": "1k"}]), deployment(env=[{"name": "A", "value": "1000"}])
    assert differences(one, other)


def test_what_others_add_to_lists_with_names_is_theirs() -> None:
    live = deployment(env=[{"name": "A", "value": "1"}])
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar", "image": "y"})
    assert not differences(deployment(env=[{"name": "A", "value": "1"}]), live)


def test_an_element_that_is_missing_or_changed_is_a_difference() -> None:
    live = deployment(image="y")
    assert differences(deployment(), live) == {("spec", "template", "spec", "containers", "echo", "image")}
    live["spec"]["template"]["spec"]["containers"] = []
    assert differences(deployment(), live) == {("spec", "template", "spec", "containers", "echo")}


def test_a_list_without_names_is_one_value() -> None:
    assert differences(deployment(args=["a"]), deployment(args=["a", "b"]))
    assert differences(deployment(args=["a", "b"]), deployment(args=["b", "a"]))


def test_ports_are_told_apart_by_number_and_protocol() -> None:
    one = deployment(ports=[{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}])
    other = deployment(ports=[{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}])
    assert not differences(one, other)


def test_what_kubernetes_leaves_out_because_it_means_the_same_is_no_difference() -> None:
    declared = deployment(args=[], env=None, tty=False, resources={"limits": {}})
    assert not differences(declared, deployment())


def test_secrets_declared_in_clear_are_compared_with_what_is_stored() -> None:
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}
    (item,) = declared({**head, "data": {"old": "eA=="}, "stringData": {"KEY": "value"}})
    live = as_live(item.object)
    assert live["data"] == {"old": "eA==", "KEY": "dmFsdWU="}
    assert not drift(item, live, None)
    live["data"]["KEY"] = "b3RoZXI="
    assert drift(item, live, None) == {("data", "KEY")}


def test_nothing_is_done_where_all_is_as_declared() -> None:
    items = declared(config_map(a="1"), deployment())
    changes = compare(items, live_of(items), [each.identity for each in items], {}, UID)
    assert (changes.apply, changes.remove) == ((), ())


def test_what_is_missing_changed_leaving_or_unmarked_is_applied() -> None:
    items = declared(*(config_map(name, a="1") for name in ("missing", "changed", "leaving", "unmarked", "fine")))
    live = live_of(items)
    by_name = {each.identity.name: each.identity for each in items}
    del live[by_name["missing"]]
    live[by_name["changed"]]["data"]["a"] = "2"  # type: ignore[index]
    live[by_name["leaving"]]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    live[by_name["unmarked"]]["metadata"]["labels"] = {}
    applied = {each.identity.name for each in compare(items, live, [], {}, UID).apply}
    assert applied == {"missing", "changed", "leaving", "unmarked"}


def test_what_is_not_declared_any_more_is_removed_last_created_first() -> None:
    old = declared(config_map("old"), deployment("old"), config_map("kept"))
    kept = declared(config_map("kept"))
    remove = compare(kept, live_of(kept), [each.identity for each in old], {}, UID).remove
    assert [identity.type for identity in remove] == [ObjectType("apps/v1", "Deployment"), ObjectType("v1", "ConfigMap")]


def test_what_the_cluster_does_not_take_over_is_not_tried_for_ever() -> None:
    (item,) = declared(config_map(a="1", b="2"))
    live = as_live(item.object)
    del live["data"]["b"]  # the cluster drops it, however often it is applied
    settlements = {item.identity: settle(item, live)}
    assert compare([item], {item.identity: live}, [], {}, UID).apply
    assert not compare([item], {item.identity: live}, [], settlements, UID).apply
    live["data"]["a"] = "wrong"
    assert compare([item], {item.identity: live}, [], settlements, UID).apply
    (other,) = declared(config_map(a="1", b="3"))
    assert compare([other], {item.identity: as_live(item.object)}, [], settlements, UID).apply


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "env", "ports", "limits"]), inner),
    max_leaves=15,
)


@given(values)
def test_every_custom_resource_is_like_itself(value: Any) -> None:
    obj = {"apiVersion": "example.org/v1", "kind": "X", "metadata": {"name": "x"}, "spec": value}
    assert not differences(obj, copy.deepcopy(obj))


@given(values, values)
def test_any_two_values_can_be_compared(one: Any, other: Any) -> None:
    base = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}}
    found = differences({**base, "spec": one}, {**base, "spec": other})
    assert all(path[0] == "spec" for path in found)


def test_long_sets_are_compared_at_once() -> None:
    names = [f"example.org/{number}" for number in range(20_000)]
    here, there = ({"apiVersion": "v1", "kind": "A", "metadata": {"finalizers": each}} for each in (names, names[::-1]))
    before = time.process_time()
    assert differences(here, there) == set()
    assert differences(here, {**there, "metadata": {"finalizers": names[1:]}}) == {("metadata", "finalizers", names[0])}
    assert time.process_time() - before < 1
