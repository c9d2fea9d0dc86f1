"""What should be on the cluster: the objects of a manifest, complete, marked as the application's, in the order of creation."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from krake.controller.kubernetes.application.observe import observer_schema
from krake.data.kubernetes import Application
from krake.data.metadata import ReasonCode
from krake.data.secrets import marked_fields
from krake.ports.cluster import OWNER_LABEL, Identity, Object, ObjectType

APPLICATION_ANNOTATION = "krake.cloud/application"
MANAGED_BY = "app.kubernetes.io/managed-by"

_RANKS = (
    ("Namespace",),
    ("CustomResourceDefinition",),
    ("ResourceQuota", "LimitRange", "PriorityClass", "StorageClass", "ServiceAccount", "Secret", "ConfigMap"),
    ("PersistentVolume", "PersistentVolumeClaim", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "NetworkPolicy"),
    ("Service",),
    ("Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"),
)
_RANK = {kind: rank for rank, kinds in enumerate(_RANKS) for kind in kinds}
_LAST = len(_RANKS)
_OF_THE_CLUSTER = (
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
)


class InvalidManifest(Exception):
    """The manifest can not be what its user means."""

    code = ReasonCode.INVALID_RESOURCE


@dataclass(frozen=True)
class Declared:
    """An object that should be there.

    :param recorded: as its user declared it, with its namespace; what the status keeps.
    :param object: as it is sent to the cluster.
    :param schema: which of its fields are observed.
    """

    identity: Identity
    recorded: dict[str, Any]
    object: dict[str, Any]
    schema: dict[str, Any]


def declare(
    app: Application,
    manifest: Iterable[Mapping[str, Any]],
    is_namespaced: Callable[[ObjectType], bool],
    default_namespace: str,
) -> list[Declared]:
    """Return what should be there, in the order of creation.

    :param manifest: the objects of the application on the cluster in question.
    :raises InvalidManifest: an object is declared twice, or is none, or its secrets are not shown.
    """
    if hidden := marked_fields(app.spec):
        raise InvalidManifest(
            f"The API does not show {hidden[0]} to this controller: its user needs the permission to get applications/secrets,"
            " or the API lacks the key that has sealed it."
        )
    manifest = list(manifest)
    schemas = observer_schema(manifest, app.spec.observer_schema)
    pairs = zip(manifest, schemas, strict=True)
    declared = [_declare_one(app, item, schema, is_namespaced, default_namespace) for item, schema in pairs]
    seen: set[Identity] = set()
    for each in declared:
        if each.identity in seen:
            raise InvalidManifest(f"{each.identity} is declared twice; keep one of both.")
        seen.add(each.identity)
    return sorted(declared, key=lambda each: rank(each.identity))


def rank(identity: Identity) -> int:
    """When an object is created: those of a lower rank first. What may need all others comes last; deletion goes backwards."""
    return _RANK.get(identity.type.kind, _LAST)


def types_of(manifest: Iterable[Mapping[str, Any]]) -> set[ObjectType]:
    """The types of the objects in a manifest."""
    return {ObjectType(str(item.get("apiVersion")), str(item.get("kind"))) for item in manifest}


def defined_types(manifest: Iterable[Mapping[str, Any]]) -> dict[ObjectType, bool]:
    """The types that a manifest itself defines, and whether they live in namespaces."""
    found: dict[ObjectType, bool] = {}
    for item in manifest:
        spec = item.get("spec")
        if item.get("kind") != "CustomResourceDefinition" or not isinstance(spec, Mapping):
            continue
        names, versions = spec.get("names"), spec.get("versions")
        if isinstance(names, Mapping) and isinstance(versions, list):
            for version in versions:
                if isinstance(version, Mapping):
                    type_ = ObjectType(f"{spec.get('group')}/{version.get('name')}", str(names.get("kind")))
                    found[type_] = spec.get("scope") == "Namespaced"
    return found


def recorded_identity(recorded: Mapping[str, Any]) -> Identity:
    """The identity of an object that was recorded in the status."""
    metadata = recorded.get("metadata") or {}
    type_ = ObjectType(str(recorded.get("apiVersion")), str(recorded.get("kind")))
    return Identity(type_, metadata.get("namespace"), str(metadata.get("name")))


def _declare_one(
    app: Application,
    item: Mapping[str, Any],
    schema: dict[str, Any],
    is_namespaced: Callable[[ObjectType], bool],
    default_namespace: str,
) -> Declared:
    type_ = ObjectType(item["apiVersion"], item["kind"])
    metadata = {key: value for key, value in item["metadata"].items() if key not in _OF_THE_CLUSTER}
    namespace = metadata.pop("namespace", None)
    if is_namespaced(type_):
        if namespace is not None and not isinstance(namespace, str):
            raise InvalidManifest(f"metadata.namespace of {type_.kind} {metadata['name']} is not a text.")
        metadata["namespace"] = namespace = namespace or default_namespace
    else:
        namespace = None
    recorded = {**item, "metadata": metadata}
    return Declared(Identity(type_, namespace, metadata["name"]), recorded, _mark(app, recorded), schema)


def _mark(app: Application, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Label an object and the Pods that come of it, so that they are found by one watch for all applications."""
    obj = copy.deepcopy({key: value for key, value in recorded.items() if key != "status"})
    metadata = obj["metadata"]
    labels = {MANAGED_BY: "krake", **_mapping(metadata, "labels"), OWNER_LABEL: app.metadata.uid}
    metadata["labels"] = labels
    metadata["annotations"] = {**_mapping(metadata, "annotations"), APPLICATION_ANNOTATION: str(app.key)}
    for template in _templates(obj):
        inner = dict(_mapping(template, "metadata"))
        inner["labels"] = {**_mapping(inner, "labels"), OWNER_LABEL: app.metadata.uid}
        template["metadata"] = inner
    return obj


def _templates(obj: Object) -> Iterable[dict[str, Any]]:
    spec = obj.get("spec")
    if obj["kind"] == "CronJob" and isinstance(spec, dict) and isinstance(spec.get("jobTemplate"), dict):
        yield spec["jobTemplate"]
        spec = spec["jobTemplate"].get("spec")
    built_in = "." not in obj["apiVersion"]
    if built_in and isinstance(spec, dict) and isinstance(spec.get("template"), dict):
        yield spec["template"]


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidManifest(f"The {key} of an object must be a mapping, not {value!r}.")
    return value
