"""The configuration of the scheduler."""

from krake.controller.runtime import ControllerConfig
from krake.data.names import at_least
from krake.data.record import Record, field


class ClusterCreationConfig(Record):
    """How clusters are created for applications that ask for it.

    :param tosca_file: template of a created cluster.
    :param deletion_retention: seconds after which a created cluster that nothing runs on is deleted.
    """

    tosca_file: str = "examples/automation/cluster.yaml"
    deletion_retention: int = field(default=600, validate=at_least(0))


class SchedulerConfig(ControllerConfig):
    """All keys of ``scheduler.yaml``.

    :param reschedule_after: seconds for which a placement stands, and after which it is considered anew.
    :param stickiness: how much the present cluster of an application is preferred, as the weight of a metric of value 1.
    """

    reschedule_after: float = field(default=60.0, validate=at_least(0))
    stickiness: float = field(default=0.1, validate=at_least(0))
    automatic_cluster_creation: ClusterCreationConfig = field(factory=ClusterCreationConfig)
