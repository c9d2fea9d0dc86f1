"""The functions that stand for values in templates."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from krake.data.tosca.problems import InvalidTemplate, show
from krake.data.tosca.topology import Node, Topology
from krake.data.tosca.values import DataTypes

SIZE_LIMIT = 8_000_000
"""How many characters all that is joined may have."""
_NOT_SUPPORTED = frozenset(
    ("get_attribute", "get_artifact", "get_operation_output", "get_nodes_of_type", "get_ref", "get_concat", "get_secret")
)
_KEY_WITHOUT_VALUE = re.compile(r"(?:^|\n) *(?:- +)*[\w./-]+:\Z")
_TAIL = 300


def function_of(value: Any) -> tuple[str, Any] | None:
    """Return name and arguments if a value is a function."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, arguments),) = value.items()
        if name in SUPPORTED or name in _NOT_SUPPORTED:
            return name, arguments
    return None


def write(value: Any, what: str) -> str:
    """Return the text of a value, as YAML understands it."""
    if value is None:
        raise InvalidTemplate(f"{what}: a part of a text has no value.")
    return value if isinstance(value, str) else json.dumps(value)


class Evaluator:
    """Evaluates the properties of nodes, each of them once."""

    def __init__(self, topology: Topology, inputs: Mapping[str, Any], types: DataTypes) -> None:
        self._topology = topology
        self._inputs = inputs
        self._types = types
        self._known: dict[tuple[str, str], Any] = {}
        self._under_way: list[tuple[str, str]] = []
        self._size = 0

    def property_of(self, node: Node, name: str) -> Any:
        """Return a property of a node; nothing if it has no value and needs none.

        :raises InvalidTemplate: its value can not be found, or is not what it must be.
        """
        key = (node.name, name)
        if key in self._known:
            return self._known[key]
        if key in self._under_way:
            raise InvalidTemplate(f"Node {show(node.name)}: its property {show(name)} needs its own value.")
        schema = (node.schemas or {}).get(name)
        if schema is None:
            raise InvalidTemplate(f"Node {show(node.name)} has no property {show(name)}.")
        self._under_way.append(key)
        value = self._evaluate(node.properties.get(name, schema.default), node)
        self._under_way.pop()
        if value is not None:
            value = self._types.check(value, schema)
        elif schema.required:
            raise InvalidTemplate(f"{schema.what} is missing.")
        self._known[key] = value
        return value

    def _evaluate(self, value: Any, node: Node) -> Any:
        if (function := function_of(value)) is not None:
            name, arguments = function
            return _find(name, node)(self, arguments, node)
        if isinstance(value, dict):
            return {key: self._evaluate(each, node) for key, each in value.items()}
        if isinstance(value, list):
            return [self._evaluate(each, node) for each in value]
        return value

    def get_input(self, arguments: Any, node: Node) -> Any:
        """The value of an input, or of something inside of it."""
        first, *path = _names(arguments, "get_input", node)
        name = str(first)
        if name not in self._topology.inputs:
            raise InvalidTemplate(f"Node {show(node.name)}: the template has no input {show(name)}.")
        if name not in self._inputs:
            raise InvalidTemplate(f"Node {show(node.name)}: the input {show(name)} has no value; give it one.")
        return _descend(self._inputs[name], path, f"Node {show(node.name)}: the input {show(name)}")

    def get_property(self, arguments: Any, node: Node) -> Any:
        """The value of a property of this node, another one, or one that it requires."""
        owner, *path = _names(arguments, "get_property", node)
        target = node if owner == "SELF" else self._topology.nodes.get(str(owner))
        if target is None or not path:
            raise InvalidTemplate(
                f"Node {show(node.name)}: get_property must name a node and its property, not {show(arguments)}."
            )
        first, *rest = path
        if rest and first in target.requirements and first not in (target.schemas or {}):
            target = self._topology.nodes[target.requirements[str(first)]]
            first, *rest = rest
        value = self.property_of(target, str(first))
        return _descend(value, rest, f"Node {show(node.name)}: the property {show(first)} of {show(target.name)}")

    def concat(self, arguments: Any, node: Node) -> str:
        """Texts, one after the other.

        A value that follows a key of YAML at the end of a line's text is separated from it by a space, as YAML needs one there
        and many templates leave it out.
        """
        what = f"Node {show(node.name)}: concat"
        text: list[str] = []
        for each in _list(arguments, "concat", node):
            part = write(self._evaluate(each, node), what)
            if text and function_of(each) is not None and part[:1].strip() and _KEY_WITHOUT_VALUE.search(_tail(text)):
                text.append(" ")
            text.append(part)
            self._grow(part, node)
        return "".join(text)

    def join(self, arguments: Any, node: Node) -> str:
        """Texts, with another one in between."""
        parts, *rest = _list(arguments, "join", node)
        what = f"Node {show(node.name)}: join"
        texts = [write(self._evaluate(each, node), what) for each in _list(parts, "join", node)]
        delimiter = write(self._evaluate(rest[0], node), what) if rest else ""
        for each in texts:
            self._grow(each + delimiter, node)
        return delimiter.join(texts)

    def token(self, arguments: Any, node: Node) -> str:
        """One of the parts of a text."""
        given = [self._evaluate(each, node) for each in _list(arguments, "token", node)]
        match given:
            case [str(text), str(delimiters), int(index)] if delimiters:
                parts = re.split(f"[{re.escape(delimiters)}]", text)
                if 0 <= index < len(parts):
                    return parts[index]
        raise InvalidTemplate(
            f"Node {show(node.name)}: token must have a text, delimiters and the number of a part, not {show(arguments)}."
        )

    def _grow(self, part: str, node: Node) -> None:
        self._size += len(part)
        if self._size > SIZE_LIMIT:
            raise InvalidTemplate(f"Node {show(node.name)}: its texts become longer than {SIZE_LIMIT} characters.")


Function = Callable[[Evaluator, Any, Node], Any]

SUPPORTED: Mapping[str, Function] = {
    "concat": Evaluator.concat,
    "get_input": Evaluator.get_input,
    "get_property": Evaluator.get_property,
    "join": Evaluator.join,
    "token": Evaluator.token,
}


def check_functions(value: Any, node: Node, topology: Topology) -> None:
    """Refuse functions that do not exist, or name what does not exist, without evaluating any.

    :raises InvalidTemplate: there is one.
    """
    if (function := function_of(value)) is not None:
        name, arguments = function
        _find(name, node)
        if name == "get_input":
            first, *_ = _names(arguments, name, node)
            if first not in topology.inputs:
                raise InvalidTemplate(f"Node {show(node.name)}: the template has no input {show(first)}.")
        if name == "get_property":
            first, *_ = _names(arguments, name, node)
            if first != "SELF" and first not in topology.nodes:
                raise InvalidTemplate(f"Node {show(node.name)}: get_property: the template has no node {show(first)}.")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        check_functions(each, node, topology)


def _find(name: str, node: Node) -> Function:
    if name not in SUPPORTED:
        raise InvalidTemplate(f"Node {show(node.name)}: Function {name} is not supported by the Krake TOSCA engine yet.")
    return SUPPORTED[name]


def _list(arguments: Any, name: str, node: Node) -> list[Any]:
    if not isinstance(arguments, list) or not arguments:
        raise InvalidTemplate(f"Node {show(node.name)}: {name} must have a list of arguments, not {show(arguments)}.")
    return arguments


def _names(arguments: Any, name: str, node: Node) -> list[str | int]:
    found = arguments if isinstance(arguments, list) else [arguments]
    if not found or not isinstance(found[0], str) or not all(isinstance(each, str | int) for each in found):
        raise InvalidTemplate(f"Node {show(node.name)}: {name} must have names as arguments, not {show(arguments)}.")
    return found


def _descend(value: Any, path: list[str | int], what: str) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise InvalidTemplate(f"{what} has no {show(step)}.") from None
    return value


def _tail(text: list[str]) -> str:
    """Return the end of what was joined, as far as the last line may matter."""
    tail = ""
    for part in reversed(text):
        tail = part[-_TAIL:] + tail
        if "\n" in part or len(tail) >= _TAIL:
            break
    return tail[-_TAIL:]
