"""The settings of the cluster controller."""

from krake.controller.kubernetes.destinations import ClustersConfig
from krake.controller.runtime import ControllerConfig
from krake.data.names import at_least
from krake.data.record import field


class ClusterControllerConfig(ControllerConfig):
    """All keys of ``kubernetes_cluster.yaml``.

    :param patience: seconds that a change for the better or the worse must last before the state of a cluster follows.
    :param report_interval: seconds for which what does not change the state is gathered before it is written.
    :param clusters: where they may be.
    """

    patience: float = field(default=5.0, validate=at_least(0))
    report_interval: float = field(default=5.0, validate=at_least(0))
    clusters: ClustersConfig = field(factory=ClustersConfig)
