"""Chooses where clusters are created: on which cloud, or, those of Magnum, in which project. Pure.

Clouds and projects are ranked as clusters are for applications, by the same rules and scores. Where two are equal, the one with
the fewer clusters is taken, then the first by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from krake.controller.scheduler.deciding.filters import Refusal, Rule, label_rule, metric_rule, refuse, refuse_excluded
from krake.controller.scheduler.deciding.scores import Score, score
from krake.controller.scheduler.deciding.snapshot import Measurement, Settings
from krake.data import Reason, ReasonCode, ResourceRef
from krake.data.constraints import LabelConstraint
from krake.data.infrastructure import Cloud, CloudState, GlobalCloud
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster, Project, ProjectState

LISTED = 10
"""Hosts of which it is said at most why they do not fit."""

S = TypeVar("S")


@dataclass(frozen=True)
class Host:
    """What clusters can be created on.

    :param guests: the number of clusters that are bound to it.
    :param failed: the name of a cluster that was created for applications, and failed there.
    :param setback: why none is created there for applications at the moment, as others were of no use.
    """

    resource: Cloud | GlobalCloud | Project
    measurement: Measurement = field(default_factory=Measurement)
    guests: int = 0
    failed: str | None = None
    setback: str | None = None

    @cached_property
    def ref(self) -> ResourceRef:
        """The reference to the cloud or project."""
        return self.resource.ref

    @property
    def offline(self) -> bool:
        """Whether nothing can be created on it now."""
        return is_offline(self.resource)

    @property
    def labels(self) -> Mapping[str, str]:
        """What label constraints are compared with."""
        return self.resource.metadata.labels


def is_offline(resource: Cloud | GlobalCloud | Project) -> bool:
    """Whether a cloud or project does not answer, or not accept its credentials."""
    return resource.status.state in (CloudState.OFFLINE, ProjectState.OFFLINE)


@dataclass(frozen=True)
class HostChoice:
    """Where a cluster is to be created.

    :param host: ``None`` if none fits; then *refusals* say why, or *hindrance* why none was looked for.
    :param score: of the host; compared with those of clusters where an application may go to one or the other.
    :param fitting: those that fit, with their scores.
    """

    host: Host | None
    score: Score | None
    refusals: tuple[tuple[ResourceRef, Refusal], ...]
    fitting: tuple[tuple[Host, Score], ...] = ()
    hindrance: str | None = None


def choose_host(rules: Iterable[Rule[S, Host]], guest: S, settings: Settings, *tiers: Iterable[Host]) -> HostChoice:
    """Return the best host of the first of *tiers* in which one fits.

    :param guest: whom the rules are about.
    """
    refusals: list[tuple[ResourceRef, Refusal]] = []
    rules = tuple(rules)
    for tier in tiers:
        fitting: list[tuple[Host, Score]] = []
        for host in sorted(tier, key=lambda each: (each.guests, each.ref.namespace or "", each.ref.name)):
            if (refusal := refuse(rules, guest, host, settings)) is not None:
                refusals.append((host.ref, refusal))
                continue
            fitting.append((host, score(host.measurement)))
        if fitting:
            # Of equal ones, this is the first.
            return HostChoice(*max(fitting, key=lambda each: each[1].rank), tuple(refusals), tuple(fitting))
    return HostChoice(None, None, tuple(refusals))


def explain_refusals(choice: HostChoice, plural: str) -> str:
    """Return why no host fits.

    :param plural: what the hosts are called.
    """
    if choice.hindrance is not None:
        return choice.hindrance
    listed = sorted(choice.refusals, key=lambda each: (each[0].namespace is None, each[0].name))
    said = [f"{ref.name}: {refusal.brief}" for ref, refusal in listed]
    if len(said) > LISTED:
        said[LISTED:] = [f"(and {len(said) - LISTED} more)"]
    return " ".join(said) or f"There are no {plural}; declare one."


def reason_of(choice: HostChoice, plural: str) -> Reason:
    """Return the reason of a cluster that fits nowhere."""
    prefix = f"None of the {plural} matches: " if choice.hindrance is None else ""
    message = f"{prefix}{explain_refusals(choice, plural)}"
    return Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message=message)


def _refuse_deleted(ask: None, host: Host, there: bool) -> str | None:
    deleted = host.resource.metadata.deleted
    return None if deleted is None else f"It is being deleted since {deleted.isoformat()}."


def _always(guest: object, settings: Settings) -> tuple[None]:
    return (None,)


def _refuse_offline(ask: None, host: Host, there: bool) -> str | None:
    if not host.offline:
        return None
    reason = host.resource.status.reason
    return f"It is OFFLINE: {reason.message}" if reason else "It is OFFLINE."


def _refuse_failed(ask: None, host: Host, there: bool) -> str | None:
    return None if host.failed is None else f"The cluster {host.failed} has failed there, and is not deleted yet."


def _refuse_setback(ask: None, host: Host, there: bool) -> str | None:
    return host.setback


def _labels_of_project(guest: MagnumCluster) -> Sequence[LabelConstraint] | None:
    wanted = guest.spec.constraints.project if guest.spec.constraints else None
    return wanted.labels if wanted else None


_HEALTH: tuple[Rule[Any, Host], ...] = (
    Rule("deleted", _always, _refuse_deleted),
    Rule("offline", _always, _refuse_offline),
    Rule("excluded", _always, refuse_excluded),
)

CLOUD_RULES: tuple[Rule[Cluster, Host], ...] = (
    *_HEALTH,
    Rule("failure", lambda cluster, settings: (None,) if cluster.spec.auto_generated else (), _refuse_failed),
    label_rule("The cluster", lambda cluster: cluster.spec.constraints.cloud.labels),
    metric_rule("The cluster", lambda cluster: cluster.spec.constraints.cloud.metrics),
)
"""What a cluster asks of its cloud."""

PROJECT_RULES: tuple[Rule[MagnumCluster, Host], ...] = (*_HEALTH, label_rule("The Magnum cluster", _labels_of_project))
"""What a Magnum cluster asks of its project."""

CREATION_RULES: tuple[Rule[Application, Host], ...] = (
    *_HEALTH,
    Rule("failure", _always, _refuse_failed),
    Rule("setback", _always, _refuse_setback),
    label_rule("The application", lambda app: app.spec.constraints.cluster.labels),
    metric_rule("The application", lambda app: app.spec.constraints.cluster.metrics),
)
"""What an application asks of a cloud for a cluster to be created for it, which inherits from the cloud."""
