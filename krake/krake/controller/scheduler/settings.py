"""The configuration of the scheduler."""

from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.destinations import AskingConfig
from krake.data.names import at_least, one_of
from krake.data.record import Record, field


class ClusterCreationConfig(Record):
    """How clusters are created for applications that ask for it.

    :param tosca_file: template of a created cluster.
    :param custom_resources: that clusters serve which are created by it.
    :param deletion_retention: seconds after which a created cluster that nothing runs on is deleted.
    :param backoff_limit: how often a creation that failed is tried again before another cloud may do.
    :param backoff_delay: seconds until it is tried again for the first time; each wait is twice as long as the one before.
    """

    tosca_file: str = "examples/automation/cluster.yaml"
    custom_resources: list[str] = field(factory=list)
    deletion_retention: int = field(default=600, validate=at_least(0))
    backoff_limit: int = field(default=3, validate=at_least(0))
    backoff_delay: int = field(default=10, validate=at_least(0))


class MetricsConfig(AskingConfig):
    """How metrics providers are asked.

    :param interval: seconds after which a provider is asked again.
    """

    timeout: float = field(default=10.0, validate=at_least(0.1))
    interval: float = field(default=10.0, validate=at_least(0.05))


class MovesConfig(Record):
    """How many applications of each namespace are moved that run well where they are, and had better run elsewhere.

    :param at_once: so many may be on their way at the same time; 0 for any number.
    :param per_minute: so many may begin to move; 0 for any number.
    """

    at_once: int = field(default=10, validate=at_least(0))
    per_minute: float = field(default=60.0, validate=at_least(0))


class FailoverConfig(Record):
    """What becomes of the applications of a cluster that is lost.

    :param enabled: whether they go elsewhere; otherwise they wait for their cluster.
    :param after: seconds for which a cluster has to be out of use before it counts as lost.
    :param per_minute: so many applications of each namespace may begin to move; 0 for any number.
    :param fail_back_after: seconds for which a cluster that came back has to be of use before those who have a good place move
        there.
    """

    enabled: bool = True
    after: float = field(default=30.0, validate=at_least(0))
    per_minute: float = field(default=120.0, validate=at_least(0))
    fail_back_after: float = field(default=300.0, validate=at_least(0))


class PlansConfig(Record):
    """How plans are worked out.

    :param time_limit: seconds after which a plan is given up.
    """

    time_limit: float = field(default=60.0, validate=at_least(1))


class SchedulerConfig(ControllerConfig):
    """All keys of ``scheduler.yaml``.

    :param reschedule_after: seconds for which a placement stands, and after which it is considered anew.
    :param stickiness: how much the present cluster of an application is preferred, as the weight of a metric of value 1.
    :param metric_constraints: what constraints on metrics compare: the value as its provider gives it (``raw``), or the
        normalised value times its weight (``weighted``), as the original Krake did.
    """

    reschedule_after: float = field(default=60.0, validate=at_least(0))
    stickiness: float = field(default=0.1, validate=at_least(0))
    metric_constraints: str = field(default="raw", validate=one_of("raw", "weighted"))
    automatic_cluster_creation: ClusterCreationConfig = field(factory=ClusterCreationConfig)
    metrics: MetricsConfig = field(factory=MetricsConfig)
    moves: MovesConfig = field(factory=MovesConfig)
    failover: FailoverConfig = field(factory=FailoverConfig)
    plans: PlansConfig = field(factory=PlansConfig)
