"""What state a cluster is in, by what was seen of it. Pure.

A cluster is ONLINE as long as more than half of the nodes that take Pods are well: Kubernetes gets along without the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from krake.controller.kubernetes.cluster.capacity import allocatable_of, capacity_of, takes_pods
from krake.controller.kubernetes.fields import condition, mapping, mappings, name_of
from krake.data.kubernetes import (
    Cluster,
    ClusterState,
    ClusterStatus,
)
from krake.data.merging import without_nulls
from krake.data.metadata import Reason, ReasonCode
from krake.data.nodes import ClusterNode, ClusterNodeCondition, ClusterNodeMetadata, ClusterNodeStatus
from krake.ports.cluster import ClusterError, Object, Rejected, Unreachable

State = ClusterState

_OF_THE_INFRASTRUCTURE = {
    State.CREATING,
    State.RECONCILING,
    State.DELETING,
    State.FAILING_RECONCILIATION,
    State.FAILED,
}
_OWN_REASONS = {ReasonCode.CLUSTER_NOT_REACHABLE, ReasonCode.KUBERNETES_ERROR}


@dataclass(frozen=True)
class Outage:
    """That a cluster does not do what it is asked for.

    :param problem: why.
    :param retries: attempts that are left before it is given up; -1 are endlessly many.
    :param next_attempt: when it is tried next, if that is worth telling.
    """

    problem: Reason
    retries: int
    next_attempt: datetime | None = None

    @property
    def state(self) -> ClusterState:
        """What is said of the cluster: it is not lost before its attempts are used up, if it has a number of them."""
        return State.DEGRADED if self.retries > 0 else State.OFFLINE


@dataclass(frozen=True)
class Observation:
    """What was seen of a cluster that answers.

    :param nodes: as the cluster tells them.
    :param state: that follows from them, as far as it has lasted.
    :param settled: whether it has answered for long enough to be believed, after it did not.
    :param requested: by all Pods; ``None`` if the cluster does not tell.
    """

    nodes: tuple[Object, ...]
    state: ClusterState = State.ONLINE
    settled: bool = True
    version: str | None = None
    requested: Mapping[str, str] | None = field(default=None)


def conclude(cluster: Cluster, seen: Observation | Outage) -> ClusterStatus:
    """Return what to write about a cluster.

    While the infrastructure controller is at work on a cluster, its state is left alone; so is the scheduler's word that
    metrics fail, as long as nothing worse is the case.
    """
    status = cluster.status
    if cluster.metadata.deleted is not None or (cluster.spec.tosca and status.state in _OF_THE_INFRASTRUCTURE):
        return status
    if not _awaits_infrastructure(cluster):
        status = replace(status, observed_generation=cluster.metadata.generation)
    if isinstance(seen, Outage):
        return replace(status, state=seen.state, reason=seen.problem, retries=seen.retries, scheduled_retry=seen.next_attempt)
    status = _describe(replace(status, retries=cluster.spec.backoff_limit, scheduled_retry=None), seen)
    if not seen.settled and status.state in (State.OFFLINE, State.DEGRADED, State.CONNECTING):
        return replace(status, state=State.CONNECTING, reason=_others_reason(status))
    reason = explain(seen.nodes)
    if seen.state is State.ONLINE and status.state is State.FAILING_METRICS:
        return status
    return replace(status, state=seen.state, reason=reason or _others_reason(status))


def _awaits_infrastructure(cluster: Cluster) -> bool:
    """Whether the infrastructure is not yet asked to be what is declared: what is seen is not that."""
    status = cluster.status
    return status.infrastructure is not None and without_nulls(cluster.spec.tosca) != status.last_applied_tosca


def _describe(status: ClusterStatus, seen: Observation) -> ClusterStatus:
    return replace(
        status,
        nodes=[_describe_node(node) for node in sorted(seen.nodes, key=name_of)],
        kubernetes_version=seen.version or status.kubernetes_version,
        capacity=capacity_of(seen.nodes),
        allocatable=allocatable_of(seen.nodes),
        requested=dict(seen.requested or {}),
    )


def judge(nodes: Sequence[Object]) -> ClusterState:
    """Return the state that follows from the nodes; if too many are not well, the first of these by name decides which."""
    relevant = _relevant(nodes)
    bad = [state for node in relevant if (state := _judge_node(node)[0]) is not State.ONLINE]
    if not relevant:
        return State.NOTREADY
    return bad[0] if 2 * len(bad) >= len(relevant) else State.ONLINE


def explain(nodes: Sequence[Object]) -> Reason | None:
    """Return what is wrong with the nodes, though it may be too few of them to change the state."""
    relevant = _relevant(nodes)
    if not relevant:
        return _reason("The cluster has no nodes: Pods can not run before one joins it.")
    bad = [text for node in relevant if (text := _judge_node(node)[1])]
    if not bad:
        return None
    more = f" ({len(bad)} of {len(relevant)} nodes are not well)" if len(relevant) > 1 else ""
    return _reason(f"{bad[0].rstrip('.')}{more}.")


def explain_error(error: ClusterError) -> Reason:
    """Return why a cluster can not be looked at, and what to do about it."""
    if isinstance(error, Unreachable):
        return Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message=str(error))
    said = str(error).rstrip(".")
    match error.status if isinstance(error, Rejected) else None:
        case 401:
            return _reason(
                f"The cluster refuses the credentials of its kubeconfig: {said}; update the cluster with a valid one."
            )
        case 403:
            advice = "let its user get, list and watch nodes, and do all that applications need"
            return _reason(f"The cluster does not allow enough to the user of its kubeconfig: {said}; {advice}.")
    return _reason(str(error))


def _relevant(nodes: Sequence[Object]) -> list[Object]:
    """The nodes that take Pods, by name; all if none does, because Pods that are there go on running."""
    ordered = sorted(nodes, key=name_of)
    return [node for node in ordered if takes_pods(node)] or ordered


def _judge_node(node: Object) -> tuple[ClusterState, str | None]:
    for each in mappings(mapping(node, "status"), "conditions"):
        type_ = str(each.get("type")).lower()
        if type_.endswith("pressure") and each.get("status") == "True":
            return State.UNHEALTHY, _blame(node, f"is under {each.get('type')}", each)
        if type_ == "ready" and each.get("status") != "True":
            return State.NOTREADY, _blame(node, "is not ready", each)
    if not condition(mapping(node, "status"), "Ready"):
        return State.NOTREADY, f"Node {name_of(node)} does not say that it is ready."
    return State.ONLINE, None


def _blame(node: Object, what: str, told: Mapping[str, Any]) -> str:
    words = told.get("message") or told.get("reason")
    return f"Node {name_of(node)} {what}{f': {words}' if words else ''}"


def _reason(message: str) -> Reason:
    return Reason(code=ReasonCode.KUBERNETES_ERROR, message=message)


def _others_reason(status: ClusterStatus) -> Reason | None:
    """A reason that somebody else gave stays."""
    return None if status.reason is None or status.reason.code in _OWN_REASONS else status.reason


def _describe_node(node: Object) -> ClusterNode:
    found = mappings(mapping(node, "status"), "conditions")
    return ClusterNode(
        metadata=ClusterNodeMetadata(name=name_of(node)),
        status=ClusterNodeStatus(conditions=[_describe_condition(each) for each in found]),
    )


def _describe_condition(told: Mapping[str, Any]) -> ClusterNodeCondition:
    def text(name: str) -> str:
        return str(told.get(name) or "")

    return ClusterNodeCondition(message=text("message"), reason=text("reason"), status=text("status"), type=text("type"))
