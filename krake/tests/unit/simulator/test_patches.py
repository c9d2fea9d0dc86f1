"""Patches change exactly what they say and never the object they are laid over."""

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.simulator.kubernetes.patch import json_patch, merge_patch, strategic
from krake.simulator.kubernetes.patch.errors import MalformedPatch, PatchError

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"])
NAMES = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "name",
        "containers",
        "ports",
        "finalizers",
        "metadata",
        "$patch",
        "$retainKeys",
        "$setElementOrder/a",
        "$deleteFromPrimitiveList/a",
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
MAPS = st.dictionaries(NAMES, JSON, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return value


class TestMergePatch:
    @pytest.mark.parametrize(
        ("target", "patch", "result"),
        [
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            (["a"], {"b": "c"}, {"b": "c"}),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ],
    )
    def test_examples_of_the_standard(self, target: Any, patch: Any, result: Any) -> None:
        assert merge_patch.merge(target, patch) == result

    @given(JSON, MAPS)
    def test_it_is_idempotent_and_leaves_its_arguments_alone(self, target: Any, patch: Any) -> None:
        before = copy.deepcopy((target, patch))
        once = merge_patch.merge(target, patch)
        assert merge_patch.merge(once, patch) == once
        assert (target, patch) == before

    @given(MAPS)
    def test_laid_over_nothing_it_is_itself_without_nulls(self, patch: Any) -> None:
        assert merge_patch.merge({}, patch) == without_nulls(patch)


class TestJsonPatch:
    @pytest.mark.parametrize(
        ("document", "operation", "result"),
        [
            ({"a": 1}, {"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2}),
            ([1, 3], {"op": "add", "path": "/1", "value": 2}, [1, 2, 3]),
            ([1], {"op": "add", "path": "/-", "value": 2}, [1, 2]),
            ({"a": 1}, {"op": "remove", "path": "/a"}, {}),
            ([1, 2], {"op": "remove", "path": "/0"}, [2]),
            ({"a": [1]}, {"op": "replace", "path": "/a/0", "value": 2}, {"a": [2]}),
            ({"a": 1}, {"op": "replace", "path": "", "value": 2}, 2),
            ({"a": {"x": 1}, "b": {}}, {"op": "move", "from": "/a/x", "path": "/b/y"}, {"a": {}, "b": {"y": 1}}),
            ({"a": 1}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": 1, "b": 1}),
            ({"a/b": {"~": 1}}, {"op": "replace", "path": "/a~1b/~0", "value": 2}, {"a/b": {"~": 2}}),
            ({"a": 1}, {"op": "test", "path": "/a", "value": 1}, {"a": 1}),
        ],
    )
    def test_operations(self, document: Any, operation: Any, result: Any) -> None:
        assert json_patch.apply_operations(document, [operation]) == result

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "remove", "path": "/missing"},
            {"op": "replace", "path": "/missing", "value": 1},
            {"op": "replace", "path": "/list/2", "value": 1},
            {"op": "replace", "path": "/list/-", "value": 1},
            {"op": "add", "path": "/list/9", "value": 1},
            {"op": "add", "path": "/list/x", "value": 1},
            {"op": "add", "path": "/text/a", "value": 1},
            {"op": "test", "path": "/text", "value": "other"},
            {"op": "test", "path": "/list/0", "value": True},
            {"op": "move", "from": "/missing", "path": "/a"},
            {"op": "remove", "path": ""},
        ],
    )
    def test_what_can_not_be_done(self, operation: Any) -> None:
        document = {"list": [1, 2], "text": "x"}
        with pytest.raises(PatchError):
            json_patch.apply_operations(document, [{"op": "add", "path": "/new", "value": 1}, operation])
        assert document == {"list": [1, 2], "text": "x"}

    @given(JSON, st.lists(JSON, max_size=3) | JSON)
    def test_nonsense_is_malformed(self, document: Any, operations: Any) -> None:
        if operations == []:
            assert json_patch.apply_operations(document, operations) == document
            return
        with pytest.raises(MalformedPatch):
            json_patch.apply_operations(document, operations)


def pod(*containers: Any, **rest: Any) -> Any:
    return {"spec": {"containers": list(containers), **rest}}


class TestStrategicMerge:
    def test_lists_merge_by_their_key(self) -> None:
        old = pod({"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"})
        patch = pod({"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}, {"name": "c", "image": "3"})
        merged = strategic.merge(old, patch)["spec"]["containers"]
        env = [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]
        expected = [{"name": "a", "image": "2", "env": env}, {"name": "b", "image": "1"}, {"name": "c", "image": "3"}]
        assert merged == expected

    def test_ports_of_services_and_containers_have_keys_of_their_own(self) -> None:
        service = {"spec": {"ports": [{"port": 80, "nodePort": 30000}, {"port": 81}]}}
        merged = strategic.merge(service, {"spec": {"ports": [{"port": 80, "name": "web"}]}})
        assert merged["spec"]["ports"] == [{"port": 80, "nodePort": 30000, "name": "web"}, {"port": 81}]
        old = pod({"name": "a", "ports": [{"containerPort": 80, "name": "x"}]})
        merged = strategic.merge(old, pod({"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}]}))
        assert merged["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "name": "x", "hostPort": 8080}]

    def test_other_lists_are_replaced(self) -> None:
        merged = strategic.merge(pod({"name": "a", "args": ["1", "2"]}), pod({"name": "a", "args": ["3"]}))
        assert merged["spec"]["containers"][0]["args"] == ["3"]

    def test_finalizers_are_a_set(self) -> None:
        merged = strategic.merge({"metadata": {"finalizers": ["a"]}}, {"metadata": {"finalizers": ["b", "a"]}})
        assert merged["metadata"]["finalizers"] == ["a", "b"]

    def test_directives(self) -> None:
        old = pod({"name": "a"}, {"name": "b"}, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})
        gone = strategic.merge(old, pod({"name": "a", "$patch": "delete"}))
        assert gone["spec"]["containers"] == [{"name": "b"}]
        replaced = strategic.merge(old, pod({"name": "c"}, {"$patch": "replace"}))
        assert replaced["spec"]["containers"] == [{"name": "c"}]
        kept = strategic.merge(old, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
        assert kept["spec"]["strategy"] == {"type": "Recreate"}
        emptied = strategic.merge(old, {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}})
        assert emptied["spec"]["strategy"] == {"type": "Recreate"}
        dropped = strategic.merge(old, {"spec": {"strategy": {"$patch": "delete"}}})
        assert "strategy" not in dropped["spec"]
        less = strategic.merge({"metadata": {"finalizers": ["a", "b"]}},
                               {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})  # fmt: skip
        assert less["metadata"]["finalizers"] == ["b"]

    def test_order(self) -> None:
        order = [{"name": "b"}, {"name": "a"}]
        patch = {"spec": {"$setElementOrder/containers": order, "containers": [{"name": "b", "image": "2"}]}}
        merged = strategic.merge(pod({"name": "a"}), patch)
        assert [each["name"] for each in merged["spec"]["containers"]] == ["b", "a"]

    @pytest.mark.parametrize("patch", [pod({"image": "1"}), pod("text"), {"spec": {"$patch": "what"}}])
    def test_malformed(self, patch: Any) -> None:
        with pytest.raises(MalformedPatch):
            strategic.merge(pod({"name": "a"}), patch)

    @given(MAPS, MAPS)
    def test_any_patch_is_carried_out_or_refused(self, target: Any, patch: Any) -> None:
        before = copy.deepcopy((target, patch))
        with suppress(PatchError):
            strategic.merge(target, patch)
        assert (target, patch) == before
