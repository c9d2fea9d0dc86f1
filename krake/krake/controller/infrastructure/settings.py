"""The settings of the infrastructure controller."""

from krake.controller.runtime import ControllerConfig
from krake.data.names import at_least
from krake.data.record import field


class InfrastructureConfig(ControllerConfig):
    """All keys of ``infrastructure.yaml``.

    :param poll_interval: seconds between two looks at what an infrastructure provider is working on.
    """

    poll_interval: float = field(default=30.0, validate=at_least(0.1))
