"""What templates mean."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from unit.tosca.templates import KUBERNETES_OBJECT, config_map, node, template

from krake.data.tosca import InvalidTemplate, check_template, is_inherently_wrong, translate

Spec = Any


def spec_of(found: dict[str, Any], inputs: dict[str, Any] | None = None, *imported: dict[str, Any]) -> Spec:
    """The spec of the only node."""
    ((_, spec),) = translate(found, [(each, None) for each in imported], inputs or {})
    return spec


def problem_of(found: dict[str, Any], inputs: dict[str, Any] | None = None) -> str:
    with pytest.raises(InvalidTemplate) as caught:
        translate(found, [], inputs or {})
    return str(caught.value)


def one(spec: Any, inputs: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    return template(inputs, nodes={"only": node(spec, **properties)})


@pytest.mark.parametrize("version", [f"tosca_simple_yaml_1_{minor}" for minor in range(4)])
def test_a_text_is_the_spec_itself(version: str) -> None:
    assert spec_of({**one("text"), "tosca_definitions_version": version}) == "text"


@pytest.mark.parametrize(
    ("declared", "given", "text"),
    [
        ({"type": "integer", "default": 3}, {}, "3"),
        ({"type": "integer", "default": 3}, {"x": 5}, "5"),
        ({"type": "integer"}, {"x": "5"}, "5"),
        ({"type": "boolean"}, {"x": "TRUE"}, "true"),
        ({"type": "boolean"}, {"x": False}, "false"),
        ({"type": "float"}, {"x": "1.50"}, "1.5"),
        ({"type": "string"}, {"x": "1.50"}, "1.50"),
        ({"type": "list", "entry_schema": {"type": "integer"}}, {"x": '[1, "2"]'}, "[1, 2]"),
        ({"type": "map"}, {"x": {"a": [None]}}, '{"a": [null]}'),
        ({"type": "scalar-unit.size", "constraints": [{"less_than": "1 GiB"}]}, {"x": "1 GB"}, "1 GB"),
        ({"type": "PortDef"}, {"x": "80"}, "80"),
        ({"type": "range"}, {"x": [1, "UNBOUNDED"]}, '[1, "UNBOUNDED"]'),
        ({"type": "version"}, {"x": "1.2.3"}, "1.2.3"),
    ],
)
def test_inputs_have_their_types(declared: dict[str, Any], given: dict[str, Any], text: str) -> None:
    assert spec_of(one({"concat": ["<", {"get_input": "x"}, ">"]}, {"x": declared}), given) == f"<{text}>"


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ({"type": "integer"}, {}, "The input 'x' has no default; give it a value."),
        ({"type": "integer"}, {"y": 1}, "The template has no input 'y'; its inputs are: x."),
        ({"type": "integer"}, {"x": "1.5"}, "The input 'x' must be an integer, not '1.5'."),
        ({"type": "integer"}, {"x": True}, "The input 'x' must be an integer, not 'true'."),
        ({"type": "string"}, {"x": 1.1}, "The input 'x' must be a text; quote it, not '1.1'."),
        ({"type": "integer", "default": "a"}, {}, "The input 'x' must be an integer, not 'a'."),
        ({"type": "integer", "constraints": [{"in_range": [1, 9]}]}, {"x": 10}, "The input 'x' must be at most 9, not '10'."),
        ({"type": "integer", "constraints": [{"greater_than": 1}]}, {"x": 1}, "must be greater than 1"),
        ({"type": "string", "constraints": [{"valid_values": ["a"]}]}, {"x": "b"}, "must be one of [\"a\"], not 'b'."),
        ({"type": "string", "constraints": [{"max_length": 2}]}, {"x": "abc"}, "of a length of at most 2"),
        ({"type": "string", "constraints": [{"pattern": "a+"}]}, {"x": "ab"}, 'a text that matches "a+"'),
        ({"type": "string", "constraints": [{"pattern": "("}]}, {"x": "ab"}, "is no regular expression."),
        ({"type": "string", "constraints": [{"sounds_like": "a"}]}, {}, "the constraint 'sounds_like', which Krake"),
        ({"type": "list", "entry_schema": "integer"}, {"x": [1, "b"]}, "The input 'x'[1] must be an integer"),
        ({"type": "scalar-unit.size"}, {"x": "3 bananas"}, "must be a number and a unit (B, kB, MB"),
        ({"type": "scalar-unit.time", "constraints": [{"less_than": "1 h"}]}, {"x": "61 m"}, 'must be less than "1 h"'),
        ({"type": "PortDef"}, {"x": 0}, "must be at least 1"),
        ({"type": "Wonder"}, {"x": 0}, "has the type 'Wonder', which is not defined."),
        ({"default": 1}, {}, "The input 'x' must have a type."),
    ],
)
def test_wrong_inputs_are_named(declared: dict[str, Any], given: dict[str, Any], message: str) -> None:
    assert message in problem_of(one({"concat": [{"get_input": "x"}]}, {"x": declared}), given)


def test_data_types_have_properties_with_defaults() -> None:
    found = one({"concat": [{"get_input": ["server", "port"]}]}, {"server": {"type": "Server"}})
    port = {"type": "PortDef", "default": 80}
    found["data_types"] = {"Server": {"properties": {"host": {"type": "string"}, "port": port}}}
    assert spec_of(found, {"server": {"host": "a"}}) == "80"
    assert problem_of(found, {"server": {"port": 1}}) == "The input 'server'.host is missing."
    assert "must be at most 65535" in problem_of(found, {"server": {"host": "a", "port": 70000}})


def test_a_value_after_a_key_of_yaml_is_separated_from_it() -> None:
    parts = ["spec:\n  replicas:", {"get_input": "x"}, "\n  image: echo:", {"get_input": "x"}, "\n  ports:\n  - port:"]
    text = spec_of(one({"concat": [*parts, {"get_input": "x"}]}, {"x": {"type": "integer", "default": 8}}))
    assert yaml.safe_load(text) == {"spec": {"replicas": 8, "image": "echo:8", "ports": [{"port": 8}]}}


def test_functions_of_all_kinds() -> None:
    extended = {"derived_from": KUBERNETES_OBJECT, "properties": {"tag": {"type": "string", "default": "1.10"}}}
    spec = {
        "join": [
            [
                {"get_property": ["SELF", "tag"]},
                {"token": [{"get_property": ["other", "tag"]}, ".-", 1]},
                {"get_property": ["SELF", "near", "tag"]},
                {"concat": ["a", {"concat": ["b", 1]}]},
            ],
            "/",
        ]
    }
    first = node(spec, {"near": "other"}, type_="Extended")
    found = template(nodes={"first": first, "other": node("x", type_="Extended", tag="a-b")}, node_types={"Extended": extended})
    assert dict(translate(found, [], {}))["first"] == "1.10/b/a-b/ab1"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"get_attribute": ["SELF", "a"]}, "Function get_attribute is not supported by the Krake TOSCA engine yet."),
        ({"concat": ["a", {"get_artifact": ["SELF", "a"]}]}, "Function get_artifact is not supported"),
        ({"get_input": "gone"}, "the template has no input 'gone'."),
        ({"get_property": ["gone", "spec"]}, "get_property: the template has no node 'gone'."),
        ({"get_property": ["SELF", "gone"]}, "has no property 'gone'."),
        ({"get_property": ["SELF", "spec"]}, "its property 'spec' needs its own value."),
        ({"get_property": "SELF"}, "get_property must name a node and its property"),
        ({"concat": "a"}, "concat must have a list of arguments, not 'a'."),
        ({"concat": ["a", {"get_input": "none"}]}, "the input 'none' has no value; give it one."),
        ({"token": ["a", "b", 3]}, "token must have a text, delimiters and the number of a part"),
        ({"a": 1}, "its property 'spec' must be a text"),
        ("", "its property 'spec' must not be empty."),
        (7, "its property 'spec' must be a text"),
    ],
)
def test_what_is_wrong_with_a_node_names_it(spec: Any, message: str) -> None:
    said = problem_of(one(spec, {"none": {"type": "string", "required": False}}))
    assert said.startswith("Node 'only'")
    assert message in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tosca_definitions_version": "tosca_2_0"}, "tosca_definitions_version must be one of tosca_simple_yaml_1_0, "),
        ({"topology_template": {}}, "at least one node in node_templates"),
        ({"topology_template": []}, "topology_template must be a mapping of names, not '[]'."),
        ({"topology_template": {"node_templates": {"a": "b"}}}, "Node 'a' must be a mapping of names, not 'b'."),
        ({"topology_template": {"node_templates": {"a": {}}}}, "Node 'a' must have a type."),
        ({"topology_template": {"node_templates": {"a": node(type_="tosca.nodes.Compute")}}}, "is not derived from"),
        ({"topology_template": {"node_templates": {"a": node(type_="Own")}}}, "Node 'a': its type 'Own' is not defined;"),
        ({"topology_template": {"node_templates": {"a": node(size=1)}}}, "has no property 'size'."),
        ({"topology_template": {"node_templates": {"a": node(None, {"x": "b"})}}}, "Node 'a' requires 'b', which is no node"),
        ({"topology_template": {"node_templates": {"a": node(None, {"x": {}})}}}, "its requirement 'x' must name a node."),
        ({"topology_template": {"node_templates": {"a": {**node(), "copy": "b"}}}}, "Node 'a': 'copy' is not supported"),
        ({"node_types": {"A": {"derived_from": "A"}}, **template(nodes={"a": node(type_="A")})}, "or from itself"),
        ({"topology_template": {"node_templates": {"a": {"type": KUBERNETES_OBJECT}}}}, "its property 'spec' is missing"),
    ],
)
def test_wrong_templates(change: dict[str, Any], message: str) -> None:
    found = {**template(), **change}
    assert message in problem_of(found)
    assert is_inherently_wrong(found) == problem_of(found)


def test_properties_of_types_are_inherited_and_required() -> None:
    types = {
        "Base": {"derived_from": KUBERNETES_OBJECT, "properties": {"image": {"type": "string"}}},
        "Echo": {
            "derived_from": "Base",
            "properties": {"spec": {"type": "string", "default": {"get_property": ["SELF", "image"]}}},
        },
    }
    found = template(nodes={"a": {"type": "Echo", "properties": {"image": "echo:1"}}}, node_types=types)
    assert translate(found, [], {}) == [("a", "echo:1")]
    del found["topology_template"]["node_templates"]["a"]["properties"]
    assert problem_of(found) == "Node 'a': its property 'image' is missing."


def test_types_may_be_imported_with_a_prefix() -> None:
    imported = {"node_types": {"Echo": {"derived_from": KUBERNETES_OBJECT}}}
    found = template(nodes={"a": node("x", type_="my.Echo")})
    assert translate(found, [(imported, "my")], {}) == [("a", "x")]
    assert "its type 'my.Echo' is not defined" in problem_of(found)


def test_circles_are_named() -> None:
    nodes = {"a": node(None, {"x": "b"}), "b": node(None, {"x": {"node": "c"}}), "c": node(None, {"x": "a"}), "d": node()}
    said = problem_of(template(nodes=nodes))
    assert said in {
        f"The nodes {circle} require each other in a circle." for circle in ("a → b → c → a", "b → c → a → b", "c → a → b → c")
    }


@given(st.permutations(range(6)), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_what_is_required_comes_first(names: list[int], pairs: set[tuple[int, int]]) -> None:
    required = {name: [str(b) for a, b in pairs if a == name and a > b] for name in names}
    nodes = {str(name): node(None, *({"x": target} for target in required[name])) for name in names}
    order = [name for name, _ in translate(template(nodes=nodes), [], {})]
    assert sorted(order) == sorted(nodes)
    for name, targets in required.items():
        assert all(order.index(target) < order.index(str(name)) for target in targets)
    if not any(required.values()):
        assert order == list(nodes)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "properties", "spec", "get_input", "concat", "get_property", "node", "a", "default", "file"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
sections = st.fixed_dictionaries(
    {},
    optional={
        "imports": json_values,
        "node_types": st.dictionaries(st.sampled_from(["A", KUBERNETES_OBJECT]), json_values, max_size=2),
        "data_types": st.dictionaries(st.just("D"), json_values, max_size=1),
        "repositories": json_values,
        "topology_template": st.fixed_dictionaries(
            {},
            optional={
                "inputs": st.dictionaries(st.just("a"), json_values | st.fixed_dictionaries({"type": json_values}), max_size=2),
                "node_templates": st.dictionaries(
                    st.sampled_from(["a", "b"]),
                    st.fixed_dictionaries(
                        {"type": st.just(KUBERNETES_OBJECT) | json_values},
                        optional={"properties": st.fixed_dictionaries({"spec": json_values}), "requirements": json_values},
                    )
                    | json_values,
                ),
            },
        )
        | json_values,
    },
)


@given(sections, st.dictionaries(st.just("a"), json_values, max_size=1))
def test_whatever_is_written_is_a_template_or_told_to_be_none(found: dict[str, Any], inputs: dict[str, Any]) -> None:
    found["tosca_definitions_version"] = "tosca_simple_yaml_1_3"
    try:
        check_template(found, inputs)
    except InvalidTemplate:
        with pytest.raises(InvalidTemplate):
            translate(found, [], inputs)
        return
    with suppress(InvalidTemplate):
        assert all(spec for _, spec in translate(found, [], inputs))


@given(st.text(), st.text())
def test_texts_are_joined_as_they_are(first: str, second: str) -> None:
    assert spec_of(one({"concat": [first, second, "."]})) == f"{first}{second}."


def test_what_grows_without_bounds_is_stopped() -> None:
    doubled = {
        f"p{n + 1}": {"type": "string", "default": {"concat": [{"get_property": ["SELF", f"p{n}"]}] * 2}} for n in range(60)
    }
    types = {"Big": {"derived_from": KUBERNETES_OBJECT, "properties": {"p0": {"type": "string", "default": "x"}, **doubled}}}
    found = template(nodes={"a": node(config_map("a"), type_="Big")}, node_types=types)
    assert problem_of(found) == "Node 'a': its texts become longer than 8000000 characters."


@pytest.mark.parametrize(
    ("imports", "message"),
    [
        (
            ["custom.yaml"],
            "Import 1: 'custom.yaml' must be an http or https URL, as no files are sent along with a template:"
            " put it where it can be fetched, or write what is in it into the template.",
        ),
        (["file:///etc/passwd"], "must be an http or https URL"),
        ([{"a": {"file": "/etc/passwd"}}], "must be an http or https URL"),
        ([{"file": "a.yaml", "repository": "gone"}], "the repository 'gone' is not defined"),
        (["http://[broken/a.yaml"], "is no URL"),
        ([{"a": 1}], "must be a mapping of names"),
        ("a", "imports must be a list"),
    ],
)
def test_wrong_imports(imports: Any, message: str) -> None:
    assert message in (is_inherently_wrong(template(imports=imports)) or "")


def test_types_that_may_be_imported_are_admitted() -> None:
    found = template(nodes={"a": node(type_="Own", whatever=1)}, imports=["https://host.example/types.yaml"])
    assert is_inherently_wrong(found) is None


def _types_of_many_values() -> dict[str, Any]:
    inner = [{f"p{name}": {"type": f"T{depth + 1}", "default": {}} for name in range(8)} for depth in range(8)]
    types = {f"T{depth}": {"properties": properties} for depth, properties in enumerate(inner)}
    return {**one("x", {"x": {"type": "T0", "default": {}}}), "data_types": {**types, "T8": {"derived_from": "map"}}}


def _values_with_many_constraints() -> dict[str, Any]:
    entry = {"type": "string", "constraints": [{"valid_values": [f"v{number}" for number in range(5000)]}]}
    values = ["v4999"] * 5000
    return one("x", {"x": {"type": "list", "entry_schema": entry, "default": values}})


def _nodes_with_many_properties() -> dict[str, Any]:
    properties = {f"p{number}": {"type": "string", "required": False} for number in range(2000)}
    types = {"T": {"derived_from": KUBERNETES_OBJECT, "properties": properties}}
    return {**template(nodes={f"n{number}": {**node("x"), "type": "T"} for number in range(2000)}), "node_types": types}


@pytest.mark.parametrize("make", [_types_of_many_values, _values_with_many_constraints, _nodes_with_many_properties])
def test_what_would_keep_the_api_busy_is_refused(make: Callable[[], dict[str, Any]]) -> None:
    bomb = make()
    before = time.process_time()
    with pytest.raises(InvalidTemplate, match=r"too many values|more than 50000 properties"):
        check_template(bomb, {})
    assert time.process_time() - before < 2


def test_what_values_stand_for_is_counted_for_each_template_anew() -> None:
    many = one("x", {"x": {"type": "list", "entry_schema": "integer", "default": list(range(15_000))}})
    check_template(many, {})
    check_template(many, {})
