"""Manifests that have broken controllers before, or that nobody should write, and what must become of them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from krake.data.kubernetes import ApplicationState

Manifest = list[dict[str, Any]]
State = ApplicationState


@dataclass(frozen=True)
class Case:
    """A manifest, and what must become of it.

    :param make: returns the manifest; is handed a name that no other case uses.
    :param then: what it is changed to once it has settled.
    :param states: one of these is reached, and kept.
    :param said: what the reason must match, where the application does not run.
    """

    make: Callable[[str], Manifest]
    states: frozenset[State] = frozenset({State.RUNNING})
    said: str = "."
    then: Callable[[str], Manifest] | None = None


def runs(make: Callable[[str], Manifest]) -> Case:
    return Case(make)


def fails(make: Callable[[str], Manifest], said: str) -> Case:
    return Case(make, frozenset({State.FAILED}), said)


def fails_then(make: Callable[[str], Manifest], then: Callable[[str], Manifest], said: str) -> Case:
    return Case(make, frozenset({State.FAILED}), said, then)


def degrades(make: Callable[[str], Manifest], said: str) -> Case:
    return Case(make, frozenset({State.DEGRADED}), said)


def either(make: Callable[[str], Manifest], said: str = ".") -> Case:
    """Versions of Kubernetes differ: it runs, or is refused with a reason."""
    return Case(make, frozenset({State.RUNNING, State.FAILED}), said)


def obj(version: str, kind: str, name: str, metadata: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **(metadata or {})}, **fields}


def data(name: str, metadata: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return obj("v1", "ConfigMap", name, metadata, data=values)


def pods(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example/echo:1", **spec.pop("container", {})}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}


def workload(name: str, kind: str = "Deployment", pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": name}}
    return obj("apps/v1", kind, name, spec={"selector": selector, "template": pods(name, **(pod or {})), **spec})


def container(name: str, **fields: Any) -> dict[str, Any]:
    return workload(name, pod={"container": fields})


def service(name: str, **spec: Any) -> dict[str, Any]:
    return obj("v1", "Service", name, spec={"selector": {"app": name}, "ports": [{"port": 80}], **spec})


def definition(name: str, scope: str = "Namespaced", schema: dict[str, Any] | None = None, **version: Any) -> dict[str, Any]:
    group = f"{name}.example.org"
    schema = schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}]
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    spec = {"group": group, "scope": scope, "names": names, "versions": versions}
    return obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"things.{group}", spec=spec)


def thing(name: str, **fields: Any) -> dict[str, Any]:
    return obj(f"{name}.example.org/v1", "Thing", name, **fields)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"end": True}
    for _ in range(depth):
        value = {"inner": value}
    return value


_PRUNING = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"known": {"type": "string"}}}}}
_DEFAULTING = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "default": 3},
                "items": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"n": {"type": "string"}, "d": {"type": "string", "default": "x"}},
                    },
                },
            },
        }
    },
}
_PROBE = {"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 5}
_NO_HOOK = {
    "name": "nobody.example.org",
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "failurePolicy": "Ignore",
    "clientConfig": {"url": "https://127.0.0.1:1/nobody"},
    "rules": [{"apiGroups": ["nobody.example.org"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["nothing"]}],
}
_JOB = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/job:1"}]}}}


def _job(name: str, image: str) -> dict[str, Any]:
    spec = copy.deepcopy(_JOB)
    spec["template"]["spec"]["containers"][0]["image"] = image  # type: ignore[index]
    return obj("batch/v1", "Job", name, spec=spec)


def _exported(name: str) -> dict[str, Any]:
    metadata = {
        "uid": "c0ffee",
        "resourceVersion": "1",
        "generation": 7,
        "creationTimestamp": None,
        "selfLink": "/api/v1/x",
        "managedFields": [{"manager": "kubectl", "operation": "Update"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "deployment.kubernetes.io/revision": "3"},
    }
    exported = workload(name)
    exported["metadata"] |= metadata
    return {**exported, "status": {"replicas": 9, "readyReplicas": 9}}


def _claim(size: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": ""}
    return {"metadata": {"name": "data"}, "spec": spec}


def _stateful(name: str) -> Manifest:
    return [
        service(name, clusterIP="None"),
        workload(name, "StatefulSet", serviceName=name, volumeClaimTemplates=[_claim("1.0Gi")], replicas=0),
    ]


CASES: dict[str, Case] = {
    # what the names of keys and fields can be
    "keys with capitals": runs(lambda n: [data(n, MY_KEY="1", appName="x", clusterIPs="y", **{"exec": "1", "from": "2"})]),
    "labels with capitals": runs(lambda n: [data(n, {"labels": {"appName": "X"}, "annotations": {"MyNote": "ä\n😀"}})]),
    "fields called exec and except": runs(
        lambda n: [
            container(n, livenessProbe=_PROBE, lifecycle={"preStop": {"exec": {"command": ["sleep", "1"]}}}),
            obj(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                n,
                spec={
                    "podSelector": {},
                    "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}],
                },
            ),
        ]
    ),
    "fields with acronyms": runs(
        lambda n: [
            service(n, clusterIP="None", publishNotReadyAddresses=True),
            obj("rbac.authorization.k8s.io/v1", "ClusterRole", n, rules=[{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]),
        ]
    ),
    "unicode and bytes": runs(lambda n: [data(n, text="ä\u2028😀\t\n") | {"binaryData": {"bytes": "AAEC/w=="}}]),
    # what is the same though it is written otherwise
    "quantities": runs(
        lambda n: [
            container(
                n,
                resources={
                    "limits": {"cpu": 1, "memory": "1024Mi", "ephemeral-storage": "1e9"},
                    "requests": {"cpu": "0.50", "memory": "536870912"},
                },
            )
        ]
    ),
    "numbers or texts": runs(
        lambda n: [
            service(n, ports=[{"port": 80, "name": "a", "targetPort": "web"}, {"port": 81, "name": "b", "targetPort": 80}]),
            workload(n, strategy={"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}),
        ]
    ),
    "nulls and empty things": runs(
        lambda n: [
            data(n) | {"binaryData": None},
            container(n, env=[{"name": "A", "value": ""}], args=[], resources={}, volumeMounts=None, tty=False),
        ]
    ),
    "secrets in clear": runs(
        lambda n: [obj("v1", "Secret", n, stringData={"MY_KEY": "ä", "empty": ""}, data={"other": "eA=="})]
    ),
    "a secret twice": runs(lambda n: [obj("v1", "Secret", n, stringData={"key": "clear"}, data={"key": "eA=="})]),
    "what was exported from a cluster": runs(lambda n: [_exported(n)]),
    "ports without protocols": runs(
        lambda n: [
            service(n, ports=[{"port": 53, "name": "t"}, {"port": 53, "protocol": "UDP", "name": "u"}]),
            container(n, ports=[{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]),
        ]
    ),
    "tolerations and volumes that admission adds to": runs(
        lambda n: [
            obj(
                "v1",
                "Pod",
                n,
                spec={
                    "containers": [
                        {
                            "name": "main",
                            "image": "registry.example/echo:1",
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "tolerations": [{"key": "example.org/x", "operator": "Exists"}],
                },
            )
        ]
    ),
    "templates of claims": runs(_stateful),
    # what the cluster says later
    "a load balancer without an address": runs(lambda n: [service(n, type="LoadBalancer")]),
    "a service for something outside": runs(
        lambda n: [obj("v1", "Service", n, spec={"type": "ExternalName", "externalName": "x.y"})]
    ),
    # where things are
    "two namespaces with equal names": runs(
        lambda n: (
            [data("same", {"namespace": f"{n}-{i}"}, where=str(i)) for i in (1, 2)]
            + [obj("v1", "Namespace", f"{n}-{i}") for i in (1, 2)]
        )
    ),
    "a namespace after what is in it": runs(
        lambda n: [workload("echo") | {"metadata": {"name": "echo", "namespace": n}}, obj("v1", "Namespace", n)]
    ),
    "a namespace that nobody declares": runs(lambda n: [data("settings", {"namespace": n}, a="1")]),
    "a namespace for what has none": runs(lambda n: [obj("v1", "Namespace", n, {"namespace": "default"})]),
    "a namespace of the cluster": fails(lambda n: [obj("v1", "Namespace", "kube-system")], "not created by Krake"),
    "a namespace that is no text": fails(lambda n: [data(n, {"namespace": ["x"]})], "not a text"),
    # custom resources
    "a custom resource before its definition": runs(lambda n: [thing(n, spec={"MY_KEY": [1, {"b": None}]}), definition(n)]),
    "a custom resource outside of namespaces": runs(lambda n: [thing(n, spec={"a": 1}), definition(n, "Cluster")]),
    "fields that a definition does not know": runs(
        lambda n: [definition(n, schema=_PRUNING), thing(n, spec={"known": "a"}, status={"phase": "mine"})]
    ),
    "fields that a definition sets": runs(
        lambda n: [definition(n, schema=_DEFAULTING), thing(n, spec={"items": [{"n": "1"}]})]
    ),
    "a type that nobody knows": fails(lambda n: [obj("example.org/v1", "Unicorn", n)], "Unicorn resources of example.org/v1"),
    "a version that is none": fails(lambda n: [obj("../../v1", "Pod", n)], "Pod resources of ../../v1"),
    "a list of objects": fails(lambda n: [obj("v1", "List", n, items=[data(n)])], "List resources of v1"),
    "a custom resource against its definition": fails(
        lambda n: [definition(n, schema=_DEFAULTING), thing(n, spec={"size": "many"})], "spec.size|size"
    ),
    # what is too much
    "a large object": runs(lambda n: [data(n, text="x" * 300_000)]),
    "many objects": runs(lambda n: [data(f"{n}-{i}", a=str(i)) for i in range(60)]),
    "something deep": runs(lambda n: [definition(n), thing(n, spec=nested(10))]),
    "annotations that are too long": either(lambda n: [data(n, {"annotations": {"a": "x" * 270_000}})], "annotations|long"),
    # nonsense
    "a name with capitals": fails(lambda n: [data(n.upper())], "(?i)invalid"),
    "a name that climbs": fails(lambda n: [data("../../secrets/x")], "(?i)invalid|may not|can not be"),
    "a name without an end": fails(lambda n: [data("x" * 300)], "(?i)invalid|no more than"),
    "labels that are a list": fails(lambda n: [data(n, {"labels": ["a"]})], "labels of an object must be a mapping"),
    "a label that can be none": fails(lambda n: [data(n, {"labels": {"a": "not a label!"}})], "(?i)invalid"),
    "the same object twice": fails(lambda n: [data(n, a="1"), data(n, a="2")], "declared twice"),
    "a number that is a text": fails(lambda n: [workload(n, replicas="three")], "replicas"),
    "a number below zero": fails(lambda n: [workload(n, replicas=-1)], "replicas"),
    "a text that is a number": fails(lambda n: [data(n, a=1)], "(?i)data|string"),
    "a selector that selects nothing of it": fails(
        lambda n: [workload(n, selector={"matchLabels": {"app": "other"}})], "selector"
    ),
    "a workload without containers": fails(
        lambda n: [workload(n, template={"metadata": {"labels": {"app": n}}, "spec": {}})], "containers"
    ),
    "a field with a typing error": either(lambda n: [workload(n, replica=3)], "replica"),
    "the same variable twice": either(lambda n: [container(n, env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])]),
    "somebody else's owner label": runs(lambda n: [data(n, {"labels": {"krake.cloud/application-uid": "forged"}}, a="1")]),
    # what can not be changed
    "a template of a job that changes": fails_then(
        lambda n: [_job(n, "registry.example/job:1")], lambda n: [_job(n, "registry.example/job:2")], "immutable"
    ),
    "a sealed object that changes": fails_then(
        lambda n: [data(n, a="1") | {"immutable": True}], lambda n: [data(n, a="2") | {"immutable": True}], "immutable"
    ),
    "a selector that changes": fails_then(
        lambda n: [workload(n)],
        lambda n: [workload(n, selector={"matchLabels": {"x": "y"}}, template=pods(n) | {"metadata": {"labels": {"x": "y"}}})],
        "immutable",
    ),
    # what does not come up, or does not go
    "an image that does not exist": degrades(lambda n: [container(n, image="registry.example/missing:1")], "ImagePullBackOff"),
    "a container that crashes": degrades(lambda n: [container(n, image="registry.example/crash:1")], "CrashLoopBackOff"),
    "finalizers": runs(lambda n: [data(n, {"finalizers": ["example.org/nobody-takes-it-away"]}, a="1")]),
    # what reaches into others
    "hooks into the cluster": either(
        lambda n: [
            obj("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", n, webhooks=[_NO_HOOK]),
            obj("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", n, webhooks=[_NO_HOOK]),
        ],
        "not supported",
    ),
    "an autoscaler for its own replicas": either(
        lambda n: [
            workload(n, replicas=2),
            obj(
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                n,
                spec={"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": n}},
            ),
        ],
        "not supported",
    ),
    "accounts and roles": runs(
        lambda n: [
            obj("v1", "ServiceAccount", n, imagePullSecrets=[{"name": n}]),
            obj(
                "rbac.authorization.k8s.io/v1", "Role", n, rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
            ),
            obj(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                n,
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": n},
                subjects=[{"kind": "ServiceAccount", "name": n, "namespace": "default"}],
            ),
        ]
    ),
}
