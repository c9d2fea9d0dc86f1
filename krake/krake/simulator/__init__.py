"""Stands in for outside systems in demos, tests and scale runs, and says so everywhere.

`kubernetes` are clusters, `infrastructure` an Infrastructure Manager that makes such clusters, `openstack` the clouds that it
works on; `service` is what the latter two have in common, and `landscape` runs them together.
"""

from krake.simulator.kubernetes import Failure, Settings, SimulatedCluster, SimulatedClusters

__all__ = ["Failure", "Settings", "SimulatedCluster", "SimulatedClusters"]
