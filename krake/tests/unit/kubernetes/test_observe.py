"""What the status tells about the objects on a cluster."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import config_map, deployment

from krake.controller.kubernetes.application.observe import observe, observer_schema
from krake.data.manifests import observer_schema_problem


def control(length: int) -> dict[str, int]:
    return {"observer_schema_list_min_length": length, "observer_schema_list_max_length": length}


def service(status: Any = None, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": spec, "status": status}


def test_all_that_was_declared_is_observed_unless_the_user_says_otherwise() -> None:
    given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"only": None}}
    default, chosen = observer_schema([config_map("a", x="1"), config_map("b", y="2")], [given])
    assert default == {**config_map("a"), "data": {"x": None}}
    assert chosen == given


def test_lists_are_observed_with_their_length() -> None:
    (schema,) = observer_schema([deployment(args=["a", "b"])], [])
    containers = schema["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": None, "image": None, "args": [None, None, control(2)]}, control(1)]


def test_the_address_of_a_load_balancer_is_observed_too() -> None:
    (schema,) = observer_schema([service(type="LoadBalancer")], [])
    assert schema["status"] == {"loadBalancer": {"ingress": None}}


def test_observed_are_the_values_now() -> None:
    (schema,) = observer_schema([deployment(args=["a"])], [])
    live = deployment(image="other", args=["a", "b"])
    live["spec"] |= {"replicas": 7, "paused": False}
    seen = observe(schema, live)
    assert seen["spec"]["replicas"] == 7
    assert "paused" not in seen["spec"]
    (container, length) = seen["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "echo", "image": "other", "args": ["a", {"observer_schema_list_current_length": 2}]}
    assert length == {"observer_schema_list_current_length": 1}


def test_what_is_not_there_is_not_observed() -> None:
    (schema,) = observer_schema([deployment(args=["a"], env={})], [])
    live = deployment()
    (container, _) = observe(schema, live)["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "echo", "image": "x"}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["spec", "data", "rules"]), json), st.dictionaries(st.sampled_from(["spec", "data"]), json)
)
def test_the_default_schema_is_a_valid_one_and_fits_whatever_is_there(body: dict[str, Any], live: dict[str, Any]) -> None:
    head = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}}
    (schema,) = observer_schema([{**body, **head}], [])
    assert observer_schema_problem([schema], [{**body, **head}]) is None
    assert observe(schema, {**live, **head}).keys() <= {*live, *head}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"apiVersion": ["v1"]}, "apiVersion must be a text"), ({"metadata": {"name": ["n"]}}, "name must be a text")],
)
def test_schemas_name_their_objects_by_texts(wrong: dict[str, Any], said: str) -> None:
    item: dict[str, Any] = {"apiVersion": "v1", "kind": "A", "metadata": {"name": "n"}}
    # As texts these would be the same.
    manifest = {**item, **{key: str(each) for key, each in wrong.items()}, "metadata": {"name": "['n']"}}
    schema = {**item, "metadata": {"name": "['n']"}, **wrong}
    assert said in (observer_schema_problem([schema], [manifest]) or "")
