"""The settings of the Magnum controller."""

from krake.controller.runtime import ControllerConfig
from krake.data.names import at_least
from krake.data.record import field


class MagnumConfig(ControllerConfig):
    """All keys of ``magnum.yaml``.

    :param poll_interval: seconds between two looks at what Magnum is working on.
    """

    poll_interval: float = field(default=30.0, validate=at_least(0.1))
