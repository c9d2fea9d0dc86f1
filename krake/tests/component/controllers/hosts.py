"""What the tests about clouds and projects put into the API, and the part of the infrastructure controller, which they play."""

from collections.abc import Sequence
from typing import Any

from component.controllers.world import KUBECONFIG

from krake.client import Client
from krake.data import Key, Metadata
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    MetricRef,
    MetricSpec,
    MetricSpecProvider,
    MetricsProviderSpec,
    StaticSpec,
)
from krake.data.infrastructure import (
    Cloud,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudUser,
    GlobalCloud,
    InfrastructureProviderRef,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints, ClusterSpec
from krake.data.openstack import (
    ApplicationCredential,
    AuthMethod,
    MagnumCluster,
    MagnumClusterConstraints,
    MagnumClusterSpec,
    Project,
    ProjectConstraints,
    ProjectSpec,
)

TOSCA = {
    "tosca_definitions_version": "tosca_simple_yaml_1_0",
    "topology_template": {"outputs": {"kubeconfig": {"value": "later"}}},
}


def _refs(metrics: Sequence[str] | dict[str, float]) -> list[MetricRef]:
    weights = metrics if isinstance(metrics, dict) else dict.fromkeys(metrics, 1.0)
    return [MetricRef(name=name, weight=weight) for name, weight in weights.items()]


def _openstack(metrics: Sequence[str] | dict[str, float]) -> CloudSpec:
    login = CloudPassword(user=CloudUser(username="u", password="p"), project=CloudProject(name="p"))
    return CloudSpec(
        value=OpenstackSpec(
            url="https://keystone.example:5000/v3",
            auth=OpenstackAuthMethod(value=login),
            metrics=_refs(metrics),
            infrastructure_provider=InfrastructureProviderRef(name="im"),
        )
    )


async def add_cloud(client: Client, name: str, *, namespace: str = "red", **more: Any) -> Cloud:
    """Declare a cloud of a namespace."""
    metadata = Metadata(name=name, namespace=namespace, labels=more.get("labels", {}))
    return await client.create(Cloud(metadata=metadata, spec=_openstack(more.get("metrics", ()))))


async def add_global_cloud(client: Client, name: str, **more: Any) -> GlobalCloud:
    """Declare a cloud for all."""
    metadata = Metadata(name=name, labels=more.get("labels", {}))
    return await client.create(GlobalCloud(metadata=metadata, spec=_openstack(more.get("metrics", ()))))


async def declare_cluster(client: Client, name: str, **more: Any) -> Cluster:
    """Declare a cluster that is to be created."""
    wanted = CloudConstraints(
        labels=[LabelConstraint.parse(text) for text in more.get("wants", ())],
        metrics=[MetricConstraint.parse(text) for text in more.get("wants_metrics", ())],
    )
    cluster = Cluster(
        metadata=Metadata(
            name=name,
            namespace="red",
            labels=more.get("labels", {}),
            inherit_labels=more.get("inherit_labels", False),
        ),
        spec=ClusterSpec(
            tosca=TOSCA,
            constraints=ClusterCloudConstraints(cloud=wanted),
            metrics=_refs(more.get("metrics", ())),
            inherit_metrics=more.get("inherit_metrics", False),
            auto_generated=more.get("auto_generated", False),
            backoff_limit=more.get("backoff_limit", -1),
            backoff_delay=more.get("backoff_delay", 1),
        ),
    )
    return await client.create(cluster)


async def bring_up(client: Client, name: str, **status: Any) -> Cluster:
    """Do what the infrastructure controller and the cluster controller do for a cluster: it is there, and can be used."""
    key = Key("red", name)
    cluster = await client.get(Cluster, key)
    on = cluster.status.scheduled_to
    assert on is not None
    running = {"running_on": on.serialize(), "cluster_id": "an-id", "state": "CONNECTING"}
    await client.patch(Cluster, key, {"status": running}, subresource="status")
    await client.patch(Cluster, key, {"spec": {"kubeconfig": KUBECONFIG}})
    return await client.patch(Cluster, key, {"status": {"state": "ONLINE", **status}}, subresource="status")


async def add_project(client: Client, name: str, **more: Any) -> Project:
    """Declare an OpenStack project."""
    spec = ProjectSpec(
        url="https://keystone.example:5000/v3",
        auth=AuthMethod(value=ApplicationCredential(id="i", secret="s")),
        template=f"template-of-{name}",
        metrics=_refs(more.get("metrics", ())),
    )
    return await client.create(Project(metadata=Metadata(name=name, namespace="red", labels=more.get("labels", {})), spec=spec))


async def add_magnum_cluster(client: Client, name: str, **more: Any) -> MagnumCluster:
    """Declare a Magnum cluster."""
    constraints = None
    if "wants" in more:
        labels = [LabelConstraint.parse(text) for text in more["wants"]]
        constraints = MagnumClusterConstraints(project=ProjectConstraints(labels=labels))
    spec = MagnumClusterSpec(constraints=constraints, metrics=_refs(more.get("metrics", ())))
    metadata = Metadata(name=name, namespace="red", labels=more.get("labels", {}))
    return await client.create(MagnumCluster(metadata=metadata, spec=spec))


async def add_metrics(client: Client, **values: float) -> None:
    """Declare global metrics of 0..1 with their values."""
    spec = MetricsProviderSpec(value=StaticSpec(metrics=values))
    await client.create(GlobalMetricsProvider(metadata=Metadata(name="static"), spec=spec))
    for name in values:
        provider = MetricSpecProvider(name="static", metric=name)
        await client.create(GlobalMetric(metadata=Metadata(name=name), spec=MetricSpec(min=0, max=1, provider=provider)))


async def set_values(client: Client, **values: float | None) -> None:
    """Change the values of metrics; ``None`` takes one away."""
    await client.patch(GlobalMetricsProvider, Key(None, "static"), {"spec": {"static": {"metrics": values}}})
