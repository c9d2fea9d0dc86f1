"""What is told of clusters. Pure."""

from collections.abc import Iterator

from krake.data.events import Said, normal, warning
from krake.data.kubernetes import Cluster, ClusterState

_NAMES = {
    ClusterState.OFFLINE: ("Offline", "It does not answer."),
    ClusterState.UNHEALTHY: ("Unhealthy", "One of its nodes is under pressure."),
    ClusterState.NOTREADY: ("NotReady", "One of its nodes is not ready."),
}


def tell(before: Cluster, after: Cluster) -> Iterator[Said]:
    """Yield what is worth telling of a change of its status."""
    old, new = before.status, after.status
    if new.state in _NAMES and (old.state, old.reason) != (new.state, new.reason):
        name, message = _NAMES[new.state]
        yield warning(name, new.reason.message if new.reason else message)
    elif new.state is ClusterState.ONLINE and old.state is not ClusterState.ONLINE:
        yield normal("Online", "It answers, and its nodes are ready.")
