"""When a cluster counts as lost, so that its applications go elsewhere, and when it is trusted again. Pure.

One missed heartbeat must not move anything. So a cluster is only lost if several who look at it independently say so, for some
time: the cluster controller finds it out of use (after attempts of its own), the application controller does not get its
applications to run there, and both have lasted for a while. Until then its applications wait for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from krake.data import ReasonCode
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState

USABLE = frozenset({ClusterState.ONLINE, ClusterState.FAILING_METRICS})
BROKEN = frozenset({ClusterState.OFFLINE, ClusterState.UNHEALTHY, ClusterState.NOTREADY, ClusterState.FAILED})
"""The states that a cluster does not seem to come out of by itself."""


@dataclass(frozen=True)
class Failover:
    """How patient to be.

    :param enabled: without it, applications wait for their cluster for ever.
    :param after: how long a cluster has to be out of use.
    :param fail_back_after: how long one that came back has to be of use before those move there who have a good place.
    """

    enabled: bool = True
    after: timedelta = timedelta(seconds=30)
    fail_back_after: timedelta = timedelta(seconds=300)


@dataclass(frozen=True)
class Standing:
    """What is to be thought of a cluster.

    :param awaited: whether the applications that are there wait for it, though it is of no use at the moment.
    :param lost: whether they are to go elsewhere because of its state.
    :param steady_from: from when on it is trusted again, if it was out of use before.
    :param until: when time alone leads to another standing; ``None`` if it never does.
    """

    awaited: bool = False
    lost: bool = False
    steady_from: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Reports:
    """What the application controller says of a cluster: how many applications are there, and how many of them in trouble."""

    total: int = 0
    troubled: int = 0

    @property
    def confirm(self) -> bool:
        """Whether that agrees with a cluster being lost. Nobody there says nothing against it."""
        return 2 * self.troubled >= self.total


def count(apps: Iterable[Application], state: ClusterState) -> Reports:
    """Count the applications of a cluster in some state by what is said of them."""
    # What has come to its end is not looked after any more.
    found = [_is_troubled(app, state) for app in apps if app.status.state is not ApplicationState.COMPLETED]
    return Reports(len(found), sum(found))


def _is_troubled(app: Application, state: ClusterState) -> bool:
    """Whether an application does not run well on its cluster, which is in some state."""
    status = app.status
    unreachable = status.reason is not None and status.reason.code is ReasonCode.CLUSTER_NOT_REACHABLE
    # Where a cluster can not be reached, that has to be found out; where it can be, how its Pods are.
    return unreachable or (state is not ClusterState.OFFLINE and status.state is not ApplicationState.RUNNING)


def outage_of(cluster: Cluster) -> datetime:
    """Return since when a cluster is out of use, by the clock of the API."""
    return cluster.status.out_of_use or cluster.status.state_changed or cluster.metadata.created


def judge(cluster: Cluster, reports: Reports, failover: Failover, now: datetime, since: datetime | None = None) -> Standing:
    """Return what is to be thought of a cluster.

    :param since: when its outage began, by the clock that *now* is of, if that is known better than by the clock of the API.
    """
    status = cluster.status
    if status.state in USABLE:
        steady_from = None if status.recovered is None else status.recovered + failover.fail_back_after
        ahead = steady_from is not None and steady_from > now
        return Standing(steady_from=steady_from if ahead else None, until=steady_from if ahead else None)
    if status.state not in BROKEN or not failover.enabled:
        return Standing(awaited=True)
    due = (since or outage_of(cluster)) + failover.after
    if due > now:
        return Standing(awaited=True, until=due)
    return Standing(lost=True) if reports.confirm else Standing(awaited=True)
