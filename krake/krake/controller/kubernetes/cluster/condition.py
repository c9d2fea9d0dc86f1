"""What state a cluster is in, by what was seen of its nodes. Pure.

A cluster without nodes is ONLINE: it answers, and nodes may come when they are needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from krake.data.kubernetes import (
    Cluster,
    ClusterNode,
    ClusterNodeCondition,
    ClusterNodeMetadata,
    ClusterNodeStatus,
    ClusterState,
    ClusterStatus,
)
from krake.data.metadata import Reason, ReasonCode
from krake.ports.cluster import Object

_OF_THE_INFRASTRUCTURE = {
    ClusterState.CREATING,
    ClusterState.RECONCILING,
    ClusterState.DELETING,
    ClusterState.FAILING_RECONCILIATION,
    ClusterState.FAILED,
}
_OWN_REASONS = {ReasonCode.CLUSTER_NOT_REACHABLE, ReasonCode.KUBERNETES_ERROR}


@dataclass(frozen=True)
class Observation:
    """What was seen of a cluster.

    :param nodes: as the cluster tells them; ``None`` if it does not answer.
    :param problem: why it does not.
    :param settled: whether it has answered for long enough to be believed, after it did not.
    """

    nodes: tuple[Object, ...] | None
    problem: Reason | None = None
    settled: bool = True


def conclude(cluster: Cluster, seen: Observation) -> ClusterStatus:
    """Return what to write about a cluster.

    While the infrastructure controller is at work on a cluster, its state is left alone; so is the scheduler's word that
    metrics fail, as long as nothing worse is the case.
    """
    status = cluster.status
    if cluster.metadata.deleted is not None or (cluster.spec.tosca and status.state in _OF_THE_INFRASTRUCTURE):
        return status
    status = replace(status, observed_generation=cluster.metadata.generation)
    if seen.nodes is None:
        return replace(status, state=ClusterState.OFFLINE, reason=seen.problem)
    status = replace(status, nodes=[_describe(node) for node in sorted(seen.nodes, key=_name_of)])
    if not seen.settled and status.state in (ClusterState.OFFLINE, ClusterState.CONNECTING):
        return replace(status, state=ClusterState.CONNECTING, reason=_others_reason(status))
    state, reason = judge(status.nodes)
    if state is ClusterState.ONLINE and status.state is ClusterState.FAILING_METRICS:
        return status
    return replace(status, state=state, reason=reason or _others_reason(status))


def judge(nodes: Iterable[ClusterNode]) -> tuple[ClusterState, Reason | None]:
    """Return the state that follows from the nodes, and which of them is the cause; the first one counts."""
    for node in nodes:
        for condition in node.status.conditions if node.status else ():
            if condition.type.lower().endswith("pressure") and condition.status == "True":
                return ClusterState.UNHEALTHY, _blame(node, f"is under {condition.type}", condition)
            if condition.type.lower() == "ready" and condition.status != "True":
                return ClusterState.NOTREADY, _blame(node, "is not ready", condition)
    return ClusterState.ONLINE, None


def _blame(node: ClusterNode, what: str, condition: ClusterNodeCondition) -> Reason:
    said = condition.message or condition.reason
    message = f"Node {node.metadata.name} {what}{f': {said}' if said else ''}"
    return Reason(code=ReasonCode.KUBERNETES_ERROR, message=f"{message.rstrip('.')}.")


def _others_reason(status: ClusterStatus) -> Reason | None:
    """A reason that somebody else gave stays."""
    return None if status.reason is None or status.reason.code in _OWN_REASONS else status.reason


def _name_of(node: Object) -> str:
    return str(node["metadata"]["name"])


def _describe(node: Object) -> ClusterNode:
    status = node.get("status")
    found = status.get("conditions") if isinstance(status, Mapping) else None
    conditions = found if isinstance(found, list) else []
    return ClusterNode(
        metadata=ClusterNodeMetadata(name=_name_of(node)),
        status=ClusterNodeStatus(conditions=[_describe_condition(each) for each in conditions if isinstance(each, Mapping)]),
    )


def _describe_condition(condition: Mapping[str, Any]) -> ClusterNodeCondition:
    def text(name: str) -> str:
        return str(condition.get(name) or "")

    return ClusterNodeCondition(message=text("message"), reason=text("reason"), status=text("status"), type=text("type"))
