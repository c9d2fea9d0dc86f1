"""What is worth telling people of a Magnum cluster. Pure."""

from collections.abc import Iterator

from krake.data.events import Said, normal, warning
from krake.data.metadata import ReasonCode
from krake.data.openstack import MagnumCluster, MagnumClusterState

State = MagnumClusterState


def tell(before: MagnumCluster, after: MagnumCluster) -> Iterator[Said]:
    """Yield what happened to a Magnum cluster."""
    old, new = before.status, after.status
    if new.reason is not None and new.reason != old.reason:
        yield warning(_TROUBLES.get(new.reason.code, "OpenstackTrouble"), new.reason.message)
    if new.cluster_id is not None and new.cluster_id != old.cluster_id:
        yield normal("CreatingMagnumCluster", f"It is cluster {new.cluster_id} at Magnum.")
    if new.state is State.RUNNING and old.state is not State.RUNNING:
        yield normal("MagnumClusterRunning", f"It has {new.node_count} nodes, and its Kubernetes API is {new.api_address}.")
    if new.state is State.RECONCILING and old.state is not State.RECONCILING and after.spec.node_count is not None:
        yield normal("ResizingMagnumCluster", f"It is to have {after.spec.node_count} nodes; it has {new.node_count}.")
    if new.state is State.DELETING and old.state is not State.DELETING:
        yield normal("DeletingMagnumCluster", "Its applications are gone; now it goes, too.")


def tell_of_login(cluster: MagnumCluster) -> Said:
    """Say that there are new credentials."""
    return normal("CredentialsIssued", f"{cluster.status.cluster} has a kubeconfig with a new certificate.")


_TROUBLES = {
    ReasonCode.CREATE_FAILED: "CreationFailed",
    ReasonCode.RECONCILE_FAILED: "ReconciliationFailed",
    ReasonCode.DELETE_FAILED: "DeletionFailed",
    ReasonCode.NOT_FOUND: "MagnumClusterLost",
    ReasonCode.INVALID_CLUSTER_TEMPLATE: "InvalidClusterTemplate",
}
