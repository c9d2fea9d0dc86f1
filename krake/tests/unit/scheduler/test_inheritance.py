"""What clusters take over from their clouds, and Magnum clusters from their projects."""

from dataclasses import replace

import pytest
from unit.scheduler.clouds import make_cloud, refs
from unit.scheduler.worlds import make_cluster

from krake.controller.scheduler.deciding.inheritance import inherit, inherit_from_project
from krake.data import Metadata
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints
from krake.data.openstack import ApplicationCredential, AuthMethod, MagnumCluster, MagnumClusterSpec, Project, ProjectSpec

CLOUD = make_cloud("cloud", labels={"zone": "a", "tier": "gold"}, metrics=refs("load", "heat", weight=2))


def ask(
    *,
    labels: list[str] | None = None,
    metrics: list[str] | None = None,
    inherit_labels: bool = False,
    inherit_metrics: bool = False,
) -> Cluster:
    cluster = make_cluster("cluster", labels={"zone": "mine", "own": "yes"}, metrics=refs("load", weight=7))
    wanted = CloudConstraints(
        labels=None if labels is None else [LabelConstraint.parse(text) for text in labels],
        metrics=None if metrics is None else [MetricConstraint.parse(text) for text in metrics],
    )
    spec = replace(cluster.spec, constraints=ClusterCloudConstraints(cloud=wanted), inherit_metrics=inherit_metrics)
    return replace(cluster, metadata=replace(cluster.metadata, inherit_labels=inherit_labels), spec=spec)


OWN = {"zone": "mine", "own": "yes"}


@pytest.mark.parametrize(
    ("cluster", "labels", "metrics"),
    [
        (ask(), OWN, {"load": 7}),
        (ask(inherit_labels=True), {"zone": "a", "own": "yes", "tier": "gold"}, {"load": 7}),
        (ask(inherit_metrics=True), OWN, {"load": 7, "heat": 2}),
        (ask(labels=["tier is gold"]), {**OWN, "tier": "gold"}, {"load": 7}),
        (ask(labels=["tier is gold or zone exists"]), {"zone": "a", "own": "yes", "tier": "gold"}, {"load": 7}),
        (ask(labels=["nothing not exists"]), OWN, {"load": 7}),
        (ask(metrics=["heat > 0.5"]), OWN, {"load": 7, "heat": 2}),
        (ask(metrics=["load > 0.5"]), OWN, {"load": 7}),
        (ask(labels=[], metrics=["cold > 1"]), OWN, {"load": 7}),
    ],
)
def test_a_cluster_inherits_what_it_asks_for(cluster: Cluster, labels: dict[str, str], metrics: dict[str, float]) -> None:
    heir = inherit(cluster, CLOUD)
    assert heir.metadata.labels == labels
    assert {metric.name: metric.weight for metric in heir.spec.metrics} == metrics
    assert len(heir.spec.metrics) == len(metrics)
    assert (cluster.metadata.labels, len(cluster.spec.metrics)) == (OWN, 1)


def test_without_a_cloud_nothing_is_inherited() -> None:
    cluster = ask(inherit_labels=True, inherit_metrics=True)
    assert inherit(cluster, None) is cluster


def test_what_a_magnum_cluster_has_itself_stays() -> None:
    spec = ProjectSpec(
        url="https://keystone.example",
        auth=AuthMethod(value=ApplicationCredential(id="i", secret="s")),
        template="t",
        metrics=refs("load", "heat"),
    )
    project = Project(metadata=Metadata(name="p", namespace="red", labels={"zone": "a", "tier": "gold"}), spec=spec)
    magnum = MagnumCluster(
        metadata=Metadata(name="m", namespace="red", labels={"zone": "mine"}),
        spec=MagnumClusterSpec(metrics=refs("heat", weight=7)),
    )
    heir = inherit_from_project(magnum, project)
    assert heir.metadata.labels == {"zone": "mine", "tier": "gold"}
    assert {metric.name: metric.weight for metric in heir.spec.metrics} == {"heat": 7, "load": 1}
    assert inherit_from_project(heir, project) == heir
