"""How the lists and maps of the built-in kinds merge: by key, as a set, or as one indivisible value.

A path is the tuple of field names from the top of the object, without list positions, e.g.
`("spec", "template", "spec", "containers", "ports")`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Names = tuple[str, ...]

_STRATEGIC_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "secrets": "name",
    "taints": "key",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_APPLY_KEYS: dict[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_SETS = ("finalizers",)
_ATOMIC_MAPS = ("selector", "nodeSelector", "labelSelector", "resourceFieldRef", "fieldRef", "secretKeyRef",
                "configMapKeyRef")  # fmt: skip
KEY_DEFAULTS: Mapping[str, Any] = {"protocol": "TCP"}


def strategic_key(path: Names) -> str | None:
    """The field that identifies an element in a strategic merge; None when the patch replaces the list."""
    if path[-1] == "ports":
        keys = _port_keys(path)
        return keys[0] if keys else None
    return _STRATEGIC_KEYS.get(path[-1])


def is_set(path: Names) -> bool:
    """Whether the list is a set of scalars."""
    return path[-1] in _SETS and path[0] == "metadata"


def _port_keys(path: Names) -> tuple[str, ...] | None:
    if path == ("spec", "ports"):
        return "port", "protocol"
    if len(path) > 1 and path[-2] in _CONTAINER_LISTS:
        return "containerPort", "protocol"
    return None


@dataclass(frozen=True, slots=True)
class Topology:
    """What server-side apply knows about the shape of a kind; lists of custom kinds are whole unless their schema says more."""

    custom: bool = False
    schema: Mapping[str, Any] | None = None

    def keys(self, path: Names) -> tuple[str, ...] | None:
        """The fields that identify an element of the list at `path`; None when it is indivisible or a set."""
        if path[-2:] == ("metadata", "ownerReferences"):
            return ("uid",)
        if self.custom:
            node = self._node(path)
            listed = node.get("x-kubernetes-list-type") == "map"
            return tuple(node.get("x-kubernetes-list-map-keys") or ()) if listed else None
        return _port_keys(path) if path[-1] == "ports" else _APPLY_KEYS.get(path[-1])

    def is_set(self, path: Names) -> bool:
        return is_set(path) or (self.custom and self._node(path).get("x-kubernetes-list-type") == "set")

    def is_atomic_map(self, path: Names) -> bool:
        if self.custom:
            return self._node(path).get("x-kubernetes-map-type") == "atomic"
        return bool(path) and path[-1] in _ATOMIC_MAPS

    def _node(self, path: Names) -> Mapping[str, Any]:
        node: Mapping[str, Any] = self.schema or {}
        for name in path:
            node = (node.get("items") or node).get("properties", {}).get(name) or {}
        return node
