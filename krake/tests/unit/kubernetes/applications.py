"""Applications as the pure parts of the application controller see them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from krake.controller.kubernetes.application.desired import Declared, declare
from krake.controller.kubernetes.application.health import Health, Verdict
from krake.controller.kubernetes.application.lifecycle import Outcome
from krake.data import Key, Metadata, Reason, ReasonCode, ResourceRef
from krake.data.kubernetes import (
    Application,
    ApplicationSpec,
    ApplicationStatus,
    Cluster,
    ClusterConstraints,
    Constraints,
    ContainerHealth,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
REJECTED = Outcome(problem=Reason(code=ReasonCode.KUBERNETES_ERROR, message="No."))
LOST = Outcome(problem=Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message="Gone."), unreachable=True)
TROUBLE = replace(REJECTED, passing=True)
UID = "6c2a6f52-3a8e-4d7b-9b1e-0d8f7a3c9e11"


def cluster(name: str) -> ResourceRef:
    return Cluster.definition.ref(Key("red", name))


A, B, C = cluster("a"), cluster("b"), cluster("c")


def app(*manifest: dict[str, Any], metadata: dict[str, Any] | None = None, **status: Any) -> Application:
    """An application that the scheduler has just handed over."""
    return Application(
        metadata=Metadata(
            **{"name": "app", "namespace": "red", "uid": UID, "modified": NOW - timedelta(seconds=1)} | (metadata or {})
        ),
        spec=ApplicationSpec(manifest=list(manifest), constraints=Constraints(cluster=ClusterConstraints())),
        status=ApplicationStatus(**{"kube_controller_triggered": NOW, "scheduled_to": A} | status),
    )


def config_map(name: str = "settings", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str = "echo", **container: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "image": "x", **container}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def declared(*manifest: dict[str, Any]) -> list[Declared]:
    return declare(app(), [*manifest], lambda _: True, "default")


def outcome(verdict: Verdict, *, complete: bool = True, message: str | None = None) -> Outcome:
    return Outcome(complete=complete, health=Health(verdict, message, ContainerHealth(desired_pods=1)))
