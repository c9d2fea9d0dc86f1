"""How often clusters that were created for applications have come to nothing where. Pure: the time is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from krake.controller.scheduler.provisioning.creation import AILING
from krake.data import ResourceRef
from krake.data.kubernetes import Cluster, ClusterState
from krake.lib.backoff import Backoff

PAUSES = Backoff(600.0, 6 * 3600.0)
"""Until the next cluster is created where more than one in a row has come to nothing, in seconds."""


@dataclass(frozen=True)
class _Setback:
    """What happened on a cloud since the last cluster that was of use."""

    count: int
    last: str
    until: datetime


class Setbacks:
    """Has ever fewer clusters created where none is ever of use: each costs machines for as long as it is tried.

    The first one costs nothing, as its like may do better. A process begins to count anew.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, ResourceRef], _Setback] = {}
        self._counted: set[str] = set()
        """The uids of clusters that have come to nothing, as long as they are there."""

    def note(self, cluster: Cluster, now: datetime) -> None:
        """Take note of how a cluster is that was created for applications."""
        cloud, state, uid = cluster.status.scheduled_to, cluster.status.state, cluster.metadata.uid
        if cloud is None or cluster.metadata.deleted is not None:
            return
        place = cluster.metadata.namespace, cloud
        if state is ClusterState.ONLINE:
            self._found.pop(place, None)
            self._counted.discard(uid)
        elif state is ClusterState.FAILED or state in AILING:
            known = self._found.get(place)
            count = (known.count if known else 0) + (uid not in self._counted)
            self._counted.add(uid)
            pause = timedelta(seconds=PAUSES.limit(count - 1))
            self._found[place] = _Setback(count, cluster.metadata.name, now + pause)

    def forget(self, cluster: Cluster) -> None:
        """Take note that a cluster is gone; what it has come to still counts."""
        self._counted.discard(cluster.metadata.uid)

    def hindrances(self, namespace: str | None, now: datetime) -> Mapping[ResourceRef, str]:
        """Return why nothing is created for the applications of a namespace now, by cloud."""
        return {
            cloud: f"{each.count} clusters in a row have come to nothing there, {each.last} last;"
            f" the next one is created after {each.until.isoformat(timespec='seconds')}."
            for (of, cloud), each in self._found.items()
            if of == namespace and each.until > now
        }

    def rest(self, namespace: str | None, now: datetime) -> float | None:
        """Return in how many seconds the first hindrance of a namespace ends; ``None`` if there is none."""
        ends = [each.until for (of, _), each in self._found.items() if of == namespace and each.until > now]
        return (min(ends) - now).total_seconds() if ends else None
