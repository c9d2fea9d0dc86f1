"""The settings of the infrastructure controller."""

from datetime import timedelta

from krake.controller.infrastructure.steps import Pace
from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.destinations import AskingConfig
from krake.data.names import at_least
from krake.data.record import Record, field


class ProvidersConfig(AskingConfig):
    """How infrastructure providers and clouds are asked.

    :param calls_at_once: to the same provider.
    """

    timeout: float = field(default=30.0, validate=at_least(0.1))
    calls_at_once: int = field(default=5, validate=at_least(1))


class LocalConfig(Record):
    """The program that makes infrastructures for providers of the type ``local``.

    :param command: the program and its first arguments; nothing of it comes from users of the API.
    :param timeout: seconds that it may take to answer; then it is killed.
    :param at_once: so many of it run at the same time.
    """

    command: list[str] = field(factory=list)
    timeout: float = field(default=30.0, validate=at_least(0.1))
    at_once: int = field(default=4, validate=at_least(1))


class InfrastructureConfig(ControllerConfig):
    """All keys of ``infrastructure.yaml``.

    :param poll_interval: seconds between two looks at what an infrastructure provider is working on.
    :param observe_interval: seconds between two looks at an infrastructure that is done.
    :param creation_timeout: seconds that an infrastructure may take to be created, or changed.
    :param search_time: seconds for which an infrastructure is looked for whose creation was asked for without an answer, and
        for which a change is left alone that was; less than a provider takes to answer may make it twice.
    :param check_interval: seconds between two checks of whether a provider or a cloud answers and accepts the credentials.
    :param providers: how they are asked.
    :param local: what makes local infrastructures.
    """

    worker_count: int = field(default=20, validate=at_least(1))
    poll_interval: float = field(default=30.0, validate=at_least(0.02))
    observe_interval: float = field(default=60.0, validate=at_least(0.05))
    creation_timeout: float = field(default=3600.0, validate=at_least(0.1))
    search_time: float = field(default=60.0, validate=at_least(0))
    check_interval: float = field(default=60.0, validate=at_least(0.1))
    providers: ProvidersConfig = field(factory=ProvidersConfig)
    local: LocalConfig = field(factory=LocalConfig)

    @property
    def share(self) -> int:
        """How many workers a namespace may have wait for its providers: enough for one that hangs and one that does not."""
        workers = self.worker_count
        return max(1, min(max(2 * self.providers.calls_at_once, workers // 2), workers * 3 // 4))

    @property
    def pace(self) -> Pace:
        """How soon things are done about infrastructures."""
        return Pace(
            poll=timedelta(seconds=self.poll_interval),
            observe=timedelta(seconds=self.observe_interval),
            creation=timedelta(seconds=self.creation_timeout),
            search=timedelta(seconds=self.search_time),
        )
