"""What there is to know before something is decided about a cluster, and what can come out. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from krake.data.infrastructure import (
    Cloud,
    GlobalCloud,
    GlobalInfrastructureProvider,
    InfrastructureProvider,
    InfrastructureStatus,
)
from krake.data.kubernetes import Cluster, ClusterState, ClusterStatus
from krake.data.merging import without_nulls as without_nulls
from krake.data.metadata import ReasonCode

AnyCloud = Cloud | GlobalCloud
AnyProvider = InfrastructureProvider | GlobalInfrastructureProvider
State = ClusterState

WORKING = frozenset(
    {
        State.ONLINE,
        State.CONNECTING,
        State.OFFLINE,
        State.UNHEALTHY,
        State.NOTREADY,
        State.FAILING_METRICS,
        State.DEGRADED,
    }
)
"""The states of clusters whose infrastructure is done. It is for others to say which of these a cluster is in."""
HELD_UP = frozenset({State.FAILING_RECONCILIATION, State.FAILED})
REASONS = frozenset(
    {
        ReasonCode.INVALID_RESOURCE,
        ReasonCode.CREATE_FAILED,
        ReasonCode.RECONCILE_FAILED,
        ReasonCode.RECONFIGURE_FAILED,
        ReasonCode.DELETE_FAILED,
        ReasonCode.RETRIEVE_FAILED,
        ReasonCode.NOT_FOUND,
    }
)
"""The codes of the reasons that are given here; reasons of others are left alone as long as a cluster works."""
_SKEW = timedelta(minutes=1)
"""By so much clocks may differ that belong together."""
GONE, LOST = "gone", "lost"
"""The phases of infrastructures and of machines that were there, and are not there any more."""


@dataclass(frozen=True)
class Pace:
    """How soon something is done.

    :param poll: from one look to the next at what is under way.
    :param observe: from one look to the next at what is done.
    :param creation: until an infrastructure has to be ready.
    :param search: for so long an infrastructure is looked for whose creation was asked for without an answer.
    :param longest: the longest wait between two attempts.
    """

    poll: timedelta = timedelta(seconds=30)
    observe: timedelta = timedelta(seconds=60)
    creation: timedelta = timedelta(hours=1)
    search: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(minutes=5)

    @property
    def search_pause(self) -> timedelta:
        """From one look to the next for what may have been created."""
        return min(self.poll, self.search / 6)

    @property
    def departure_pause(self) -> timedelta:
        """From one look to the next at what is being deleted."""
        return min(self.poll, timedelta(seconds=5))


@dataclass(frozen=True)
class Home:
    """Where the infrastructure of a cluster is, or is to be."""

    cloud: AnyCloud
    provider: AnyProvider

    @property
    def leaving(self) -> str | None:
        """Why nothing is created here any more."""
        for each in (self.cloud, self.provider):
            if each.metadata.deleted is not None:
                return f"{each.ref} is being deleted."
        return None


@dataclass(frozen=True)
class Situation:
    """What is known besides the cluster.

    :param home: or why there is none.
    :param looked: when the provider was last asked by this process.
    :param intended: whether the wish to create, or to change, the infrastructure was stored by this process, and not carried
        out yet.
    :param kubeconfig: as the provider had it last.
    """

    now: datetime
    pace: Pace
    home: Home | str
    looked: datetime | None = None
    intended: bool = False
    kubeconfig: Mapping[str, Any] | None = None

    def basis(self, cluster: Cluster) -> str:
        """Name what an attempt rests on: once that changes, another one is worthwhile."""
        if isinstance(self.home, str):
            return ""
        parts = [(each.metadata.uid, each.metadata.generation) for each in (cluster, self.home.cloud, self.home.provider)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def recovered_since(self, moment: datetime | None) -> bool:
        """Whether the cloud or the provider answers again that did not at a moment."""
        if isinstance(self.home, str) or moment is None:
            return False
        found = (self.home.cloud.status, self.home.provider.status)
        return any(each.reason is None and each.checked is not None and each.checked > moment for each in found)

    def is_to_come(self, moment: datetime | None, wait: timedelta = timedelta()) -> bool:
        """Whether something was written down by a clock that has been set back since: nobody waits until it is so late again.

        :param wait: how far ahead it may be.
        """
        return moment is not None and moment - self.now > wait + _SKEW

    def rest(self, pause: timedelta, since: datetime | None = None) -> timedelta | None:
        """Return how long it is until the provider is asked again; ``None`` if it may be now.

        :param pause: from one look to the next.
        :param since: looks before that do not count.
        """
        if self.looked is None or (since is not None and self.looked < since) or self.is_to_come(self.looked):
            return None
        rest = self.looked + pause - self.now
        return rest if rest > timedelta() else None


class Call(Enum):
    """What providers are asked; see `krake.ports.infrastructure.Infrastructures`."""

    FIND = auto()
    CREATE = auto()
    OBSERVE = auto()
    KUBECONFIG = auto()
    UPDATE = auto()
    RECONFIGURE = auto()
    DELETE = auto()


@dataclass(frozen=True)
class Ask:
    """Ask the provider.

    :param id: of the infrastructure that is meant.
    :param template: by which it is created, or updated.
    """

    call: Call
    id: str = ""
    template: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """Write the status, and decide anew.

    :param intent: whether it says that an infrastructure is about to be created, or changed.
    """

    status: ClusterStatus
    intent: bool = False


@dataclass(frozen=True)
class Hold:
    """Put the finalizer on the cluster, its cloud and its provider."""


@dataclass(frozen=True)
class Release:
    """Take the finalizer from the cluster: nothing is left of it."""


@dataclass(frozen=True)
class Rest:
    """Do nothing, for a time or until something changes."""

    after: timedelta | None = None


Step = Ask | Store | Hold | Release | Rest


@dataclass(frozen=True)
class Outcome:
    """What follows from an answer.

    :param status: to be written, before anything else is done.
    :param after: when to decide anew at the latest; ``None`` for not before something changes.
    :param then: what to ask at once.
    :param kubeconfig: of the cluster, to be written before the status.
    :param intent: as of `Store`.
    :param release: whether nothing is left of the cluster.
    """

    status: ClusterStatus
    after: timedelta | None = timedelta()
    then: Ask | None = None
    kubeconfig: dict[str, Any] | None = None
    intent: bool = False
    release: bool = False


def infrastructure_of(cluster: Cluster, home: Home) -> InfrastructureStatus:
    """Return what is known of the infrastructure of a cluster, as far as anything is."""
    return cluster.status.infrastructure or InfrastructureStatus(provider=home.provider.ref)
