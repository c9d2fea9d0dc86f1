"""Where kubeconfigs may lead: the setting that the controllers of clusters and of applications have alike."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from krake.adapters.kubernetes import Connection, connect
from krake.adapters.reaching import Guard
from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.destinations import DestinationsConfig
from krake.data.destinations import check_destinations
from krake.data.record import field

NEVER_CLUSTERS = ("169.254.0.0/16", "100.100.100.200", "168.63.129.16", "fe80::/10", "fd00:ec2::254")
"""What is on the same link, and where clouds tell machines their credentials. Clusters may well be on this machine."""


class ClustersConfig(DestinationsConfig):
    """Where the servers of kubeconfigs may be. The API of Krake is never one of them."""

    deny: list[str] = field(factory=lambda: list(NEVER_CLUSTERS), validate=check_destinations)


def connect_within(
    clusters: ClustersConfig, config: ControllerConfig, timeout: float
) -> Callable[[Mapping[str, Any]], Connection]:
    """Return how clusters are connected to, where they may be.

    :param timeout: seconds that any answer of a cluster may take.
    """
    guard = Guard(clusters.destinations, "clusters.allow", config.api_endpoint)
    return partial(connect, timeout=timeout, guard=guard)
