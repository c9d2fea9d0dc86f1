"""Stands in for outside systems in demos, tests and scale runs, and says so everywhere: so far Kubernetes clusters."""

from krake.simulator.kubernetes import Failure, Settings, SimulatedCluster, SimulatedClusters

__all__ = ["Failure", "Settings", "SimulatedCluster", "SimulatedClusters"]
