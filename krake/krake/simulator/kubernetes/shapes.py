"""The types of the fields that clients get wrong most: what the decoder of the real server refuses with 400.

A shape is a map of field names to shapes, a list with the shape of its elements, a type name, or `LABELS`.
"""

from typing import Any

from krake.simulator.kubernetes.kinds import Kind, Object
from krake.simulator.kubernetes.status import ApiStatus, bad_request

Shape = dict[str, Any] | list[Any] | str

LABELS = "map"
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "int32": (int,), "bool": (bool,), "intOrString": (int, str)}

_METADATA: dict[str, Any] = {
    "name": "string",
    "namespace": "string",
    "generateName": "string",
    "labels": LABELS,
    "annotations": LABELS,
    "finalizers": ["string"],
    "ownerReferences": [{}],
}
_CONTAINER: dict[str, Any] = {
    "name": "string",
    "image": "string",
    "command": ["string"],
    "args": ["string"],
    "env": [{"name": "string", "value": "string"}],
    "ports": [{"name": "string", "containerPort": "int32", "protocol": "string", "hostPort": "int32"}],
    "volumeMounts": [{"name": "string", "mountPath": "string"}],
    "resources": {},
}
_POD: dict[str, Any] = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name": "string"}],
    "nodeName": "string",
    "restartPolicy": "string",
    "nodeSelector": LABELS,
    "hostNetwork": "bool",
}
_TEMPLATE: dict[str, Any] = {"metadata": _METADATA, "spec": _POD}
_SELECTOR: dict[str, Any] = {"matchLabels": LABELS, "matchExpressions": [{}]}
_REPLICATED: dict[str, Any] = {"replicas": "int32", "selector": _SELECTOR, "template": _TEMPLATE}
_JOB: dict[str, Any] = {"completions": "int32", "parallelism": "int32", "backoffLimit": "int32", "template": _TEMPLATE}
_SERVICE: dict[str, Any] = {
    "type": "string",
    "clusterIP": "string",
    "selector": LABELS,
    "ports": [{"name": "string", "port": "int32", "targetPort": "intOrString", "nodePort": "int32", "protocol": "string"}],
}

_SPECS: dict[str, dict[str, Any]] = {
    "pods": _POD,
    "services": _SERVICE,
    "deployments.apps": {**_REPLICATED, "strategy": {}, "paused": "bool"},
    "replicasets.apps": _REPLICATED,
    "statefulsets.apps": {**_REPLICATED, "serviceName": "string", "volumeClaimTemplates": [{}]},
    "daemonsets.apps": {"selector": _SELECTOR, "template": _TEMPLATE},
    "jobs.batch": _JOB,
    "cronjobs.batch": {"schedule": "string", "jobTemplate": {"spec": _JOB}},
}
_DATA: dict[str, dict[str, Any]] = {
    "configmaps": {"data": LABELS, "binaryData": LABELS},
    "secrets": {"data": LABELS, "stringData": LABELS, "type": "string"},
}
_GO_NAMES: dict[type, str] = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


def check(kind: Kind, obj: Object) -> None:
    """Raises `ApiStatus` (400) when a field has a type that the kind can't hold."""
    shape: dict[str, Any] = {"metadata": _METADATA}
    if not kind.custom:
        shape |= {"spec": _SPECS.get(kind.resource, {}), **_DATA.get(kind.resource, {})}
    found = _mismatch(obj, shape, "")
    if found is not None:
        field, value, wanted = found
        raise _refuse(kind, field, value, wanted)


def _refuse(kind: Kind, field: str, value: Any, wanted: str) -> ApiStatus:
    held = _GO_NAMES.get(type(value), "null")
    struct = kind.kind + "Spec" if field.startswith("spec.") else kind.kind
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: json: cannot unmarshal {held} '
        f"into Go struct field {struct}.{field} of type {wanted}"
    )


def _mismatch(value: Any, shape: Shape, field: str) -> tuple[str, Any, str] | None:
    """The first field of another type than its shape says: its name, its value and the wanted type."""
    if value is None:
        return None
    if shape == LABELS:
        return _mismatch_labels(value, field)
    if isinstance(shape, dict):
        return _mismatch_map(value, shape, field)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return field, value, "[]" + (shape[0] if isinstance(shape[0], str) else "struct")
        return next((found for item in value if (found := _mismatch(item, shape[0], field))), None)
    fits = isinstance(value, _TYPES[shape]) and isinstance(value, bool) is (shape == "bool")
    return None if fits else (field, value, shape)


def _mismatch_labels(value: Any, field: str) -> tuple[str, Any, str] | None:
    if not isinstance(value, dict):
        return field, value, "map[string]string"
    return next(((field, item, "string") for item in value.values() if not isinstance(item, str)), None)


def _mismatch_map(value: Any, shape: dict[str, Any], field: str) -> tuple[str, Any, str] | None:
    if not isinstance(value, dict):
        return field, value, "struct"
    prefix = f"{field}." if field else ""
    checks = (_mismatch(value.get(name), inner, prefix + name) for name, inner in shape.items())
    return next((found for found in checks if found), None)
