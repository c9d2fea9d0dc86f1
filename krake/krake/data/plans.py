"""Plans: what the scheduler would do, now or if something were different. Nothing comes of a plan but its status.

A user creates a `Plan`; the scheduler works it out on a copy of what it knows and answers in the status.
"""

from datetime import datetime
from enum import Enum, auto
from typing import Any

from krake.data.constraints import LabelConstraint, MetricConstraint, check_constraints
from krake.data.credentials import rewrite_manifest
from krake.data.kinds import Resource, resource
from krake.data.kubernetes import Constraints
from krake.data.manifests import check_manifest
from krake.data.metadata import Metadata, Status
from krake.data.names import (
    at_least,
    check_label_key,
    check_label_value,
    check_labels,
    check_resource_name,
    no_longer_than,
)
from krake.data.placements import DecisionRecord
from krake.data.record import Record, field
from krake.data.scheduling import MOST_RULES
from krake.data.taints import Toleration

MOST_CHANGES = 1000
"""Changes of one kind that a plan may ask about."""
MOST_EXPLAINED = 10
"""Applications whose decisions a plan tells in full."""
MOST_LISTED = 500
"""Moves, or applications that fit nowhere, that are listed; of the others it is told how many there are."""
LONGEST_REASON = 512
"""Characters in which it is said why."""


class PlannedApplication(Record):
    """An application that is new, or other than now. What is null stays as it is, or as it is by default.

    :param manifest: of which only what is asked for (cpu, memory …) counts.
    """

    name: str = field(validate=check_resource_name, example="demo")
    labels: dict[str, str] | None = field(default=None, validate=check_labels)
    manifest: list[dict[str, Any]] | None = field(default=None, secret=rewrite_manifest, validate=check_manifest)
    constraints: Constraints | None = None
    tolerations: list[Toleration] | None = field(default=None, validate=no_longer_than(MOST_RULES))
    priority: int | None = None


class ConstraintChange(Record):
    """Other constraints of an application; they take the place of those that it has. What is null stays as it is."""

    application: str = field(validate=check_resource_name, example="demo")
    labels: list[LabelConstraint] | None = field(default=None, validate=check_constraints)
    metrics: list[MetricConstraint] | None = field(default=None, validate=check_constraints)


class LabelChange(Record):
    """Another label of a cluster.

    :param value: null takes the label away.
    """

    cluster: str = field(validate=check_resource_name, example="example")
    key: str = field(validate=check_label_key, example="location")
    value: str | None = field(default=None, validate=check_label_value)


class WeightChange(Record):
    """Another weight of a metric at a cluster; a metric that the cluster is not ranked by until now is added."""

    cluster: str = field(validate=check_resource_name, example="example")
    metric: str = field(validate=check_resource_name, example="load")
    weight: float = field(example=2.0)


class MetricChange(Record):
    """Another value of a metric, as its provider would give it.

    :param cluster: the only one for which it is other; null for all.
    """

    metric: str = field(validate=check_resource_name, example="load")
    value: float = field(example=0.9)
    cluster: str | None = field(default=None, validate=check_resource_name, example="example")


class PlanSpec(Record):
    """What is different in the plan from how it is; nothing, if nothing is said.

    :param drain: names of clusters that their applications are to leave.
    :param lose: names of clusters that do not answer any more, or of clouds whose clusters do not; where a cluster and a cloud
        have the same name, ``cluster/NAME`` or ``cloud/NAME``.
    :param explain: names of applications whose decisions are told in full.
    """

    applications: list[PlannedApplication] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    constraints: list[ConstraintChange] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    labels: list[LabelChange] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    weights: list[WeightChange] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    metrics: list[MetricChange] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    drain: list[str] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    lose: list[str] = field(factory=list, validate=no_longer_than(MOST_CHANGES))
    explain: list[str] = field(factory=list, validate=no_longer_than(MOST_EXPLAINED))


class PlanState(Enum):
    """How far a plan is."""

    PENDING = auto()
    DONE = auto()
    FAILED = auto()


class Move(Record):
    """An application that would go elsewhere.

    :param former: the cluster where it is bound now; null for one that is bound nowhere.
    :param choice: the cluster where it would be at last; null if it would be bound nowhere.
    :param why: in words.
    :param after: seconds after which it would go at the latest, because time must pass before; those that it takes to move
        and that a limit of moves adds are not among them.
    """

    application: str
    former: str | None = None
    choice: str | None = None
    why: str = ""
    after: float = field(default=0.0, validate=at_least(0))


class Misfit(Record):
    """An application that no cluster would fit at last.

    :param place: the cluster where it would stay nevertheless; null if it would be bound nowhere.
    :param why: in words.
    """

    application: str
    place: str | None = None
    why: str = ""


class Total(Record):
    """A number, summed over the applications whose clusters have it.

    :param mean: per application; null if there is none.
    :param applications: how many these are.
    """

    sum: float = 0.0
    mean: float | None = None
    applications: int = 0


class Comparison(Record):
    """What a number of the clusters adds up to: with each application where it is now, and as it would be at last."""

    before: Total
    after: Total


class PlanStatus(Status):
    """What the scheduler answers.

    :param reason: why the plan failed.
    :param observed_generation: the ``metadata.generation`` that is answered.
    :param computed: when it was worked out; everything in it is as of that time.
    :param settled: whether nothing would move any more after that; otherwise the applications would move again and again.
    :param rounds: how often all applications were decided on until then.
    :param applications: how many there are.
    :param clusters: how many there are.
    :param moving: how many applications would go elsewhere; *moves* may list fewer.
    :param unfit: how many applications no cluster would fit; *misfits* may list fewer.
    :param newly_unfit: how many of them would fit somewhere if all stayed as it is, or are new.
    :param score: the scores of the clusters by their metrics, without stickiness.
    :param metrics: the values as their providers give them, by metric.
    :param decisions: those asked for, by application: the last one that moved it, or else the first one.
    """

    state: PlanState = PlanState.PENDING
    observed_generation: int = 0
    computed: datetime | None = None
    settled: bool = False
    rounds: int = 0
    applications: int = 0
    clusters: int = 0
    moving: int = 0
    unfit: int = 0
    newly_unfit: int = 0
    moves: list[Move] = field(factory=list)
    misfits: list[Misfit] = field(factory=list)
    score: Comparison | None = None
    metrics: dict[str, Comparison] = field(factory=dict)
    decisions: dict[str, DecisionRecord] = field(factory=dict)


@resource(api="core", plural="plans", namespaced=True, transient=True)
class Plan(Resource):
    """A question about what the scheduler would do with the applications of the namespace, and the answer."""

    metadata: Metadata
    spec: PlanSpec = field(factory=PlanSpec)
    status: PlanStatus = field(factory=PlanStatus, subresource=True)
