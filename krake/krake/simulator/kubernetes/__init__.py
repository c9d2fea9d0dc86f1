"""Simulated Kubernetes clusters: an API server, controllers and echo services, many in one process.

One cluster is one `SimulatedCluster` on a loopback port of its own. Layers, from the bottom: `kinds`, `selectors`,
`status`, `patch`, `defaults`, `validation`, `schema` and `workloads` are pure; `storage` holds the objects and their history;
`resources` are the verbs; `engine` moves workloads forward; `server` speaks HTTP; `cluster` ties them together.
"""

from krake.simulator.kubernetes.cluster import SimulatedCluster, SimulatedClusters
from krake.simulator.kubernetes.settings import Settings

__all__ = ["Settings", "SimulatedCluster", "SimulatedClusters"]
