"""What a TOSCA template asks for. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 20
"""So many machines a cluster may have: all are played by one process."""
CPUS = 4
MEMORY = "8 GB"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]i?)?B?")
_SHORT = 40


class WrongTemplate(Exception):
    """The template asks for nothing that can be made here; the text says what is wrong, and what to do."""


@dataclass(frozen=True)
class Worker:
    """A machine that runs Pods, with its room as Kubernetes writes quantities."""

    name: str
    cpu: str
    memory: str


def workers_of(template: Mapping[str, Any]) -> list[Worker]:
    """Return the machines that run Pods: so many of each node template as its capability ``scalable`` counts.

    Node templates without it are the control plane, which runs no Pods here.

    Raises:
        WrongTemplate: There are none, too many, or a number is none.
    """
    topology = _mapping(template, "topology_template")
    inputs = _mapping(topology, "inputs")
    workers: list[Worker] = []
    for name, node in _mapping(topology, "node_templates").items():
        if isinstance(node, Mapping):
            workers += _group(str(name), _mapping(node, "capabilities"), inputs)
        if len(workers) > MOST:
            raise WrongTemplate(f"The template asks for more than {MOST} workers, which is the most of a local cluster.")
    if not workers:
        raise WrongTemplate(
            "The template asks for no workers: a node template must have `capabilities: {scalable: {properties: {count: 1}}}`,"
            " or more of them."
        )
    if len({worker.name for worker in workers}) < len(workers):
        raise WrongTemplate("Two node templates of the template have nearly the same name; give one of them another name.")
    return workers


def _group(name: str, capabilities: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Worker]:
    count = _value(_properties(capabilities, "scalable").get("count"), inputs)
    if count is None:
        return
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise WrongTemplate(f"The count of {name} is {_quote(count)}, which is no number of machines.")
    if count > MOST:
        raise WrongTemplate(f"The template asks for {count} of {name}; the most of a local cluster are {MOST} workers.")
    host = _properties(capabilities, "host")
    cpu = _value(host.get("num_cpus"), inputs) or CPUS
    if not isinstance(cpu, int | float) or isinstance(cpu, bool) or not 0 < cpu <= 1_000:
        raise WrongTemplate(f"The num_cpus of {name} is {_quote(cpu)}, which is no number of processors.")
    memory = _quantity(name, _value(host.get("mem_size"), inputs) or MEMORY)
    for number in range(1, count + 1):
        yield Worker(f"{_label(name)}-{number}", f"{cpu:g}", memory)


def _quantity(name: str, size: object) -> str:
    match = _SIZE.fullmatch(str(size).strip())
    if match is None or float(match[1]) == 0:
        raise WrongTemplate(f"The mem_size of {name} is {_quote(size)}; write a size such as 4 GB.")
    unit = match[2] or ""
    return match[1] + ("k" if unit == "K" else "Ki" if unit == "ki" else unit)


def _label(name: str) -> str:
    """Return a name as nodes of Kubernetes may have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SHORT].strip("-") or "worker"


def _value(value: object, inputs: Mapping[str, Any]) -> object:
    """Return a value, or what the input that it names is by default."""
    if not isinstance(value, Mapping):
        return value
    if set(value) != {"get_input"}:
        raise WrongTemplate(f"{_quote(value)} is not understood here; write a value, or {{get_input: <name>}}.")
    declared = inputs.get(value["get_input"]) if isinstance(value["get_input"], str) else None
    if not isinstance(declared, Mapping) or "default" not in declared:
        raise WrongTemplate(f"The template has no input {_quote(value['get_input'])} with a default; add it to its inputs.")
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
