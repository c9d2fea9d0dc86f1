"""Objects as the API answers them."""

from typing import Any

from krake.data import Metadata
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterConstraints,
    ClusterSpec,
    Constraints,
)

CREATED = "2022-03-30T16:01:03.123456+00:00"
MINIKUBE = {"api": "kubernetes", "namespace": "system:admin", "kind": "Cluster", "name": "minikube2"}
NO_CLUSTER = {"code": "NO_SUITABLE_RESOURCE", "message": "No matching Kubernetes cluster found"}


def application(name: str = "echo-demo", **status: Any) -> dict[str, Any]:
    """Return the wire form of an application."""
    spec = ApplicationSpec(manifest=[], constraints=Constraints(cluster=ClusterConstraints()))
    item = Application(metadata=Metadata(name=name, namespace="system:admin", uid="u1"), spec=spec).serialize()
    item["metadata"] |= {"created": CREATED, "modified": CREATED, "resource_version": "7"}
    item["status"] |= status
    return item


def cluster(name: str = "minikube2", **status: Any) -> dict[str, Any]:
    """Return the wire form of a cluster."""
    spec = ClusterSpec(constraints=ClusterCloudConstraints(cloud=CloudConstraints()))
    item = Cluster(metadata=Metadata(name=name, namespace="system:admin", uid="u2"), spec=spec).serialize()
    item["metadata"] |= {"created": CREATED, "modified": CREATED, "resource_version": "7"}
    item["status"] |= status
    return item


def node(name: str, **conditions: str) -> dict[str, Any]:
    """Return a node with the statuses of its conditions."""
    entries = [{"type": type_, "status": status, "reason": "", "message": ""} for type_, status in conditions.items()]
    return {"api": "kubernetes", "kind": "ClusterNode", "metadata": {"name": name}, "status": {"conditions": entries}}
