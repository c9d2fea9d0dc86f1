"""What a decision has to know of an application besides its own: where it is, and what it takes up there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from krake.data import Key, ResourceRef
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import Application, ApplicationState, Cluster
from krake.data.requests import Amounts
from krake.data.scheduling import AntiAffinity

Selector = tuple[LabelConstraint, ...]
"""Which applications are meant, by their labels: all must hold."""

_NOTHING: Amounts = {}
_WELL = frozenset({ApplicationState.RUNNING, ApplicationState.COMPLETED})


@dataclass(frozen=True)
class Distance:
    """Whom an application keeps apart from: an AntiAffinity that can be the key of a mapping."""

    labels: Selector
    over: str | None
    required: bool = True

    @classmethod
    def of(cls, rule: AntiAffinity) -> "Distance":
        """Return what a rule says."""
        return cls(tuple(rule.labels), rule.over, rule.required)


@dataclass(frozen=True)
class Tenant:
    """An application, as others see it.

    :param place: the cluster that it is bound to.
    :param requests: what it asks for there, in thousandths (of a core, a byte, a piece) by resource.
    :param priority: those of a higher one come first.
    :param assumed: whether it was just bound to *place*, and the informer has yet to see it.
    :param running: whether it has come to *place*, so that what the cluster tells of holds its Pods, or soon will.
    :param distances: whom it keeps apart from.
    :param available: whether it is in order, and where it is to be.
    """

    key: Key
    labels: Mapping[str, str] = field(default_factory=dict)
    place: ResourceRef | None = None
    requests: Amounts = field(default_factory=dict)
    priority: int = 0
    assumed: bool = False
    running: bool = True
    distances: tuple[Distance, ...] = ()
    available: bool = True

    @property
    def settled(self) -> bool:
        """Whether it is known to run where it is bound to."""
        return self.running and not self.assumed


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels are meant by a selector."""
    return all(each.match(labels) for each in selector)


def requests_on(app: Application, cluster: Cluster) -> Amounts:
    """Return what an application asks for on a cluster; nothing once it has run to its end."""
    if app.status.state is ApplicationState.COMPLETED:
        return _NOTHING
    return app.spec.demand.on(cluster.metadata.name, cluster.metadata.labels, len(cluster.status.nodes))


def tenant_of(app: Application, cluster: Cluster | None, place: ResourceRef | None = None) -> Tenant:
    """Return what an application is to others.

    :param cluster: the one it is bound to, as far as it is known.
    :param place: that cluster, if the application is about to be bound to it; else the one of its status counts.
    """
    status, place = app.status, place or app.status.scheduled_to
    return Tenant(
        app.key,
        app.metadata.labels,
        place,
        requests=app.spec.demand.on("", {}, 1) if cluster is None else requests_on(app, cluster),
        priority=app.spec.priority,
        running=status.running_on == place,
        distances=tuple(dict.fromkeys(Distance.of(each) for each in app.spec.constraints.anti_affinity)),
        available=status.state in _WELL and status.running_on == place,
    )
