"""The types of the fields that clients get wrong most: what the decoder of the real server refuses with 400.

A shape is a map of field names to shapes, a list with the shape of its elements, a type name, or `LABELS`.
"""

import base64
import re
from typing import Any

from krake.simulator.kubernetes.kinds import Kind, Object
from krake.simulator.kubernetes.status import bad_request

Shape = dict[str, Any] | list[Any] | str

LABELS = "map"
QUANTITIES = "quantities"
SECRETS = "base64"
_QUANTITY = r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)"
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "int32": (int,), "bool": (bool,), "intOrString": (int, str)}

_METADATA: dict[str, Any] = {
    "name": "string",
    "namespace": "string",
    "generateName": "string",
    "labels": LABELS,
    "annotations": LABELS,
    "finalizers": ["string"],
    "ownerReferences": [{"apiVersion": "string", "kind": "string", "name": "string", "uid": "string"}],
}
_CONTAINER: dict[str, Any] = {
    "name": "string",
    "image": "string",
    "command": ["string"],
    "args": ["string"],
    "env": [{"name": "string", "value": "string", "valueFrom": {"fieldRef": {}}}],
    "livenessProbe": {"httpGet": {}},
    "readinessProbe": {"httpGet": {}},
    "startupProbe": {"httpGet": {}},
    "ports": [{"name": "string", "containerPort": "int32", "protocol": "string", "hostPort": "int32"}],
    "volumeMounts": [{"name": "string", "mountPath": "string"}],
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
}
_POD: dict[str, Any] = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name": "string"}],
    "nodeName": "string",
    "restartPolicy": "string",
    "nodeSelector": LABELS,
    "hostNetwork": "bool",
    "terminationGracePeriodSeconds": "int32",
    "tolerations": [{}],
}
_TEMPLATE: dict[str, Any] = {"metadata": _METADATA, "spec": _POD}
_SELECTOR: dict[str, Any] = {
    "matchLabels": LABELS,
    "matchExpressions": [{"key": "string", "operator": "string", "values": ["string"]}],
}
_STRATEGY: dict[str, Any] = {
    "type": "string",
    "rollingUpdate": {"maxSurge": "intOrString", "maxUnavailable": "intOrString", "partition": "int32"},
}
_CLAIM: dict[str, Any] = {
    "accessModes": ["string"],
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
    "storageClassName": "string",
    "volumeName": "string",
}
_DEFINITION: dict[str, Any] = {
    "group": "string",
    "scope": "string",
    "names": {"plural": "string", "singular": "string", "kind": "string", "shortNames": ["string"]},
    "versions": [
        {
            "name": "string",
            "served": "bool",
            "storage": "bool",
            "schema": {"openAPIV3Schema": {}},
            "subresources": {"status": {}, "scale": {}},
        }
    ],
}
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
    "deployments.apps": {**_REPLICATED, "strategy": _STRATEGY, "paused": "bool", "revisionHistoryLimit": "int32"},
    "replicasets.apps": _REPLICATED,
    "statefulsets.apps": {
        **_REPLICATED,
        "serviceName": "string",
        "updateStrategy": _STRATEGY,
        "volumeClaimTemplates": [{"metadata": _METADATA, "spec": _CLAIM}],
    },
    "daemonsets.apps": {"selector": _SELECTOR, "template": _TEMPLATE, "updateStrategy": _STRATEGY},
    "jobs.batch": _JOB,
    "persistentvolumeclaims": _CLAIM,
    "persistentvolumes": {"capacity": QUANTITIES, "accessModes": ["string"], "hostPath": {}},
    "namespaces": {"finalizers": ["string"]},
    "customresourcedefinitions.apiextensions.k8s.io": _DEFINITION,
    "cronjobs.batch": {"schedule": "string", "jobTemplate": {"spec": _JOB}},
}
_DATA: dict[str, dict[str, Any]] = {
    "rolebindings.rbac.authorization.k8s.io": {"roleRef": {}, "subjects": [{}]},
    "clusterrolebindings.rbac.authorization.k8s.io": {"roleRef": {}, "subjects": [{}]},
    "endpoints": {"subsets": [{"addresses": [{}], "notReadyAddresses": [{}], "ports": [{}]}]},
    "configmaps": {"data": LABELS, "binaryData": LABELS},
    "secrets": {"data": SECRETS, "stringData": LABELS, "type": "string"},
}
_GO_NAMES: dict[type, str] = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


def check(kind: Kind, obj: Object) -> None:
    """Raises `ApiStatus` (400) when a field has a type that the kind can't hold."""
    shape: dict[str, Any] = {"metadata": _METADATA}
    if not kind.custom:
        shape |= {"spec": _SPECS.get(kind.resource, {}), "status": {}, **_DATA.get(kind.resource, {})}
    complaint = _complain(obj, shape, "", kind.kind)
    if complaint is not None:
        text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {complaint}'
        raise bad_request(text)


def _complain(value: Any, shape: Shape, field: str, struct: str) -> str | None:
    """What the decoder says about the first field of another type than its shape; None when all fit."""
    if value is None:
        return None
    if isinstance(shape, dict):
        return _complain_map(value, shape, field, struct)
    if isinstance(shape, list):
        return _complain_list(value, shape[0], field, struct)
    if shape in _TYPES:
        fits = isinstance(value, _TYPES[shape]) and isinstance(value, bool) is (shape == "bool")
        return None if fits else _refuse(value, field, struct, shape)
    if not isinstance(value, dict):
        return _refuse(value, field, struct, "map[string]string")
    return next((text for item in value.values() if (text := _complain_item(item, shape, field, struct))), None)


def _complain_item(value: Any, shape: str, field: str, struct: str) -> str | None:
    if shape == QUANTITIES:
        fits = isinstance(value, (str, int, float)) and re.fullmatch(_QUANTITY, str(value))
        return None if fits else f"quantities must match the regular expression '^{_QUANTITY}$'"
    if not isinstance(value, str):
        return _refuse(value, field, struct, "string")
    if shape == SECRETS:
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            return "illegal base64 data at input byte 0"
    return None


def _complain_map(value: Any, shape: dict[str, Any], field: str, struct: str) -> str | None:
    if not isinstance(value, dict):
        return _refuse(value, field, struct, "struct")
    prefix = f"{field}." if field else ""
    found = (_complain(value.get(name), inner, prefix + name, struct) for name, inner in shape.items())
    return next((text for text in found if text), None)


def _complain_list(value: Any, shape: Shape, field: str, struct: str) -> str | None:
    wanted = shape if isinstance(shape, str) else "struct"
    if not isinstance(value, list):
        return _refuse(value, field, struct, f"[]{wanted}")
    if None in value:
        return _refuse(None, field, struct, wanted)
    return next((text for item in value if (text := _complain(item, shape, field, struct))), None)


def _refuse(value: Any, field: str, struct: str, wanted: str) -> str:
    held = _GO_NAMES.get(type(value), "null")
    owner = f"{struct}Spec" if field.startswith("spec.") else struct
    return f"json: cannot unmarshal {held} into Go struct field {owner}.{field} of type {wanted}"
