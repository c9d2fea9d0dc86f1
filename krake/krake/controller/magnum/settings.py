"""The settings of the Magnum controller."""

from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.destinations import AskingConfig
from krake.data.names import at_least
from krake.data.record import field


class MagnumConfig(ControllerConfig):
    """All keys of ``magnum.yaml``.

    :param poll_interval: seconds between two looks at what Magnum is working on.
    :param observe_interval: seconds between two looks at a cluster that is there.
    :param creation_timeout: seconds after which the creation of a cluster is given up.
    :param creation_attempts: how often in all it is tried to create a cluster whose creation fails.
    :param settle_time: seconds after which a cluster is asked for again if the answer was lost and it is not to be found.
    :param check_interval: seconds between two checks of whether a project answers and accepts the credentials.
    :param openstack: how the OpenStack services of projects are asked.
    """

    poll_interval: float = field(default=30.0, validate=at_least(0.1))
    observe_interval: float = field(default=60.0, validate=at_least(0.1))
    creation_timeout: float = field(default=3600.0, validate=at_least(1))
    creation_attempts: int = field(default=3, validate=at_least(1))
    settle_time: float = field(default=60.0, validate=at_least(0))
    check_interval: float = field(default=60.0, validate=at_least(0.1))
    openstack: AskingConfig = field(factory=AskingConfig)
