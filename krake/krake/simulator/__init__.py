"""Stands in for outside systems in demos, tests and scale runs, and says so everywhere.

`kubernetes` are clusters, `infrastructure` an Infrastructure Manager that makes such clusters, `openstack` the clouds that it
works on; `service` is what the latter two have in common, `failures` are the ways in which all of them fail, `keeping` is what
outlives the process, and `landscape` runs them together.
"""

from krake.simulator.failures import Failure
from krake.simulator.kubernetes import Settings, SimulatedCluster, SimulatedClusters

__all__ = ["Failure", "Settings", "SimulatedCluster", "SimulatedClusters"]
