"""What a TOSCA template asks for. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 20
"""So many machines a cluster may have: all are played by one process."""
CPUS = 4
MEMORY = "8 GB"
_COMPUTE = ".Compute"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]i?)?B?")
_SHORT = 40


class WrongTemplate(Exception):
    """The template asks for nothing that can be made here; the text says what is wrong, and what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"Local infrastructure does not understand the template: {problem}")


@dataclass(frozen=True)
class Host:
    """A machine, with its room as Kubernetes writes quantities."""

    name: str
    cpu: str
    memory: str


def hosts_of(template: Mapping[str, Any]) -> list[Host]:
    """Return the machines that a template asks for: one of each node of a type such as ``tosca.nodes.Compute``, or so many as
    its capability ``scalable`` says (``count``, or else ``default_instances``).

    The first one has the control plane: it is of the first node that is not scalable, or else of the first of all.

    Raises:
        WrongTemplate: There are none, too many, or a number is none.
    """
    topology = _mapping(template, "topology_template")
    inputs = _mapping(topology, "inputs")
    groups = []
    for name, node in _mapping(topology, "node_templates").items():
        if isinstance(node, Mapping) and str(node.get("type")).endswith(_COMPUTE):
            capabilities = _mapping(node, "capabilities")
            hosts = list(_hosts(str(name), capabilities, inputs))
            groups.append(("scalable" in capabilities, hosts))
    found = [host for _, hosts in sorted(groups, key=lambda group: group[0]) for host in hosts]
    if not found:
        raise WrongTemplate("it has no node of a type such as tosca.nodes.Compute, which is a machine.")
    if len(found) > MOST:
        raise WrongTemplate(f"it asks for {len(found)} machines, and a local cluster has at most {MOST}.")
    if len({host.name for host in found}) < len(found):
        raise WrongTemplate("two of its nodes have nearly the same name; give one of them another name.")
    return found


def _hosts(name: str, capabilities: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Host]:
    scalable, host = _properties(capabilities, "scalable"), _properties(capabilities, "host")
    count = _value(scalable.get("count", scalable.get("default_instances", 1)), inputs)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST:
        raise WrongTemplate(f"it asks for {_quote(count)} of {name}, which is no number from 0 to {MOST}.")
    cpu = _value(host.get("num_cpus", CPUS), inputs)
    if not isinstance(cpu, int | float) or isinstance(cpu, bool) or not 0 < cpu <= 1_000:
        raise WrongTemplate(f"the num_cpus of {name} is {_quote(cpu)}, which is no number of processors.")
    memory = _quantity(name, _value(host.get("mem_size", MEMORY), inputs))
    for number in range(1, count + 1):
        yield Host(f"{_label(name)}-{number}" if "scalable" in capabilities else _label(name), f"{cpu:g}", memory)


def _quantity(name: str, size: object) -> str:
    match = _SIZE.fullmatch(str(size).strip())
    if match is None or float(match[1]) == 0:
        raise WrongTemplate(f"the mem_size of {name} is {_quote(size)}; write a size such as 4 GB.")
    unit = match[2] or ""
    return match[1] + ("k" if unit == "K" else "Ki" if unit == "ki" else unit)


def _label(name: str) -> str:
    """Return a name as nodes of Kubernetes may have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SHORT].strip("-") or "host"


def _value(value: object, inputs: Mapping[str, Any]) -> object:
    """Return a value, or what the input that it names is by default."""
    if not isinstance(value, Mapping):
        return value
    if set(value) != {"get_input"}:
        raise WrongTemplate(f"{_quote(value)} is neither a value nor {{get_input: <name>}}.")
    declared = inputs.get(value["get_input"]) if isinstance(value["get_input"], str) else None
    if not isinstance(declared, Mapping) or "default" not in declared:
        raise WrongTemplate(f"it has no input {_quote(value['get_input'])} with a default; add it to its inputs.")
    default: object = declared["default"]
    return default


def _properties(capabilities: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _mapping(_mapping(capabilities, name), "properties")


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _quote(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
