"""What IM is asked for: templates that it can be found by, and that say also what must go. Pure."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

_COUNTS = ("count", "default_instances", "min_instances")
"""Where the number of machines may stand in a node; the first that is there counts for IM."""
_ASKED = "krake_asked"
_ONE = 1
_NONE = 0


def mark_template(template: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """Return a template whose infrastructure can be recognised: a mark of its author is not one of Krake's."""
    metadata = {**_mapping(template.get("metadata")), "infra_name": mark}
    metadata.pop(_ASKED, None)
    return {**template, "metadata": metadata}


def date_template(template: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a template that says when an update was asked for.

    IM takes that over before it launches machines; of an update that is under way it shows nothing else until the first of
    them is there.
    """
    return {**template, "metadata": {**_mapping(template.get("metadata")), _ASKED: str(now)}}


def date_of(template: Mapping[str, Any]) -> float | None:
    """Return when the last update was asked for; ``None`` if there was none."""
    try:
        return float(_mapping(template.get("metadata")).get(_ASKED, ""))
    except (ValueError, TypeError):
        return None


def count_machines(template: Mapping[str, Any]) -> int | None:
    """Return how many machines a template asks for; ``None`` if it says so in ways that only IM understands."""
    inputs = _mapping(_mapping(template.get("topology_template")).get("inputs"))
    numbers = [_resolve(_number_in(_scaling(node)), inputs) for node in _nodes_of(template).values() if _is_machine(node)]
    return sum(numbers) if all(isinstance(each, int) for each in numbers) else None


def mark_of(template: Mapping[str, Any]) -> str | None:
    """Return by what a template was marked."""
    found = _mapping(template.get("metadata")).get("infra_name")
    return found if isinstance(found, str) else None


def has_nodes(template: Mapping[str, Any]) -> bool:
    """Whether a template asks for anything."""
    return bool(_nodes_of(template))


def settle_template(template: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template by which an infrastructure becomes what the template says.

    IM adds a new template to the one from *before*: what is in that one only stays. So the mark stays, as wanted; numbers of
    machines are told wherever they stood, and nodes that are left out are told to have no machines.
    """
    settled = deepcopy(dict(template))
    metadata = _mapping(settled.pop("metadata", None))
    metadata.pop("infra_name", None)
    if metadata:
        settled["metadata"] = metadata
    nodes, nodes_before = _nodes_of(settled), _nodes_of(before)
    for name, node in nodes.items():
        _tell_number(node, nodes_before.get(name, {}), _number_in(_scaling(node)))
    for name, node in nodes_before.items():
        if name not in nodes and _is_machine(node):
            nodes[name] = kept = deepcopy(node)
            _tell_number(kept, node, _NONE)
    if nodes:
        settled["topology_template"] = {**_mapping(settled.get("topology_template")), "node_templates": nodes}
    return settled


def _tell_number(node: dict[str, Any], before: Mapping[str, Any], number: Any) -> None:
    scaling, scaling_before = _scaling(node), _scaling(before)
    if not scaling and not scaling_before and number == _ONE:
        return
    place = next((each for each in _COUNTS if each in scaling or each in scaling_before), "default_instances")
    scaling = {**scaling, place: number}
    if number == _NONE:
        scaling["min_instances"] = number
    if place == "default_instances":  # which has to lie between others
        scaling = {"min_instances": _NONE, "max_instances": number or _ONE, **scaling}
    capabilities = _mapping(node.get("capabilities"))
    scalable = {**_mapping(capabilities.get("scalable")), "properties": scaling}
    node["capabilities"] = {**capabilities, "scalable": scalable}


def _resolve(value: Any, inputs: Mapping[str, Any]) -> Any:
    name = value.get("get_input") if isinstance(value, Mapping) else None
    return _mapping(inputs.get(name)).get("default") if isinstance(name, str) else value


def _number_in(scaling: Mapping[str, Any]) -> Any:
    return next((scaling[each] for each in _COUNTS if scaling.get(each) is not None), _ONE)


def _scaling(node: Mapping[str, Any]) -> dict[str, Any]:
    return _mapping(_mapping(_mapping(node.get("capabilities")).get("scalable")).get("properties"))


def _is_machine(node: Mapping[str, Any]) -> bool:
    return str(node.get("type")).endswith("Compute") or not {"os", "scalable"}.isdisjoint(_mapping(node.get("capabilities")))


def _nodes_of(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nodes = _mapping(_mapping(template.get("topology_template")).get("node_templates"))
    return {name: node for name, node in nodes.items() if isinstance(node, dict)}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
