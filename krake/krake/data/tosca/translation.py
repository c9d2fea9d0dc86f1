"""What a template means: the specs of its Kubernetes objects."""

from collections.abc import Iterable, Mapping
from typing import Any

from krake.data.tosca.definitions import KUBERNETES_OBJECT, SPEC, Definitions, define
from krake.data.tosca.functions import Evaluator, check_functions
from krake.data.tosca.imports import imports_of
from krake.data.tosca.problems import InvalidTemplate, show
from krake.data.tosca.topology import Topology, check_version, read_inputs, read_topology

EFFORT = 20_000
"""How many steps it may take to check inputs where others wait for that."""


def translate(
    template: Mapping[str, Any], imported: Iterable[tuple[dict[str, Any], str | None]], inputs: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """Return the names of the nodes and their specs, what is required first.

    A regular expression in it can keep this busy for ever.

    :param imported: all documents that the template needs, each with the prefix of its types.
    :param inputs: given by the user.
    :raises InvalidTemplate: the template or an input can not be meant.
    """
    definitions = define([(dict(template), None), *imported], complete=True)
    topology = _read(template, definitions)
    types = definitions.data_types(patterns=True)
    evaluator = Evaluator(topology, read_inputs(topology, inputs, types), types)
    found = []
    for node in topology.nodes.values():
        values = {name: evaluator.property_of(node, name) for name in node.schemas or {}}
        if not values.get(SPEC):
            raise InvalidTemplate(f"Node {show(node.name)}: its property {SPEC!r} must not be empty.")
        found.append((node.name, values[SPEC]))
    return found


def check_template(template: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Refuse a template, declared inline, if it can be seen without fetching or evaluating anything that it can not be meant.

    :raises InvalidTemplate: it can not.
    """
    definitions = _definitions_alone(template)
    read_inputs(_read(template, definitions), inputs, definitions.data_types(patterns=False, effort=EFFORT))


def is_inherently_wrong(template: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a template, declared inline, whatever its inputs are."""
    try:
        _read(template, _definitions_alone(template))
    except InvalidTemplate as error:
        return str(error)
    return None


def _definitions_alone(template: Mapping[str, Any]) -> Definitions:
    document = dict(template)
    return define([(document, None)], complete=not imports_of(document, None))


def _read(template: Mapping[str, Any], definitions: Definitions) -> Topology:
    check_version(template)
    topology = read_topology(template, definitions)
    for node in topology.nodes.values():
        if node.schemas is not None and SPEC not in node.schemas:
            raise InvalidTemplate(f"Node {show(node.name)}: its type {KUBERNETES_OBJECT} has no property {SPEC!r}.")
        if node.schemas is not None and SPEC not in node.properties and node.schemas[SPEC].default is None:
            raise InvalidTemplate(f"Node {show(node.name)}: its property {SPEC!r} is missing.")
        check_functions(dict(node.properties), node, topology)
    return topology
