"""What resources take over from where they are: clusters from their cloud, and Magnum clusters from their project. Pure.

What a cluster inherits is never stored: it counts as long as the cluster is on the cloud, and follows its changes. Magnum
clusters hand on their labels and metrics to the cluster that is made of them, so theirs are stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from krake.data.core import MetricRef
from krake.data.infrastructure import Cloud, GlobalCloud
from krake.data.kubernetes import Cluster
from krake.data.openstack import MagnumCluster, Project


def metrics_of(host: Cloud | GlobalCloud | Project) -> list[MetricRef]:
    """Return the metrics of a cloud or project."""
    return host.spec.metrics


def inherit(cluster: Cluster, cloud: Cloud | GlobalCloud | None) -> Cluster:
    """Return a cluster with what it inherits from the cloud it is on, or that it is to be created on.

    It inherits all labels if it asks for ``inherit_labels``, otherwise those that it asks its cloud for by constraints; and
    likewise metrics. A label of the cloud replaces the one of the cluster; a metric that the cluster names itself keeps its
    weight, and counts once.
    """
    if cloud is None:
        return cluster
    wanted = cluster.spec.constraints.cloud
    labels: Mapping[str, str] = cloud.metadata.labels
    if not cluster.metadata.inherit_labels:
        asked = {key for constraint in wanted.labels or () for key in constraint.keys}
        labels = {key: value for key, value in labels.items() if key in asked}
    metrics = metrics_of(cloud)
    if not cluster.spec.inherit_metrics:
        asked = {key for constraint in wanted.metrics or () for key in constraint.keys}
        metrics = [metric for metric in metrics if metric.name in asked]
    if not labels and not metrics:
        return cluster
    return replace(
        cluster,
        metadata=replace(cluster.metadata, labels={**cluster.metadata.labels, **labels}),
        spec=replace(cluster.spec, metrics=_append(cluster.spec.metrics, metrics)),
    )


def inherit_from_project(cluster: MagnumCluster, project: Project) -> MagnumCluster:
    """Return a Magnum cluster with the labels and metrics of its project; those it has itself stay."""
    return replace(
        cluster,
        metadata=replace(cluster.metadata, labels={**project.metadata.labels, **cluster.metadata.labels}),
        spec=replace(cluster.spec, metrics=_append(cluster.spec.metrics, project.spec.metrics)),
    )


def _append(own: Iterable[MetricRef], inherited: Iterable[MetricRef]) -> list[MetricRef]:
    # Readings are told apart by the name alone, and so are the metrics of constraints.
    metrics = list(own)
    known = {metric.name for metric in metrics}
    for metric in inherited:
        if metric.name not in known:
            known.add(metric.name)
            metrics.append(metric)
    return metrics
