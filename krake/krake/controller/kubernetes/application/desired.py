"""What should be on the cluster: the objects of a manifest, complete, marked as the application's, in the order of creation.

An object carries a digest of what was declared. So it shows by itself whether it was declared differently since, whoever was
killed in between. Pure.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from krake.controller.kubernetes.application.observe import OF_THE_CLUSTER, fill_in, observer_schema
from krake.data.kubernetes import Application
from krake.data.metadata import ReasonCode
from krake.data.secrets import marked_fields
from krake.ports.cluster import APPLICATION_ANNOTATION, OWNER_LABEL, Identity, Object, ObjectType

DIGEST_ANNOTATION = "krake.cloud/declared"
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
_ANNOTATIONS_OF_THE_CLUSTER = (
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
)
"""What controllers of Kubernetes keep on objects; it is in what was exported from a cluster."""


class InvalidManifest(Exception):
    """The manifest can not be what its user means."""

    code = ReasonCode.INVALID_RESOURCE


@dataclass(frozen=True)
class Declared:
    """An object that should be there.

    :param recorded: as its user declared it, with its namespace, and the fields that are observed, but not set, with the values
        that the cluster gave them first; what the status keeps.
    :param object: as it is sent to the cluster.
    :param schema: which of the fields of *recorded* are observed.
    :param observed: which of the fields of *object* are: those, and the marks.
    :param digest: of what was declared.
    """

    identity: Identity
    recorded: dict[str, Any]
    object: dict[str, Any]
    schema: dict[str, Any]
    observed: dict[str, Any]
    digest: str


def declare(
    app: Application,
    manifest: Iterable[Mapping[str, Any]],
    is_namespaced: Callable[[ObjectType], bool],
    default_namespace: str,
    schemas: Iterable[Mapping[str, Any]] | None = None,
) -> list[Declared]:
    """Return what should be there, in the order of creation.

    :param manifest: the objects of the application on the cluster in question.
    :param schemas: which fields of some of them are observed; those that the application declares by default.
    :raises InvalidManifest: an object is declared twice, or is none, or its secrets are not shown.
    """
    if hidden := marked_fields(app.spec):
        raise InvalidManifest(
            f"The API does not show {hidden[0]} to this controller: its user needs the permission to get applications/secrets,"
            " or the API lacks the key that has sealed it."
        )
    manifest = list(manifest)
    given = app.spec.observer_schema if schemas is None else schemas
    pairs = zip(manifest, observer_schema(manifest, given), strict=True)
    kept = _kept(app)
    declared = [_declare_one(app, item, schema, kept, is_namespaced, default_namespace) for item, schema in pairs]
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


def _kept(app: Application) -> dict[Identity, dict[str, Any]]:
    """The objects as they were when they were filled in last.

    What a cluster made of a field that is observed, but not set, holds there until the application is declared differently.
    """
    status = app.status
    if status.running_on != status.scheduled_to or status.observed_generation != app.metadata.generation:
        return {}
    return {recorded_identity(item): item for item in status.last_applied_manifest}


def _declare_one(
    app: Application,
    item: Mapping[str, Any],
    schema: dict[str, Any],
    kept: Mapping[Identity, dict[str, Any]],
    is_namespaced: Callable[[ObjectType], bool],
    default_namespace: str,
) -> Declared:
    type_ = ObjectType(item["apiVersion"], item["kind"])
    metadata = {key: value for key, value in item["metadata"].items() if key not in OF_THE_CLUSTER}
    namespace = metadata.pop("namespace", None)
    if is_namespaced(type_):
        if namespace is not None and not isinstance(namespace, str):
            raise InvalidManifest(f"metadata.namespace of {type_.kind} {metadata['name']} is not a text.")
        metadata["namespace"] = namespace = namespace or default_namespace
    else:
        namespace = None
    identity = Identity(type_, namespace, metadata["name"])
    recorded = {**item, "metadata": metadata}
    digest = hashlib.sha256(json.dumps(recorded, sort_keys=True, default=str).encode()).hexdigest()[:32]
    if identity in kept:
        recorded = fill_in(recorded, schema, kept[identity])
    obj, marks = _mark(app, recorded, digest)
    return Declared(identity, recorded, obj, schema, _join(_schema_for(obj, schema), marks), digest)


def _mark(app: Application, recorded: Mapping[str, Any], digest: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Label an object and the Pods that come of it, so that they are found by one watch for all applications.

    Returns the object, and the schema of the marks.
    """
    plain = {key: value for key, value in recorded.items() if key != "status"}
    obj = copy.deepcopy(_encoded(plain))
    metadata = obj["metadata"]
    metadata["labels"] = {MANAGED_BY: "krake", **_mapping(metadata, "labels"), OWNER_LABEL: app.metadata.uid}
    metadata["annotations"] = {
        **_declared_annotations(metadata),
        APPLICATION_ANNOTATION: str(app.key),
        DIGEST_ANNOTATION: digest,
    }
    names = {MANAGED_BY: None, OWNER_LABEL: None}, {APPLICATION_ANNOTATION: None, DIGEST_ANNOTATION: None}
    marks: dict[str, Any] = {"metadata": dict(zip(("labels", "annotations"), names, strict=True))}
    for path, template in _templates(obj):
        inner = dict(_mapping(template, "metadata"))
        inner["labels"] = {**_mapping(inner, "labels"), OWNER_LABEL: app.metadata.uid}
        template["metadata"] = inner
        marks = _join(marks, _nest(path, {"metadata": {"labels": {OWNER_LABEL: None}}}))
    return obj, marks


def _encoded(obj: dict[str, Any]) -> dict[str, Any]:
    """Secrets may be declared in clear; they are kept encoded. What makes no sense is left for the cluster to refuse."""
    clear, data = obj.get("stringData"), obj.get("data")
    if (obj["apiVersion"], obj["kind"]) != ("v1", "Secret") or not isinstance(clear, Mapping):
        return obj
    if not isinstance(data, Mapping | None) or not all(isinstance(value, str | None) for value in clear.values()):
        return obj
    rest = {key: value for key, value in obj.items() if key != "stringData"}
    encoded = {key: base64.b64encode((value or "").encode()).decode() for key, value in clear.items()}
    return {**rest, "data": {**(data or {}), **encoded}}


def _schema_for(obj: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "stringData" not in schema or "stringData" in obj:
        return schema
    rest = {key: value for key, value in schema.items() if key != "stringData"}
    return {**rest, "data": _join(schema.get("data", {}), schema["stringData"])}


def _join(one: Any, other: Any) -> Any:
    """Return a schema of all that either of two observes."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**one, **{key: _join(one[key], value) if key in one else value for key, value in other.items()}}
    return None if other is None else one


def _nest(path: Iterable[str], value: Any) -> Any:
    for key in reversed(tuple(path)):
        value = {key: value}
    return value


def _declared_annotations(metadata: Mapping[str, Any]) -> dict[str, Any]:
    annotations = _mapping(metadata, "annotations").items()
    return {key: value for key, value in annotations if not str(key).startswith(_ANNOTATIONS_OF_THE_CLUSTER)}


def _templates(obj: Object) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The templates in an object, with where they are."""
    spec = obj.get("spec")
    path: tuple[str, ...] = ("spec",)
    if obj["kind"] == "CronJob" and isinstance(spec, dict) and isinstance(spec.get("jobTemplate"), dict):
        yield (*path, "jobTemplate"), spec["jobTemplate"]
        spec, path = spec["jobTemplate"].get("spec"), ("spec", "jobTemplate", "spec")
    built_in = "." not in obj["apiVersion"]
    if built_in and isinstance(spec, dict) and isinstance(spec.get("template"), dict):
        yield (*path, "template"), spec["template"]


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidManifest(f"The {key} of an object must be a mapping, not {value!r}.")
    return value
