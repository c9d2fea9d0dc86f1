"""What the API refuses with 422: required fields, names, ranges and fields that may not change."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from krake.simulator.kubernetes.kinds import Kind, Object
from krake.simulator.kubernetes.names import check_annotations, check_labels, check_name, check_part_name
from krake.simulator.kubernetes.schema import check_schema
from krake.simulator.kubernetes.selectors import match_labels, requirements_of
from krake.simulator.kubernetes.status import Cause, duplicate, invalid_value, required, unsupported

IMMUTABLE = "field is immutable"
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_UPDATE_TYPES = ("OnDelete", "RollingUpdate")
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_CONFIG_KEY = "[-._a-zA-Z0-9]+"


def check_create(kind: Kind, obj: Object) -> list[Cause]:
    """What is wrong with a new object that has its defaults."""
    metadata = obj["metadata"]
    causes = check_name(kind, metadata["name"]) if metadata.get("name") else []
    return [*causes, *_check(kind, obj)]


def check_update(kind: Kind, obj: Object, old: Object) -> list[Cause]:
    """What is wrong with the new state of an object, on its own and against its old state."""
    return [*_check(kind, obj), *_check_immutable(kind, obj, old)]


def _check(kind: Kind, obj: Object) -> list[Cause]:
    metadata = obj["metadata"]
    causes = check_labels(metadata.get("labels"), "metadata.labels")
    causes += check_annotations(metadata.get("annotations"), "metadata.annotations")
    checker = _CHECKERS.get(kind.resource)
    return [*causes, *(checker(obj) if checker else ())]


def _check_immutable(kind: Kind, obj: Object, old: Object) -> Iterable[Cause]:
    for path in _FIXED.get(kind.resource, ()):
        before, after = _at(old, path), _at(obj, path)
        if before != after:
            yield invalid_value(path, after, IMMUTABLE)
    if kind.resource == "pods":
        yield from _check_pod_update(obj, old)
    if kind.resource in ("configmaps", "secrets") and old.get("immutable") and _data(obj) != _data(old):
        yield Cause("data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")


def _data(obj: Object) -> Any:
    return obj.get("data"), obj.get("binaryData"), obj.get("immutable")


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _check_pod_update(obj: Object, old: Object) -> Iterable[Cause]:
    def fixed(spec: Object) -> Object:
        images = {"containers", "initContainers", "activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}
        return {name: value for name, value in spec.items() if name not in images}

    names = [[item.get("name") for item in each["spec"].get("containers") or ()] for each in (obj, old)]
    if fixed(obj["spec"]) != fixed(old["spec"]) or names[0] != names[1]:
        text = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
            "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )
        yield Cause("spec", "FieldValueForbidden", text)


def _check_deployment(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    strategy = _check_strategy(spec["strategy"], "spec.strategy", ("Recreate", "RollingUpdate"))
    return [*_check_replicas(spec), *strategy, *_check_selected(spec, "deployment")]


def _check_replica_set(obj: Object) -> list[Cause]:
    return [*_check_replicas(obj["spec"]), *_check_selected(obj["spec"], "replicaset")]


def _check_stateful_set(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    strategy = _check_strategy(spec["updateStrategy"], "spec.updateStrategy", _UPDATE_TYPES)
    claims = [
        required(f"spec.volumeClaimTemplates[{index}].metadata.name")
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ())
        if not (claim.get("metadata") or {}).get("name")
    ]
    return [*_check_replicas(spec), *strategy, *claims, *_check_selected(spec, "statefulset")]


def _check_daemon_set(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    strategy = _check_strategy(spec["updateStrategy"], "spec.updateStrategy", _UPDATE_TYPES)
    return [*strategy, *_check_selected(spec, "daemonset")]


def _check_replicas(spec: Object) -> list[Cause]:
    replicas = spec.get("replicas")
    if isinstance(replicas, int) and replicas < 0:
        return [invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")]
    return []


def _check_selected(spec: Object, name: str) -> list[Cause]:
    selector, template = spec.get("selector"), spec["template"]
    causes = []
    if selector is None:
        causes.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(invalid_value("spec.selector", selector, f"empty selector is invalid for {name}"))
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes += _check_expressions(selector or {})
    if causes and any(cause.field.startswith("spec.selector.matchExpressions") for cause in causes):
        return causes
    if selector is None or not match_labels(requirements_of(selector), labels):
        text = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels, text))
    causes += check_labels(labels, "spec.template.labels")
    made = [(each.get("metadata") or {}).get("name") for each in spec.get("volumeClaimTemplates") or ()]
    causes += _check_pod_spec(template["spec"], "spec.template.spec", made)
    policy = template["spec"].get("restartPolicy")
    if policy != "Always":
        causes.append(unsupported("spec.template.spec.restartPolicy", policy, ["Always"]))
    return causes


def _check_expressions(selector: Object) -> list[Cause]:
    causes = []
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        field = f"spec.selector.matchExpressions[{index}]"
        operator = expression.get("operator")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            causes.append(invalid_value(f"{field}.operator", operator, "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not expression.get("values"):
            causes.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        if not expression.get("key"):
            causes.append(invalid_value(f"{field}.key", "", "name part must be non-empty"))
    return causes


def _check_strategy(strategy: Object, field: str, types: tuple[str, ...]) -> list[Cause]:
    causes = [] if strategy.get("type") in types else [unsupported(f"{field}.type", strategy.get("type"), types)]
    for name, value in (strategy.get("rollingUpdate") or {}).items():
        path = f"{field}.rollingUpdate.{name}"
        if isinstance(value, int) and value < 0:
            causes.append(invalid_value(path, value, "must be greater than or equal to 0"))
        if isinstance(value, str) and not re.fullmatch("[0-9]+%", value):
            text = "a valid percent string must be a numeric string followed by an ending '%'"
            causes.append(invalid_value(path, value, text))
    return causes


def _check_pod(obj: Object) -> list[Cause]:
    return _check_pod_spec(obj["spec"], "spec")


def _check_job(obj: Object) -> list[Cause]:
    return _check_job_spec(obj["spec"], "spec")


def _check_job_spec(spec: Object, field: str) -> list[Cause]:
    causes = [
        invalid_value(f"{field}.{name}", spec[name], "must be greater than or equal to 0")
        for name in ("completions", "parallelism", "backoffLimit")
        if isinstance(spec.get(name), int) and spec[name] < 0
    ]
    template = spec["template"]["spec"]
    causes += _check_pod_spec(template, f"{field}.template.spec")
    policy = template.get("restartPolicy")
    if policy not in ("OnFailure", "Never"):
        path = f"{field}.template.spec.restartPolicy"
        detail = 'valid values: "OnFailure", "Never"'
        wrong = unsupported(path, policy, ["OnFailure", "Never"])
        causes.append(required(path, detail) if policy == "Always" else wrong)
    return causes


def _check_cron_job(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = [] if spec.get("schedule") else [required("spec.schedule")]
    if spec.get("schedule") and len(spec["schedule"].split()) != 5 and not spec["schedule"].startswith("@"):
        detail = f"Expected exactly 5 fields, found {len(spec['schedule'].split())}: {spec['schedule']}"
        causes.append(invalid_value("spec.schedule", spec["schedule"], detail))
    return [*causes, *_check_job_spec(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")]


def _check_pod_spec(spec: Object, field: str, made: Iterable[Any] = ()) -> list[Cause]:
    """Check the spec of Pods; *made* are the names of volumes that they get beside those that it declares."""
    volumes = {*made, *(volume.get("name") for volume in spec.get("volumes") or ())}
    containers = spec.get("containers") or []
    causes = _check_part_names(spec.get("volumes") or (), f"{field}.volumes")
    causes += [] if containers else [required(f"{field}.containers")]
    causes += _check_part_names(containers, f"{field}.containers")
    for index, container in enumerate(containers):
        causes += _check_container(container, f"{field}.containers[{index}]", volumes)
    return causes


def _check_part_names(parts: Iterable[Object], field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[Any] = set()
    for index, part in enumerate(parts):
        name, path = part.get("name"), f"{field}[{index}].name"
        causes += check_part_name(name, path)
        if name and name in seen:
            causes.append(duplicate(path, name))
        seen.add(name)
    return causes


def _check_container(container: Object, field: str, volumes: set[Any]) -> list[Cause]:
    causes = [] if container.get("image") else [required(f"{field}.image")]
    for index, port in enumerate(container.get("ports") or ()):
        causes += _check_port(port, "containerPort", f"{field}.ports[{index}]")
    for index, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            causes.append(required(f"{field}.env[{index}].name"))
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            path = f"{field}.volumeMounts[{index}].name"
            causes.append(Cause(path, "FieldValueNotFound", f'Not found: "{mount.get("name", "")}"'))
        if not mount.get("mountPath"):
            causes.append(required(f"{field}.volumeMounts[{index}].mountPath"))
    return causes


def _check_port(port: Object, name: str, field: str) -> list[Cause]:
    causes = []
    number = port.get(name)
    if not number and name == "containerPort":
        causes.append(required(f"{field}.{name}"))
    elif not isinstance(number, int) or not 0 < number < 65536:
        causes.append(invalid_value(f"{field}.{name}", number or 0, "must be between 1 and 65535, inclusive"))
    if port.get("protocol") not in _PROTOCOLS:
        causes.append(unsupported(f"{field}.protocol", port.get("protocol"), _PROTOCOLS))
    return causes


def _check_service(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    if spec["type"] not in _SERVICE_TYPES:
        return [unsupported("spec.type", spec["type"], _SERVICE_TYPES)]
    ports = spec.get("ports") or []
    causes = check_labels(spec.get("selector"), "spec.selector")
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(required("spec.ports"))
    seen: set[tuple[Any, Any]] = set()
    names: set[Any] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        causes += _check_port(port, "port", field)
        if len(ports) > 1 and not port.get("name"):
            causes.append(required(f"{field}.name"))
        if port.get("name") and port["name"] in names:
            causes.append(duplicate(f"{field}.name", port["name"]))
        if (port.get("port"), port.get("protocol")) in seen:
            causes.append(duplicate(field, {"port": port.get("port"), "protocol": port.get("protocol")}))
        seen.add((port.get("port"), port.get("protocol")))
        names.add(port.get("name"))
    return causes


def _check_data(obj: Object) -> list[Cause]:
    examples = "e.g. 'key.name',  or 'KEY_NAME',  or 'key-name'"
    rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    return [
        invalid_value(f"data[{key}]", key, f"{rule} ({examples}, regex used for validation is '{_CONFIG_KEY}')")
        for key in obj.get("data") or {}
        if not re.fullmatch(_CONFIG_KEY, key)
    ]


def _check_ingress(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    if spec.get("rules") or spec.get("defaultBackend"):
        return []
    return [invalid_value("spec", [], "either `defaultBackend` or `rules` must be specified")]


def _check_claim(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = [] if spec.get("accessModes") else [required("spec.accessModes", "at least 1 access mode is required")]
    if not (spec.get("resources") or {}).get("requests", {}).get("storage"):
        causes.append(required("spec.resources[storage]"))
    return causes


def _check_definition(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    names = spec["names"]
    causes = [required(f"spec.{name}") for name in ("group", "scope", "versions") if not spec.get(name)]
    causes += [required(f"spec.names.{name}") for name in ("plural", "kind") if not names.get(name)]
    if causes:
        return causes
    expected = f"{names['plural']}.{spec['group']}"
    if obj["metadata"]["name"] != expected:
        detail = 'must be spec.names.plural+"."+spec.group'
        causes.append(invalid_value("metadata.name", obj["metadata"]["name"], detail))
    if spec["scope"] not in ("Cluster", "Namespaced"):
        causes.append(unsupported("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
    if sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        text = "must have exactly one version marked as storage version"
        causes.append(invalid_value("spec.versions", [v.get("name") for v in spec["versions"]], text))
    for index, version in enumerate(spec["versions"]):
        if not version.get("name"):
            causes.append(required(f"spec.versions[{index}].name"))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        field = f"spec.versions[{index}].schema.openAPIV3Schema"
        causes += check_schema(schema, field) if schema else [required(field, "schemas are required")]
    return causes


_CHECKERS: dict[str, Callable[[Object], list[Cause]]] = {
    "pods": _check_pod,
    "services": _check_service,
    "configmaps": _check_data,
    "secrets": _check_data,
    "persistentvolumeclaims": _check_claim,
    "deployments.apps": _check_deployment,
    "replicasets.apps": _check_replica_set,
    "statefulsets.apps": _check_stateful_set,
    "daemonsets.apps": _check_daemon_set,
    "jobs.batch": _check_job,
    "cronjobs.batch": _check_cron_job,
    "ingresses.networking.k8s.io": _check_ingress,
    "customresourcedefinitions.apiextensions.k8s.io": _check_definition,
}

_FIXED: dict[str, tuple[str, ...]] = {
    "deployments.apps": ("spec.selector",),
    "replicasets.apps": ("spec.selector",),
    "statefulsets.apps": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "daemonsets.apps": ("spec.selector",),
    "jobs.batch": ("spec.selector", "spec.template", "spec.completions"),
    "secrets": ("type",),
    "rolebindings.rbac.authorization.k8s.io": ("roleRef",),
    "clusterrolebindings.rbac.authorization.k8s.io": ("roleRef",),
    "customresourcedefinitions.apiextensions.k8s.io": ("spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"),
    "persistentvolumeclaims": ("spec.accessModes", "spec.storageClassName", "spec.selector"),
}
