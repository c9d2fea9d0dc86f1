"""What is told of clusters. Pure."""

from collections.abc import Iterator

from krake.data.events import Said, normal, warning
from krake.data.kubernetes import Cluster, ClusterState, ClusterStatus
from krake.data.metadata import ReasonCode

_NAMES = {
    ClusterState.OFFLINE: ("Offline", "It does not answer."),
    ClusterState.DEGRADED: ("Degraded", "It does not answer, and is tried again."),
    ClusterState.UNHEALTHY: ("Unhealthy", "Too many of its nodes are under pressure."),
    ClusterState.NOTREADY: ("NotReady", "Too many of its nodes are not ready."),
}


def tell(before: Cluster, after: Cluster) -> Iterator[Said]:
    """Yield what is worth telling of a change of its status."""
    old, new = before.status, after.status
    if new.state in _NAMES and (old.state, old.reason) != (new.state, new.reason):
        name, message = _NAMES[new.state]
        yield warning(name, new.reason.message if new.reason else message)
    elif new.state is ClusterState.ONLINE and old.state is not ClusterState.ONLINE:
        yield normal("Online", "It answers, and its nodes are ready.")
    elif new.state is ClusterState.ONLINE and _trouble_of(new) not in (None, _trouble_of(old)):
        yield warning("NodeTrouble", f"It gets along, but: {_trouble_of(new)}")


def _trouble_of(status: ClusterStatus) -> str | None:
    """What is wrong with some of its nodes."""
    return status.reason.message if status.reason and status.reason.code is ReasonCode.KUBERNETES_ERROR else None
