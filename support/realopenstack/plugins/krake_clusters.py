"""Runs inside of Magnum: its clusters are complete when they are looked at next, and have no machines.

Kubernetes is where the file `kubernetes-address` in the folder of the run says; without it, nowhere.
"""

from pathlib import Path

from magnum.drivers.common import driver
from magnum.objects.fields import ClusterStatus

ADDRESS = Path("/os/kubernetes-address")
NOWHERE = "https://127.0.0.1:6443"
NEXT = {
    ClusterStatus.CREATE_IN_PROGRESS: ClusterStatus.CREATE_COMPLETE,
    ClusterStatus.UPDATE_IN_PROGRESS: ClusterStatus.UPDATE_COMPLETE,
    ClusterStatus.DELETE_IN_PROGRESS: ClusterStatus.DELETE_COMPLETE,
}


class Pretending(driver.Driver):
    """Does what Magnum's own drivers have Heat do."""

    @property
    def provides(self):
        """Which templates it is for."""
        return [{"server_type": "vm", "os": "fedora-coreos", "coe": "kubernetes"}]

    def create_cluster(self, context, cluster, cluster_create_timeout):
        """Begin a cluster."""
        cluster.stack_id = cluster.uuid
        cluster.status = ClusterStatus.CREATE_IN_PROGRESS

    def update_cluster(self, context, cluster, scale_manager=None, rollback=False):
        """Begin to change a cluster."""
        cluster.status = ClusterStatus.UPDATE_IN_PROGRESS

    def resize_cluster(self, context, cluster, resize_manager, node_count, nodes_to_remove, nodegroup=None):
        """Begin to change the number of nodes, which Magnum itself notes."""
        cluster.status = ClusterStatus.UPDATE_IN_PROGRESS

    def delete_cluster(self, context, cluster):
        """Begin to delete a cluster."""
        cluster.status = ClusterStatus.DELETE_IN_PROGRESS

    def update_cluster_status(self, context, cluster, use_admin_ctx=False):
        """Complete what was begun."""
        if cluster.status not in NEXT:
            return
        cluster.status = NEXT[cluster.status]
        cluster.api_address = ADDRESS.read_text().strip() if ADDRESS.exists() else NOWHERE
        for group in cluster.nodegroups:
            group.status = cluster.status
            group.save()
        cluster.save()

    def get_monitor(self, context, cluster):
        """Measure nothing."""

    def get_scale_manager(self, *arguments):
        """Leave it to Magnum which nodes go."""

    def _not_possible(self, *arguments, **options):
        raise NotImplementedError("This Magnum only creates, resizes and deletes clusters.")

    upgrade_cluster = _not_possible
    create_federation = update_federation = delete_federation = _not_possible
    create_nodegroup = update_nodegroup = delete_nodegroup = _not_possible
