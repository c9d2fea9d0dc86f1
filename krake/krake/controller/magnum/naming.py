"""What things are called: at Magnum, by which they are found again, and in Krake. Pure."""

from krake.data.kubernetes import Cluster
from krake.data.metadata import Key, ResourceRef
from krake.data.openstack import MagnumCluster

_LONGEST = 240
"""Characters of a name."""


def name_cluster(cluster: MagnumCluster) -> str:
    """Return what a cluster is called at Magnum: no other one has, had, or will have this name."""
    return f"krake-{cluster.metadata.uid}"


def name_resource(cluster: MagnumCluster) -> ResourceRef:
    """Return what the Kubernetes cluster is called that comes of a Magnum cluster."""
    stem = cluster.metadata.name[:_LONGEST]
    name = f"{stem}-{cluster.metadata.uid.replace('-', '')[:7]}"
    return Cluster.definition.ref(Key(cluster.metadata.namespace, name))
