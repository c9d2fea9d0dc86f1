"""What is asked for: a TOSCA template. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Template = Mapping[str, Any]

FIELDS = {
    *("tosca_definitions_version", "tosca_default_namespace", "template_name", "template_author", "template_version"),
    *("description", "metadata", "imports", "dsl_definitions", "repositories", "namespace", "topology_template"),
    *("node_types", "relationship_types", "capability_types", "artifact_types", "data_types", "interface_types"),
    *("policy_types", "group_types", "topology_template"),
}
SECTIONS = {
    *("description", "inputs", "node_templates", "relationship_templates", "outputs", "groups", "policies"),
    *("substitution_mappings", "workflows"),
}

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Where a node may say how many machines there are of it; the first that does counts.
COUNTS = ("count", "default_instances", "min_instances")


class TemplateError(Exception):
    """A template is none; the message says why."""


def read(text: str) -> Template:
    """Return the template that a text is.

    :raises TemplateError: it is none.
    """
    try:
        found = yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise TemplateError(f"Error parsing TOSCA template: {error}") from None
    problems = _problems(found)
    if problems:
        words = "\n".join(f"\t{each}" for each in problems)
        raise TemplateError(
            f"Error parsing TOSCA template: \nThe pre-parsed input failed validation with the following error(s): \n{words}"
        )
    counts(found), outputs(found), removals(found)
    return dict(found)


def _problems(found: Any) -> list[str]:
    if not isinstance(found, dict):
        return ['TypeMismatchError: "template" must be of type "dict".']
    problems = []
    if "tosca_definitions_version" not in found:
        problems.append('MissingRequiredFieldError: Template is missing required field "tosca_definitions_version".')
    topology = found.get("topology_template")
    if not isinstance(topology, dict):
        problems.append('MissingRequiredFieldError: Template is missing required field "topology_template".')
        topology = {}
    problems += [
        f'UnknownFieldError: Template contains unknown field "{name}". Refer to the definition to verify valid values.'
        for name in sorted((found.keys() - FIELDS) | (topology.keys() - SECTIONS), key=str)
    ]
    return problems


def merge(before: Template, template: Template) -> Template:
    """Return what comes of adding a template to the one from *before*: what is in that one only stays."""
    return {**before, **{key: _merge(before.get(key), value) for key, value in template.items()}}


def _merge(before: Any, value: Any) -> Any:
    return merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value


def counts(template: Template) -> dict[str, int]:
    """Return how many machines there shall be of each node that is one.

    :raises TemplateError: a number is none.
    """
    found = {}
    for name, node in _section(template, "node_templates").items():
        if _is_machine(template, str(node.get("type"))):
            found[str(name)] = _count(template, str(name), node)
    return found


def removals(template: Template) -> set[int]:
    """Return the numbers of the machines that a template wants removed by name, in the ``removal_list`` of a node."""
    found = set()
    for node in _section(template, "node_templates").values():
        listed = _resolve(template, _scalable(node).get("removal_list"))
        found |= numbers(map(str, listed)) if isinstance(listed, list) else set()
    return found


def numbers(texts: Iterable[str]) -> set[int]:
    """Return those of some texts that can be the numbers of machines."""
    return {int(each) for each in texts if each.isdecimal() and len(each) < 10}


def outputs(template: Template) -> dict[str, Any]:
    """Return the outputs: those that are given with the template as values, the others as ``...``."""
    found: dict[str, Any] = {}
    for name, output in _section(template, "outputs").items():
        value = output.get("value")
        is_known = not isinstance(value, dict) or set(value) == {"get_input"}
        found[str(name)] = _resolve(template, value) if is_known else ...
    return found


def name_of(template: Template) -> str | None:
    """Return the name that its author gives to an infrastructure."""
    metadata = template.get("metadata")
    found = metadata.get("infra_name") if isinstance(metadata, dict) else None
    return None if found is None else str(found)


def _section(template: Template, name: str) -> dict[Any, dict[str, Any]]:
    topology = template.get("topology_template")
    found = topology.get(name) if isinstance(topology, dict) else None
    return {key: each for key, each in found.items() if isinstance(each, dict)} if isinstance(found, dict) else {}


def _is_machine(template: Template, type_: str) -> bool:
    types = template.get("node_types")
    seen: set[str] = set()
    while type_ not in seen:
        if type_.endswith(".Compute"):
            return True
        seen.add(type_)
        declared = types.get(type_) if isinstance(types, dict) else None
        type_ = str(declared.get("derived_from")) if isinstance(declared, dict) else type_
    return False


def _scalable(node: Mapping[str, Any]) -> dict[str, Any]:
    found: Any = node
    for key in ("capabilities", "scalable", "properties"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _count(template: Template, name: str, node: Mapping[str, Any]) -> int:
    scalable = _scalable(node)
    told = (_resolve(template, scalable[place]) for place in COUNTS if place in scalable)
    given = next((each for each in told if each is not None), 1)
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= 1000:
        raise TemplateError(f'Error parsing TOSCA template: ValueError: "count" of template "{name}" is no number: {given!r}.')
    return given


def _resolve(template: Template, value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"get_input"}:
        name = value["get_input"]
        declared = _section(template, "inputs").get(name) if isinstance(name, str) else None
        if declared is None:
            raise TemplateError(f'Error parsing TOSCA template: UnknownInputError: Unknown input "{name}".')
        return declared.get("value", declared.get("default"))
    return value
