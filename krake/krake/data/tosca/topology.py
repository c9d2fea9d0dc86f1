"""The inputs and the nodes of a template, and the order of the nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from krake.data.tosca.definitions import Definitions
from krake.data.tosca.problems import InvalidTemplate, mapping, sequence, show
from krake.data.tosca.values import DataTypes, Schema, read_schema

VERSIONS = tuple(f"tosca_simple_yaml_1_{minor}" for minor in range(4))
PROPERTY_LIMIT = 50_000
"""How many properties all nodes together may have: few types with many can be those of many nodes."""
_UNSUPPORTED = ("copy", "directives", "node_filter")


@dataclass(frozen=True)
class Node:
    """A node template.

    :param schemas: what its properties must be; ``None`` if its type is not read yet.
    :param properties: as they are declared.
    :param requirements: the nodes that it requires, by the name of the requirement.
    """

    name: str
    schemas: Mapping[str, Schema] | None
    properties: Mapping[str, Any]
    requirements: Mapping[str, str]


@dataclass(frozen=True)
class Topology:
    """A template, read.

    :param nodes: each after all that it requires, otherwise as they are declared.
    """

    inputs: Mapping[str, Schema]
    nodes: Mapping[str, Node]


def check_version(template: Mapping[str, Any]) -> None:
    """Refuse what is no template of a version that is known.

    :raises InvalidTemplate: it is none.
    """
    version = template.get("tosca_definitions_version")
    if version not in VERSIONS:
        raise InvalidTemplate(f"tosca_definitions_version must be one of {', '.join(VERSIONS)}, not {show(version)}.")


def read_topology(template: Mapping[str, Any], definitions: Definitions) -> Topology:
    """Read the inputs and nodes of a template.

    :raises InvalidTemplate: something of it can not be meant.
    """
    topology = mapping(template.get("topology_template"), "topology_template")
    declared = mapping(topology.get("inputs"), "The inputs")
    inputs = {name: read_schema(definition, f"The input {show(name)}") for name, definition in declared.items()}
    templates = mapping(topology.get("node_templates"), "node_templates")
    if not templates:
        raise InvalidTemplate("topology_template must have at least one node in node_templates.")
    nodes: dict[str, Node] = {}
    count = 0
    for name, node in templates.items():
        nodes[name] = _read_node(name, node, definitions)
        count += len(nodes[name].schemas or ())
        if count > PROPERTY_LIMIT:
            raise InvalidTemplate(f"The nodes of the template have more than {PROPERTY_LIMIT} properties.")
    return Topology(inputs, {name: nodes[name] for name in _in_order(nodes)})


def _read_node(name: str, template: Any, definitions: Definitions) -> Node:
    what = f"Node {show(name)}"
    fields = mapping(template, what)
    for key in _UNSUPPORTED:
        if fields.get(key):
            raise InvalidTemplate(f"{what}: {key!r} is not supported by Krake.")
    type_ = fields.get("type")
    if not isinstance(type_, str):
        raise InvalidTemplate(f"{what} must have a type.")
    properties = mapping(fields.get("properties"), f"{what}: its properties")
    defined = definitions.properties_of(type_, name)
    schemas = None
    if defined is not None:
        schemas = {key: read_schema(each, f"{what}: its property {show(key)}") for key, each in defined.items()}
        for key in properties.keys() - schemas.keys():
            raise InvalidTemplate(f"{what}: its type {show(type_)} has no property {show(key)}.")
    return Node(name, schemas, properties, _requirements_of(fields, what))


def _requirements_of(fields: Mapping[str, Any], what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in sequence(fields.get("requirements"), f"{what}: its requirements"):
        for name, requirement in mapping(entry, f"{what}: a requirement").items():
            target = requirement.get("node") if isinstance(requirement, dict) else requirement
            if not isinstance(target, str):
                raise InvalidTemplate(f"{what}: its requirement {show(name)} must name a node.")
            # Several requirements may have the same name.
            found[name if name not in found else f"{name} {len(found)}"] = target
    return found


def _in_order(nodes: Mapping[str, Node]) -> list[str]:
    for node in nodes.values():
        for target in node.requirements.values():
            if target not in nodes:
                raise InvalidTemplate(f"Node {show(node.name)} requires {show(target)}, which is no node of the template.")
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for node in nodes.values():
        sorter.add(node.name, *dict.fromkeys(node.requirements.values()))
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = error.args[1]
        raise InvalidTemplate(f"The nodes {' → '.join(cycle[::-1])} require each other in a circle.") from None
    order, places = [], {name: place for place, name in enumerate(nodes)}
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=places.__getitem__)
        order += ready
        sorter.done(*ready)
    return order


def read_inputs(topology: Topology, given: Mapping[str, Any], types: DataTypes) -> dict[str, Any]:
    """Return the values of all inputs; those without one are not in it. Texts may stand for values of other types.

    :raises InvalidTemplate: an input is not known, missing, or not what it must be.
    """
    for name in given:
        if name not in topology.inputs:
            known = ", ".join(topology.inputs) or "none"
            raise InvalidTemplate(f"The template has no input {show(name)}; its inputs are: {known[:200]}.")
    values = {}
    for name, schema in topology.inputs.items():
        if given.get(name) is not None:
            values[name] = types.check(given[name], schema, textual=True)
        elif schema.default is not None:
            values[name] = types.check(schema.default, schema)
        elif schema.required:
            raise InvalidTemplate(f"{schema.what} has no default; give it a value.")
    return values
