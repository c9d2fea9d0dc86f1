"""The types that a template and its imports define."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from krake.data.tosca.problems import InvalidTemplate, mapping, show
from krake.data.tosca.values import NESTING, DataTypes

KUBERNETES_OBJECT = "tosca.nodes.indigo.KubernetesObject"
SPEC = "spec"

_BUILT_IN = {
    KUBERNETES_OBJECT: {"properties": {SPEC: {"type": "string"}}},
    "tosca.nodes.Root": {},
    "tosca.nodes.SoftwareComponent": {
        "properties": {
            "component_version": {"type": "version", "required": False},
            "admin_credential": {"type": "tosca.datatypes.Credential", "required": False},
        }
    },
}


@dataclass
class Definitions:
    """The types of nodes and values.

    :param complete: whether all that is imported has been read; otherwise a type that is not known may be defined there.
    """

    nodes: Mapping[str, Any]
    data: Mapping[str, Any]
    complete: bool
    _properties: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def data_types(self, *, patterns: bool, effort: int | None = None) -> DataTypes:
        """Return what values are checked by."""
        return DataTypes(self.data, patterns=patterns, complete=self.complete, effort=effort)

    def properties_of(self, type_: str, node: str) -> Mapping[str, Any] | None:
        """Return the definitions of the properties of a node's type, those of the types that it is derived from among them.

        Nothing is known of a type that is not read yet.

        :raises InvalidTemplate: the type is not defined, or its nodes are no Kubernetes objects.
        """
        if type_ not in self._properties:
            self._properties[type_] = self._collect(type_, node)
        return self._properties[type_]

    def _collect(self, type_: str, node: str) -> Mapping[str, Any] | None:
        derived: list[tuple[Any, str]] = []
        current: Any = type_
        is_object = False
        for _ in range(NESTING):
            is_object |= current == KUBERNETES_OBJECT
            known = self.nodes.get(current) if isinstance(current, str) else None
            if known is None:
                break
            definition = mapping(known, f"The node type {current}")
            derived.append((definition.get("properties"), f"The properties of {current}"))
            current = definition.get("derived_from")
        else:
            raise InvalidTemplate(f"Node {show(node)}: its type {show(type_)} is derived from too many types, or from itself.")
        if is_object:
            return {key: value for each in reversed(derived) for key, value in mapping(*each).items()}
        if current is not None and not self.complete:
            return None
        if type_ not in self.nodes and not type_.startswith("tosca."):
            raise InvalidTemplate(f"Node {show(node)}: its type {show(type_)} is not defined; define it, or import it.")
        raise InvalidTemplate(
            f"Node {show(node)}: its type {show(type_)} is not derived from {KUBERNETES_OBJECT}; Krake knows no other nodes."
        )


def define(documents: Iterable[tuple[dict[str, Any], str | None]], *, complete: bool) -> Definitions:
    """Gather what documents define; of what is defined twice, the first counts.

    :param documents: each with the prefix under which it is imported as well; the template itself first.
    :raises InvalidTemplate: definitions are no mappings.
    """
    nodes: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for document, prefix in documents:
        for section, found in (("node_types", nodes), ("data_types", data)):
            for name, definition in mapping(document.get(section), section).items():
                found.setdefault(name, definition)
                if prefix is not None:
                    found.setdefault(f"{prefix}.{name}", definition)
    return Definitions(_BUILT_IN | nodes, data, complete)
