"""What Krake needs from whatever creates clusters: to make infrastructures, look at them, change them and remove them.

No call waits for the outcome of what it asks for, and each ends within the time limit of its provider, or little later. Each
may be made again, as what is done already is not done twice; except `Infrastructures.create`, for which there is
`Infrastructures.find`, and `Infrastructures.update` by a process that does not know of the first time: only once the first
question must have reached the provider.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from krake.data.infrastructure import CloudSpec, InfrastructureProviderSpec


class InfrastructureError(Exception):
    """Something can not be done; the message says what and why, for the owner of the cluster. It holds no secrets."""


class Unavailable(InfrastructureError):
    """The provider can not be reached, is too slow, or has trouble of its own: whether it did what was asked is not known."""


class Refused(InfrastructureError):
    """The provider or the cloud does not accept the credentials."""


class Rejected(InfrastructureError):
    """What was asked is wrong: it is of no use to ask again before something is changed."""


class Busy(InfrastructureError):
    """The infrastructure is at work on something else: ask again soon."""


class NotFound(InfrastructureError):
    """There is no such infrastructure, at least not for these credentials."""


class Phase(Enum):
    """Where an infrastructure, or one of its machines, stands."""

    PENDING = "pending"
    CREATING = "creating"
    """Machines exist and are being configured."""
    CONFIGURED = "configured"
    UNCONFIGURED = "unconfigured"
    """The machines run, but could not be configured."""
    DELETING = "deleting"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The provider does not know, at the moment."""


@dataclass(frozen=True)
class Infrastructure:
    """How an infrastructure is.

    :param machines: the phase of each, by its name at the provider.
    :param message: what the provider says about its trouble, if it has any.
    """

    phase: Phase
    machines: Mapping[str, Phase] = field(default_factory=dict)
    message: str | None = None


class Infrastructures(Protocol):
    """The infrastructures of one provider on one cloud. Each method raises `InfrastructureError`, of the kind that fits."""

    async def find(self, mark: str) -> Sequence[str]:
        """Return the ids of the infrastructures that were created with a mark: none, one, or more after accidents."""

    async def create(self, mark: str, template: Mapping[str, Any]) -> str:
        """Begin to create an infrastructure by a TOSCA template, and return its id.

        :param mark: by which it can be found again, should the id get lost.
        """

    async def observe(self, id: str) -> Infrastructure:
        """Return how an infrastructure is."""

    async def update(self, id: str, template: Mapping[str, Any]) -> None:
        """Begin to make an infrastructure what a template says: missing machines are added, superfluous ones removed."""

    async def reconfigure(self, id: str) -> None:
        """Begin to configure the machines anew."""

    async def delete(self, id: str) -> None:
        """Begin to delete an infrastructure; to be asked again until `observe` raises `NotFound`."""

    async def kubeconfig(self, id: str) -> dict[str, Any] | None:
        """Return the kubeconfig of the cluster; ``None`` if the provider has none yet."""

    async def close(self) -> None:
        """Give back what is held."""


class Connector(Protocol):
    """Reaches providers and clouds.

    What is *trusted* was declared by an administrator, for all namespaces, and may lead anywhere.
    """

    def connect(
        self,
        name: str,
        provider: InfrastructureProviderSpec,
        cloud_name: str,
        cloud: CloudSpec,
        *,
        trusted: bool = False,
        cloud_trusted: bool = False,
    ) -> Infrastructures:
        """Return access to the infrastructures of a provider on a cloud; nothing is asked yet.

        :param trusted: of the provider.
        :param cloud_trusted: of the cloud, which the provider asks; one that is not has the provider sent nowhere that Krake
            itself would not go for a namespace.
        :raises Rejected: this provider can not work on this cloud.
        """

    async def check_provider(self, name: str, provider: InfrastructureProviderSpec, *, trusted: bool = False) -> None:
        """Ask whether the provider answers and accepts the credentials. Raises `InfrastructureError` if not."""

    async def check_cloud(self, name: str, cloud: CloudSpec, *, trusted: bool = False) -> None:
        """Ask whether the cloud answers and accepts the credentials. Raises `InfrastructureError` if not."""
