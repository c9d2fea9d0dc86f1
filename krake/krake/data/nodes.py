"""Nodes of clusters, as far as Krake keeps what Kubernetes says of them."""

from krake.data.record import Record


class ClusterNodeCondition(Record):
    """A condition of a node, as Kubernetes says it."""

    message: str
    reason: str
    status: str
    type: str


class ClusterNodeStatus(Record):
    """The conditions of a node."""

    conditions: list[ClusterNodeCondition]


class ClusterNodeMetadata(Record):
    """The name of a node."""

    name: str


class ClusterNode(Record):
    """A node of a cluster."""

    api: str = "kubernetes"
    kind: str = "ClusterNode"
    metadata: ClusterNodeMetadata
    status: ClusterNodeStatus | None = None
