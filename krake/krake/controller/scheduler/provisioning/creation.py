"""Whether an application had better run on a cluster that is yet to be created. Pure.

It is decided as anything else is: by `decide`, in a world where the clusters that are in the making are there already, and a
new one besides on the cloud that is best for the application. A new cluster has nothing of its own: labels and metrics are
those that it inherits from its cloud.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from krake.controller.scheduler.deciding.decide import Decision, Ground, decide
from krake.controller.scheduler.deciding.hosts import is_offline
from krake.controller.scheduler.deciding.inheritance import inherit
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Candidate, Snapshot
from krake.data import Metadata, ResourceRef
from krake.data.infrastructure import Cloud, GlobalCloud
from krake.data.kubernetes import (
    Application,
    CloudConstraints,
    Cluster,
    ClusterCloudConstraints,
    ClusterSpec,
    ClusterState,
)

_COMING = frozenset({ClusterState.PENDING, ClusterState.CREATING, ClusterState.CONNECTING, ClusterState.RECONCILING})
AnyCloud = Cloud | GlobalCloud
AILING = frozenset(
    {
        ClusterState.OFFLINE,
        ClusterState.UNHEALTHY,
        ClusterState.NOTREADY,
        ClusterState.DEGRADED,
        ClusterState.FAILING_RECONCILIATION,
    }
)
"""The states of clusters that do not work, and may yet."""
FAILED_RETENTION = timedelta(seconds=60)
"""For so long a cluster that could not be created is kept at least."""

_NEW = "~new"
"""Stands for the name of a cluster that does not exist. It is no valid name, and comes after all that are."""


@dataclass(frozen=True)
class Template:
    """What clusters are created by.

    :param tosca: has the output ``kubeconfig``.
    :param custom_resources: that the clusters serve.
    :param backoff_limit: how often a creation that failed is tried again on the same cloud: there may be another one.
    :param backoff_delay: seconds until then; twice as long each time.
    """

    tosca: Mapping[str, Any]
    custom_resources: Sequence[str] = ()
    backoff_limit: int = 3
    backoff_delay: int = 10


def is_created(cluster: Cluster) -> bool:
    """Whether a cluster was created for applications; those that users have registered are not for Krake to delete."""
    return cluster.spec.auto_generated and bool(cluster.spec.tosca)


def is_coming(cluster: Cluster, cloud: AnyCloud | None, now: datetime, patience: timedelta) -> bool:
    """Whether a cluster that was created for applications is worth waiting for.

    :param cloud: that it is on, or is to be created on.
    :param patience: for how long one is waited for that does not work, or whose cloud does not answer.
    """
    status = cluster.status
    if cluster.metadata.deleted is not None or not is_created(cluster):
        return False
    if status.state is ClusterState.FAILED:
        return status.scheduled_to is None  # it waits for a cloud
    given_up = given_up_at(cluster, cloud, patience)
    return status.state in _COMING | AILING and (given_up is None or given_up > now)


def given_up_at(cluster: Cluster, cloud: AnyCloud | None, patience: timedelta) -> datetime | None:
    """Return from when on a cluster is not waited for any more that does not work, or can not be created; else ``None``."""
    status, times = cluster.status, []
    if status.state in AILING:
        times.append(status.state_changed or cluster.metadata.created)
    if status.state in _COMING and cloud is not None and is_offline(cloud):
        times.append(max(cloud.status.checked or cluster.metadata.created, cluster.metadata.created))
    return min(times) + patience if times else None


def name_of(app: Application, taken: Collection[str]) -> str:
    """Return the name of the next cluster that is created for an application: the same one until a cluster has it."""
    number = 0
    while (name := _name(app, number)) in taken:
        number += 1
    return name


def _name(app: Application, number: int) -> str:
    return "cluster-" + hashlib.sha256(f"{app.metadata.uid}/{number}".encode()).hexdigest()[:10]


def make_cluster(app: Application, name: str, template: Template) -> Cluster:
    """Return the cluster to create for an application: on a cloud that has what the application asks of clusters."""
    wanted = app.spec.constraints.cluster
    cloud = CloudConstraints(labels=wanted.labels, metrics=wanted.metrics)
    return Cluster(
        metadata=Metadata(name=name, namespace=app.metadata.namespace, inherit_labels=True),
        spec=ClusterSpec(
            tosca=dict(template.tosca),
            custom_resources=list(template.custom_resources),
            constraints=ClusterCloudConstraints(cloud=cloud),
            inherit_metrics=True,
            auto_generated=True,
            backoff=2,
            backoff_delay=template.backoff_delay,
            backoff_limit=template.backoff_limit,
        ),
    )


def stand_in(app: Application, cloud: Cloud | GlobalCloud, template: Template) -> Cluster:
    """Return a new cluster as it would be once it is there."""
    return as_online(inherit(make_cluster(app, f"{_NEW} on {cloud.metadata.name}", template), cloud))


def as_online(cluster: Cluster) -> Cluster:
    """Return a cluster as it is once it is there."""
    return replace(cluster, status=replace(cluster.status, state=ClusterState.ONLINE))


def find_better(app: Application, decision: Decision, snapshot: Snapshot, imagined: Sequence[Candidate]) -> ResourceRef | None:
    """Return the one of *imagined* clusters that an application had better wait for, if there is one.

    :param decision: about the application, by *snapshot*. A cluster that is there is taken, unless another is strictly better.
    """
    if decision.ground not in _OPEN or not imagined:
        return None
    imaginary = decide(app, snapshot.changed(imagined))
    if imaginary.choice not in {each.ref for each in imagined}:
        return None
    findings = {verdict.cluster: verdict.finding for verdict in imaginary.verdicts}
    better, there = findings[imaginary.choice], findings.get(decision.choice) if decision.choice else None
    assert isinstance(better, Score)
    if isinstance(there, Score) and there.rank >= better.rank:
        return None
    # Not the least loaded one: as long as one that is coming is as good, there is no need for another.
    equal = [each.ref for each in imagined if isinstance(found := findings[each.ref], Score) and found.rank == better.rank]
    return min(equal, key=lambda ref: (is_new(ref), ref.name))


_OPEN = frozenset({Ground.BEST, Ground.NOTHING, Ground.HOME})
"""The grounds of decisions that a new cluster may change. One whose cluster is lost is unbound first, and then comes here."""


def is_new(ref: ResourceRef) -> bool:
    """Whether a reference is that of a stand-in."""
    return ref.name.startswith(_NEW)


def remaining(cluster: Cluster, now: datetime, retention: timedelta) -> timedelta | None:
    """Return for how long an idle cluster is kept; ``None`` if it is not said yet since when it is idle.

    One that failed is kept for a while in any case: the next one on the same cloud would be likely to fail as well.
    """
    since = cluster.status.idle_since
    if since is None:
        return None
    if cluster.status.state is ClusterState.FAILED:
        retention = max(retention, FAILED_RETENTION)
    return max(since + retention - now, timedelta())
