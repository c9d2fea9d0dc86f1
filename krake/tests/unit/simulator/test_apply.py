"""Server-side apply: whoever applies owns what is applied, and nobody loses anything without being asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.simulator.kubernetes.patch.apply import (
    Conflicts,
    Manager,
    apply,
    owners_of,
    record_update,
    with_owners,
)
from krake.simulator.kubernetes.patch.lists import Topology
from krake.simulator.kubernetes.patch.ownership import compare, decode, describe, encode, flatten

TOPOLOGY = Topology()
NOW = "2030-01-01T00:00:00Z"

VALUES = st.sampled_from(["1", "2"])
LABELS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, max_size=3)
ENV = st.dictionaries(st.sampled_from(["X", "Y"]), VALUES).map(
    lambda chosen: [{"name": name, "value": value} for name, value in chosen.items()]
)
CONTAINERS = st.dictionaries(st.sampled_from(["p", "q"]), st.tuples(VALUES, ENV)).map(
    lambda chosen: [{"name": name, "image": image, "env": env} for name, (image, env) in chosen.items()]
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": draw(CONTAINERS)}
    if draw(st.booleans()):
        spec["replicas"] = draw(st.integers(0, 2))
    return {"metadata": {"name": "x", "labels": draw(LABELS)}, "spec": spec}


def applier(name: str) -> Manager:
    return Manager(name, "Apply", "v1")


def applied(live: Any, config: Any, name: str, *, force: bool = False, topology: Topology = TOPOLOGY) -> Any:
    obj, owners = apply(live, config, applier(name), topology, force=force)
    return with_owners(obj, owners, live, NOW)


def contains(obj: Any, config: Any) -> bool:
    """Whether every field of the config is in the object."""
    have, wanted = flatten(obj, TOPOLOGY), flatten(config, TOPOLOGY)
    # An empty map or list may be filled by others.
    return all(value in ([], {}) or have.get(field) == value for field, value in wanted.items())


class TestFields:
    def test_keyed_lists_are_taken_apart(self) -> None:
        spec = {"ports": [{"port": 80, "protocol": "TCP", "name": "web"}], "selector": {"a": "b"}}
        found = flatten({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "uid": "1"}, "spec": spec}, TOPOLOGY)
        item = 'k:{"port":80,"protocol":"TCP"}'
        assert found == {
            ("f:spec", "f:ports", item): None,
            ("f:spec", "f:ports", item, "f:port"): 80,
            ("f:spec", "f:ports", item, "f:protocol"): "TCP",
            ("f:spec", "f:ports", item, "f:name"): "web",
            ("f:spec", "f:selector"): {"a": "b"},
        }

    def test_notation(self) -> None:
        fields = frozenset(flatten({"metadata": {"finalizers": ["a"]}, "spec": {"volumes": [{"name": "v"}]}}, TOPOLOGY))
        tree = encode(fields)
        assert tree == {
            "f:metadata": {"f:finalizers": {'v:"a"': {}}},
            "f:spec": {"f:volumes": {'k:{"name":"v"}': {".": {}, "f:name": {}}}},
        }
        assert decode(tree) == fields

    def test_description(self) -> None:
        assert describe(("f:spec", "f:replicas")) == ".spec.replicas"
        step = 'k:{"port":80,"protocol":"TCP"}'
        assert describe(("f:spec", "f:ports", step, "f:name")) == '.spec.ports[port=80,protocol="TCP"].name'
        assert describe(("f:metadata", "f:finalizers", 'v:"a"')) == '.metadata.finalizers[="a"]'

    @given(configs())
    def test_notation_loses_nothing(self, config: Any) -> None:
        fields = frozenset(flatten(config, TOPOLOGY))
        assert decode(encode(fields)) == fields

    @given(configs(), configs())
    def test_comparison(self, old: Any, new: Any) -> None:
        touched, removed = compare(flatten(old, TOPOLOGY), flatten(new, TOPOLOGY))
        assert not touched & removed
        assert (not touched and not removed) == (flatten(old, TOPOLOGY) == flatten(new, TOPOLOGY))

    def test_lists_of_custom_kinds(self) -> None:
        obj = {"spec": {"ports": [{"name": "a", "port": 1}]}}
        assert ("f:spec", "f:ports") in flatten(obj, Topology(custom=True))
        listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        schema = {"properties": {"spec": {"properties": {"ports": listed}}}}
        found = flatten(obj, Topology(custom=True, schema=schema))
        assert ("f:spec", "f:ports", 'k:{"name":"a"}', "f:port") in found


class TestApply:
    @given(configs())
    def test_the_first_apply_makes_the_object(self, config: Any) -> None:
        obj = applied(None, config, "one")
        assert contains(obj, config)
        assert owners_of(obj) == {applier("one"): frozenset(flatten(config, TOPOLOGY))}

    @given(configs())
    def test_applying_again_changes_nothing(self, config: Any) -> None:
        once = applied(None, config, "one")
        assert applied(once, config, "one") == once

    @given(configs(), configs())
    def test_a_sole_manager_gets_what_it_applies(self, first: Any, second: Any) -> None:
        obj = applied(applied(None, first, "one"), second, "one")
        wanted = flatten(second, TOPOLOGY)
        have = flatten(obj, TOPOLOGY)
        assert {field: value for field, value in have.items() if value not in ([], {})} == {
            field: value for field, value in wanted.items() if value not in ([], {})
        }

    @given(configs(), configs())
    def test_forced_apply_wins(self, first: Any, second: Any) -> None:
        obj = applied(applied(None, first, "one"), second, "two", force=True)
        assert contains(obj, second)

    @given(configs(), configs())
    def test_without_force_nobody_loses_anything(self, first: Any, second: Any) -> None:
        live = applied(None, first, "one")
        try:
            obj = applied(live, second, "two")
        except Conflicts:
            return
        assert contains(obj, first)
        assert contains(obj, second)

    @given(configs(), configs(), configs())
    def test_what_a_manager_gives_up_the_others_keep(self, first: Any, second: Any, third: Any) -> None:
        live = applied(applied(None, first, "one"), second, "two", force=True)
        kept = owners_of(live).get(applier("one"), frozenset())
        before = flatten(live, TOPOLOGY)
        obj = applied(live, third, "two", force=True)
        after = flatten(obj, TOPOLOGY)
        taken = frozenset(flatten(third, TOPOLOGY))
        assert all(after.get(field) == before[field] for field in kept - taken if before.get(field) not in ([], {}))

    def test_field_of_an_update_conflicts(self) -> None:
        live = applied(None, {"metadata": {"name": "x"}, "spec": {"replicas": 1}}, "one")
        changed = {**live, "spec": {"replicas": 2}}
        editor = Manager("editor", "Update", "v1")
        owners = record_update(owners_of(live), editor, live, changed, TOPOLOGY)
        assert owners[editor] == {("f:spec", "f:replicas")}
        edited = with_owners(changed, owners, live, NOW)
        with pytest.raises(Conflicts, match=r'conflict with "editor" using v1: \.spec\.replicas'):
            applied(edited, {"metadata": {"name": "x"}, "spec": {"replicas": 3}}, "one")
        assert applied(edited, {"metadata": {"name": "x"}, "spec": {"replicas": 2}}, "one")["spec"] == {"replicas": 2}

    def test_times_move_only_with_the_fields(self) -> None:
        live = applied(None, {"metadata": {"name": "x"}, "spec": {"a": 1}}, "one")
        obj, owners = apply(live, {"metadata": {"name": "x"}, "spec": {"b": 1}}, applier("two"), TOPOLOGY, force=False)
        entries = with_owners(obj, owners, live, "later")["metadata"]["managedFields"]
        assert {entry["manager"]: entry["time"] for entry in entries} == {"one": NOW, "two": "later"}

    def test_an_element_that_others_hold_stays_identifiable(self) -> None:
        port = {"port": 80, "protocol": "TCP", "name": "web"}
        live = applied(None, {"metadata": {"name": "x"}, "spec": {"ports": [port]}}, "one")
        node_port = {"port": 80, "protocol": "TCP", "nodePort": 30000}
        live = applied(live, {"metadata": {"name": "x"}, "spec": {"ports": [node_port]}}, "two")
        left = applied(live, {"metadata": {"name": "x"}}, "one")
        assert left["spec"]["ports"] == [node_port]
