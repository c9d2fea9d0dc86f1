from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.runtime import difference
from krake.data.kubernetes import ApplicationState, ApplicationStatus, ContainerHealth


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


values = st.recursive(
    st.booleans() | st.integers(0, 3) | st.floats(0, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner | st.none(), max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(old=objects, new=objects)
def test_the_difference_makes_the_new_one_of_the_old_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merge_patch(old, difference(old, new)) == new


@given(old=objects)
def test_no_difference_is_empty(old: dict[str, Any]) -> None:
    assert difference(old, old) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {}, {"a": None}),
    ],
)
def test_only_what_changed_is_named(old: dict[str, Any], new: dict[str, Any], expected: dict[str, Any]) -> None:
    assert difference(old, new) == expected


def test_the_difference_of_two_statuses() -> None:
    old = ApplicationStatus(services={"a": "x:1", "b": "y:1"})
    new = ApplicationStatus(
        state=ApplicationState.RUNNING, services={"b": "y:1"}, container_health=ContainerHealth(running_pods=1)
    )
    assert difference(old.serialize(), new.serialize()) == {
        "state": "RUNNING",
        "services": {"a": None},
        "container_health": {"running_pods": 1},
    }
