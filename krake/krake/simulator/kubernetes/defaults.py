"""What the API server fills in where a manifest is silent. Functions change the fresh copy that they are given."""

import base64
from collections.abc import Callable, Iterable
from typing import Any

from krake.simulator.kubernetes.kinds import Kind, Object


def fill(kind: Kind, obj: Object) -> Object:
    """Fill in the defaults of a kind; `obj` must be a copy that the caller owns."""
    if not kind.custom:
        _drop_nulls(obj)  # for the real server's decoder, null is the same as absent
    filler = _FILLERS.get(kind.resource)
    if filler is not None:
        filler(obj)
    return obj


def _drop_nulls(value: Any) -> None:
    if isinstance(value, dict):
        for name in [name for name, item in value.items() if item is None]:
            del value[name]
        value = value.values()
    if not isinstance(value, str):
        for item in value if isinstance(value, Iterable) else ():
            _drop_nulls(item)


def _default(container: Object, **values: Any) -> None:
    for name, value in values.items():
        if container.get(name) is None:
            container[name] = value


def _part(container: Object, name: str) -> Object:
    """The map at `name`, made when it is missing; a scratch map when something else is there."""
    if container.get(name) is None:
        container[name] = {}
    part = container[name]
    return part if isinstance(part, dict) else {}


def _maps(container: Object, name: str) -> list[Object]:
    items = container.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _pod(obj: Object) -> None:
    spec = _part(obj, "spec")
    _pod_spec(spec)
    _default(spec, enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority", priority=0)
    _default(spec, serviceAccountName="default", serviceAccount="default")
    if spec.get("tolerations") is None:
        spec["tolerations"] = [
            {
                "key": f"node.kubernetes.io/{state}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for state in ("not-ready", "unreachable")
        ]


def _template(spec: Object) -> None:
    template = _part(spec, "template")
    metadata = _part(template, "metadata")
    metadata.setdefault("creationTimestamp", None)
    _pod_spec(_part(template, "spec"))


def _pod_spec(spec: Object) -> None:
    _default(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    if spec.get("serviceAccountName"):
        _default(spec, serviceAccount=spec["serviceAccountName"])
    for field in ("containers", "initContainers"):
        for container in _maps(spec, field):
            _container(container)
    for volume in _maps(spec, "volumes"):
        _volume(volume)


def _container(container: Object) -> None:
    image = container.get("image") or ""
    latest = isinstance(image, str) and (":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"))
    _default(
        container,
        imagePullPolicy="Always" if latest and "@" not in str(image) else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in _maps(container, "ports"):
        _default(port, protocol="TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            _probe(container[probe])
    for variable in _maps(container, "env"):
        source = variable.get("valueFrom")
        if isinstance(source, dict) and isinstance(source.get("fieldRef"), dict):
            _default(source["fieldRef"], apiVersion="v1")


def _probe(probe: Object) -> None:
    _default(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if isinstance(probe.get("httpGet"), dict):
        _default(probe["httpGet"], path="/", scheme="HTTP")


def _volume(volume: Object) -> None:
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if isinstance(volume.get(source), dict):
            _default(volume[source], defaultMode=420)
    if isinstance(volume.get("hostPath"), dict):
        _default(volume["hostPath"], type="")
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _deployment(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _part(spec, "strategy")
    _default(strategy, type="RollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        _default(_part(strategy, "rollingUpdate"), maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _replica_set(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(spec, replicas=1)
    _template(spec)


def _stateful_set(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(spec, replicas=1, podManagementPolicy="OrderedReady", revisionHistoryLimit=10, serviceName="")
    _default(spec, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
    strategy = _part(spec, "updateStrategy")
    _default(strategy, type="RollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        _default(_part(strategy, "rollingUpdate"), partition=0)
    for claim in _maps(spec, "volumeClaimTemplates"):
        _default(claim, kind="PersistentVolumeClaim", apiVersion="v1", status={"phase": "Pending"})
        _claim(claim)
    _template(spec)


def _daemon_set(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(spec, revisionHistoryLimit=10)
    strategy = _part(spec, "updateStrategy")
    _default(strategy, type="RollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        _default(_part(strategy, "rollingUpdate"), maxSurge=0, maxUnavailable=1)
    _template(spec)


def _job(obj: Object) -> None:
    spec = _part(obj, "spec")
    _job_spec(spec)
    uid = obj["metadata"].get("uid")
    if spec.get("selector") is None and uid is not None:
        name = obj["metadata"]["name"]
        marks = {"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid}
        labels = _part(spec["template"]["metadata"], "labels")
        labels |= {**marks, "batch.kubernetes.io/job-name": name, "job-name": name}
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        _default(obj["metadata"], labels=dict(labels))


def _job_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        _default(spec, completions=1)
    _default(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    _template(spec)


def _cron_job(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(
        spec,
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    template = _part(spec, "jobTemplate")
    _part(template, "metadata").setdefault("creationTimestamp", None)
    _template(_part(template, "spec"))


def _service(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    if spec["type"] == "ExternalName":
        spec.pop("internalTrafficPolicy")
    else:
        _default(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _default(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _default(spec, allocateLoadBalancerNodePorts=True)
    if spec["sessionAffinity"] == "ClientIP":
        _default(_part(_part(spec, "sessionAffinityConfig"), "clientIP"), timeoutSeconds=10800)
    for port in _maps(spec, "ports"):
        _default(port, protocol="TCP")
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]


def _endpoints(obj: Object) -> None:
    for subset in _maps(obj, "subsets"):
        for port in _maps(subset, "ports"):
            _default(port, protocol="TCP")


def _secret(obj: Object) -> None:
    _default(obj, type="Opaque")
    written = obj.pop("stringData", None)
    if isinstance(written, dict) and written:
        encoded = {name: base64.b64encode(str(text).encode()).decode() for name, text in written.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _claim(obj: Object) -> None:
    _default(_part(obj, "spec"), volumeMode="Filesystem")


def _volume_object(obj: Object) -> None:
    spec = _part(obj, "spec")
    _default(spec, volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")
    if isinstance(spec.get("hostPath"), dict):
        _default(spec["hostPath"], type="")


def _namespace(obj: Object) -> None:
    _default(_part(obj, "spec"), finalizers=["kubernetes"])
    labels = _part(_part(obj, "metadata"), "labels")
    labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")


def _definition(obj: Object) -> None:
    spec = _part(obj, "spec")
    names = _part(spec, "names")
    if isinstance(names.get("kind"), str):
        _default(names, singular=names["kind"].lower(), listKind=f"{names['kind']}List")
    _default(spec, conversion={"strategy": "None"})


def _binding(obj: Object) -> None:
    _default(_part(obj, "roleRef"), apiGroup="rbac.authorization.k8s.io")
    for subject in _maps(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            _default(subject, apiGroup="rbac.authorization.k8s.io")


_FILLERS: dict[str, Callable[[Object], None]] = {
    "pods": _pod,
    "services": _service,
    "endpoints": _endpoints,
    "secrets": _secret,
    "namespaces": _namespace,
    "persistentvolumes": _volume_object,
    "persistentvolumeclaims": _claim,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "customresourcedefinitions.apiextensions.k8s.io": _definition,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
}
