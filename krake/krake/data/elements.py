"""By what the elements of Kubernetes's lists are told apart, so that one of them can be spoken of wherever it stands. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ports": ("port", "containerPort", "protocol"),
    "webhooks": ("name",),
    "ownerReferences": ("uid",),
}
"""The fields that name an element, by the name of the list; lists that are not here are one value."""
_DEFAULTS = {"protocol": "TCP"}

Key = tuple[str, ...]


def has_keys(name: str, *lists: Iterable[Any]) -> bool:
    """Whether the elements of all these lists, which stand under *name*, can be told apart by their keys."""
    return name in _KEYS and all(isinstance(item, Mapping) for each in lists for item in each)


def key_of(name: str, item: Mapping[str, Any]) -> Key:
    """The key of an element of a list that stands under *name*, see `has_keys`."""
    return tuple(str(item.get(field, _DEFAULTS.get(field, ""))) for field in _KEYS[name])


def key_fields(name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an element that names it."""
    return {field: item[field] for field in _KEYS[name] if field in item}
