"""Clusters on clouds, as the tests of what is decided about them have them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from krake.controller.infrastructure.steps import Home, Pace
from krake.data import Key, Metadata
from krake.data.infrastructure import (
    Cloud,
    CloudSpec,
    ImSpec,
    InfrastructureProvider,
    InfrastructureProviderRef,
    InfrastructureProviderSpec,
    LocalCloudSpec,
)
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints, ClusterSpec, ClusterStatus
from krake.data.metadata import INFRASTRUCTURE_RESOURCES_DELETION

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PACE = Pace(timedelta(seconds=30), timedelta(seconds=60), timedelta(hours=1), timedelta(seconds=60))


def _metadata(name: str, **more: Any) -> Metadata:
    finalizers = [INFRASTRUCTURE_RESOURCES_DELETION]
    return Metadata(
        **{"name": name, "namespace": "red", "uid": f"uid-of-{name}", "generation": 1, "finalizers": finalizers, **more}
    )


CLOUD = Cloud(
    metadata=_metadata("cloud"),
    spec=CloudSpec(value=LocalCloudSpec(infrastructure_provider=InfrastructureProviderRef(name="im", namespaced=True))),
)
PROVIDER = InfrastructureProvider(
    metadata=_metadata("im"),
    spec=InfrastructureProviderSpec(value=ImSpec(url="https://im.example", token="t")),
)
HOME = Home(CLOUD, PROVIDER)


def template(workers: int = 1) -> dict[str, Any]:
    """Return a template, with a member that no merge patch can write."""
    return {"workers": workers, "description": None}


def cluster_on_cloud(*, status: dict[str, Any] | None = None, **spec: Any) -> Cluster:
    """Return a cluster that is bound to the cloud, and not created yet."""
    declared = {"tosca": template(), "constraints": ClusterCloudConstraints(cloud=CloudConstraints()), **spec}
    bound = Cloud.definition.ref(Key("red", "cloud"))
    return Cluster(
        metadata=_metadata("cluster", finalizers=[]),
        spec=ClusterSpec(**declared),
        status=ClusterStatus(**{"scheduled_to": bound, **(status or {})}),
    )
