"""What Krake needs from OpenStack Magnum: to create Kubernetes clusters, look at them, resize, log in to and delete them.

No call waits for the outcome of what it asks for, and each ends within its time limit, or little later. Each may be made again,
except `Magnum.create`, for which there is `Magnum.find`. The errors are those of `krake.ports.infrastructure`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from krake.data.metadata import Key
from krake.data.openstack import ProjectSpec


class Outcome(Enum):
    """What became of what a cluster was last asked for."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Sight:
    """A cluster as Magnum tells of it.

    :param name: that it was created with, if Magnum tells it.
    :param phase: as Magnum calls it: an operation and its outcome, for example ``CREATE_IN_PROGRESS``.
    :param message: what Magnum says about its trouble, if it has any.
    :param node_count: without the masters.
    :param api_address: the URL of its Kubernetes API, once it has one.
    """

    id: str
    phase: str
    message: str | None = None
    node_count: int | None = None
    api_address: str | None = None
    master_addresses: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    name: str | None = None

    @property
    def operation(self) -> str:
        """What it was last asked for, for example ``CREATE``."""
        return self.phase.partition("_")[0]

    @property
    def outcome(self) -> Outcome:
        """What became of that."""
        for each in (Outcome.IN_PROGRESS, Outcome.FAILED):
            if self.phase.endswith(each.value):
                return each
        return Outcome.COMPLETE

    @property
    def is_leaving(self) -> bool:
        """Whether its deletion was asked for."""
        return self.operation == "DELETE"


@dataclass(frozen=True)
class Order:
    """A cluster as it is to be created.

    :param name: by which it can be found again, should the answer get lost.
    :param template: the id of a cluster template.
    :param master_count: ``None`` for what the template says, like *node_count*.
    :param timeout: seconds after which Magnum gives up to create it.
    """

    name: str
    template: str
    master_count: int | None = None
    node_count: int | None = None
    timeout: float = 3600.0


class Magnum(Protocol):
    """Magnum as it is for one project. Each method raises an `InfrastructureError` of the kind that fits."""

    async def find(self, name: str) -> Sequence[Sight]:
        """Return the clusters of a name: none, one, or more after accidents."""

    async def observe(self, id: str) -> Sight:
        """Return how a cluster is."""

    async def orchestrator(self, template: str) -> str:
        """Return what the clusters of a template are, for example ``kubernetes``."""

    async def create(self, order: Order) -> str:
        """Begin to create a cluster, and return its id, by which it may be known only a little later."""

    async def resize(self, id: str, node_count: int) -> None:
        """Begin to give a cluster another number of nodes."""

    async def delete(self, id: str) -> None:
        """Begin to delete a cluster; one that is gone is no error."""

    async def authority(self, id: str) -> str:
        """Return the certificates, in PEM, that the Kubernetes API of a cluster is known by."""

    async def sign(self, id: str, request: str) -> str:
        """Return the certificate, in PEM, that the authority of a cluster makes of a request for one (PKCS #10, in PEM)."""


class Connector(AbstractAsyncContextManager[Any], Protocol):
    """Reaches Magnum."""

    def connect(self, key: Key, project: ProjectSpec) -> Magnum:
        """Return access as a project declares it; nothing is asked yet.

        :raises Rejected: nobody can log in by what is declared.
        """

    async def check(self, key: Key, project: ProjectSpec) -> None:
        """Log in anew, and ask whether there is a Magnum that answers. Raises an `InfrastructureError` if not."""
