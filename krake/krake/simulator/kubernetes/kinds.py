"""The kinds that a simulated cluster serves: one table for the built-in ones, and those that CRDs add."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the API knows about a kind; `group` is empty for the core group."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    generation: bool = False  # counts changes of everything outside metadata and status
    orphans: bool = False  # a delete without propagation policy leaves the dependents
    custom: bool = False
    in_all: bool = False  # part of what `kubectl get all` shows
    stored: bool = True  # of several versions of a custom kind, the one that is stored
    schema: Object | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name in messages and the bucket in the storage, e.g. `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified(self) -> str:
        """The kind as it appears in validation errors, e.g. `Deployment.apps`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


def _core(kind: str, plural: str, *short_names: str, **rest: Any) -> Kind:
    return Kind("", "v1", kind, plural, short_names=short_names, **rest)


def _apps(kind: str, plural: str, short_name: str, *, scale: bool = True) -> Kind:
    subresources = ("status", "scale") if scale else ("status",)
    return Kind("apps", "v1", kind, plural, True, (short_name,), subresources, generation=True, in_all=True)


def _rbac(kind: str, plural: str, *, namespaced: bool) -> Kind:
    return Kind("rbac.authorization.k8s.io", "v1", kind, plural, namespaced)


STATUS = ("status",)

BUILT_IN = (
    _core("Namespace", "namespaces", "ns", namespaced=False, subresources=("status", "finalize")),
    _core("Node", "nodes", "no", namespaced=False, subresources=STATUS),
    _core("Pod", "pods", "po", in_all=True, subresources=("status", "binding", "eviction", "log")),
    _core("Service", "services", "svc", in_all=True, subresources=STATUS),
    _core("Endpoints", "endpoints", "ep"),
    _core("ConfigMap", "configmaps", "cm"),
    _core("Secret", "secrets"),
    _core("ServiceAccount", "serviceaccounts", "sa"),
    _core("PersistentVolume", "persistentvolumes", "pv", namespaced=False, subresources=STATUS),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", subresources=STATUS),
    _core("Event", "events", "ev"),
    _core("LimitRange", "limitranges", "limits"),
    _core("ResourceQuota", "resourcequotas", "quota", subresources=STATUS),
    _apps("Deployment", "deployments", "deploy"),
    _apps("ReplicaSet", "replicasets", "rs"),
    _apps("StatefulSet", "statefulsets", "sts"),
    _apps("DaemonSet", "daemonsets", "ds", scale=False),
    Kind("apps", "v1", "ControllerRevision", "controllerrevisions"),
    Kind("batch", "v1", "Job", "jobs", subresources=STATUS, generation=True, orphans=True, in_all=True),
    Kind("batch", "v1", "CronJob", "cronjobs", True, ("cj",), STATUS, generation=True, in_all=True),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses", True, ("ing",), STATUS, generation=True),
    Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", False, generation=True),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", True, ("netpol",), generation=True),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True, ("pdb",), STATUS, generation=True),
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True, ("hpa",), STATUS),
    Kind("coordination.k8s.io", "v1", "Lease", "leases"),
    Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", False, ("sc",)),
    Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False, ("pc",)),
    _rbac("Role", "roles", namespaced=True),
    _rbac("RoleBinding", "rolebindings", namespaced=True),
    _rbac("ClusterRole", "clusterroles", namespaced=False),
    _rbac("ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Kind(
        "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
        False, ("crd", "crds"), STATUS, generation=True,
    ),
)  # fmt: skip

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in BUILT_IN}
BUILT_IN_NAMES = {(kind.api_version, kind.kind) for kind in BUILT_IN}
BY_RESOURCE = {kind.resource: kind for kind in BUILT_IN}


def custom_kinds(definition: Object) -> Iterator[Kind]:
    """The kinds that a CustomResourceDefinition declares, one for each served version."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        subresources = version.get("subresources") or {}
        yield Kind(
            group=spec["group"],
            version=version["name"],
            kind=names["kind"],
            plural=names["plural"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            subresources=tuple(name for name in ("status", "scale") if name in subresources),
            generation=True,
            custom=True,
            stored=bool(version.get("storage")),
            schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        )


class Registry:
    """The kinds of one cluster: the built-in table, shared by all clusters, plus the custom kinds."""

    def __init__(self) -> None:
        self._custom: dict[str, tuple[Kind, ...]] = {}

    def serve(self, definition: Object) -> None:
        """Serve what the CustomResourceDefinition declares, in place of what it declared before."""
        self._custom[definition["metadata"]["name"]] = tuple(custom_kinds(definition))

    def withdraw(self, name: str) -> None:
        self._custom.pop(name, None)

    def __iter__(self) -> Iterator[Kind]:
        yield from BUILT_IN
        for kinds in self._custom.values():
            yield from kinds

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind at this place of the API, or None when nothing is served there."""
        kind = _BY_PATH.get((group, version, plural))
        if kind is not None:
            return kind
        candidates = self._custom.get(f"{plural}.{group}", ())
        return next((kind for kind in candidates if kind.version == version), None)

    def bucket(self, resource: str) -> Kind | None:
        """The kind whose objects are stored as `resource`, in its stored version."""
        kind = BY_RESOURCE.get(resource)
        if kind is not None:
            return kind
        candidates: Iterable[Kind] = self._custom.get(resource, ())
        return next((kind for kind in candidates if kind.stored), next(iter(candidates), None))

    def named(self, api_version: str, name: str) -> Kind | None:
        """The kind called `name` of `api_version`, as object references name it."""
        return next((kind for kind in self if kind.kind == name and kind.api_version == api_version), None)
