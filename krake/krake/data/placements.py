"""Placements: what was decided about where something goes, and why, for people who ask. Krake itself decides nothing by them.

The kind `Placement` keeps the latest decisions about one object; a plan answers with the same `DecisionRecord`.
"""

import hashlib
from datetime import datetime

from krake.data.events import Regarding
from krake.data.kinds import Resource, resource
from krake.data.metadata import Key, Metadata, ResourceRef
from krake.data.names import at_least, no_longer_than, one_of
from krake.data.record import Record, field

MOST_DECISIONS = 10
"""Decisions that are kept of one object."""
MOST_CANDIDATES = 50
"""Candidates of which a decision tells in full; of the others, how many there are."""
MOST_METRICS = 50
"""Metrics of a candidate that are told."""
LONGEST_TEXT = 1024
"""Characters of a message or a note."""

_LONGEST_NAME = 255
_DIGEST = 16


class MetricRecord(Record):
    """A metric of a candidate, as it counted.

    :param raw: the value that its provider gave; null if it could not be read.
    :param value: *raw*, normalised to 0..1 by the range of the metric.
    :param weight: how much the candidate lets the metric count.
    :param age: seconds between the measurement and the decision.
    :param note: what is odd about the value, or why there is none.
    """

    name: str
    raw: float | None = None
    value: float | None = None
    weight: float = 0.0
    age: float = 0.0
    note: str | None = field(default=None, validate=no_longer_than(LONGEST_TEXT))


class CandidateRecord(Record):
    """What was found about one candidate: by which rule it was refused, or its score.

    :param place: the candidate: a cluster, cloud or project.
    :param rule: that refused it; null if it was not refused.
    :param message: why it was refused.
    :param score: of a candidate that was not refused.
    :param measured: whether metrics count in the score. Such a score beats any that is not measured.
    :param metrics: of a candidate that was not refused.
    :param stickiness: the weight by which the score was raised because the object is there already.
    :param avoided: the number of reasons for which another candidate is preferred, whatever the scores.
    :param note: what the reader should know besides.
    """

    place: ResourceRef
    rule: str | None = None
    message: str | None = field(default=None, validate=no_longer_than(LONGEST_TEXT))
    score: float | None = None
    measured: bool = False
    metrics: list[MetricRecord] = field(factory=list, validate=no_longer_than(MOST_METRICS))
    stickiness: float = 0.0
    avoided: int = 0
    note: str | None = field(default=None, validate=no_longer_than(LONGEST_TEXT))


class Condition(Record):
    """A change of one number of *metric*.

    :param of: its raw ``value``, wherever it counts, or its ``weight`` for the candidate alone.
    :param relation: how the number has to relate to *bound*.
    :param present: what the number is.
    """

    metric: str
    of: str = field(default="value", validate=one_of("value", "weight"))
    relation: str = field(validate=one_of("<", "<=", ">", ">="), example="<")
    bound: float = field(example=0.31)
    present: float | None = None


class Counterfactual(Record):
    """What would have made another candidate the choice: any one of *conditions*, all else being equal."""

    place: ResourceRef
    conditions: list[Condition] = field(validate=no_longer_than(MOST_METRICS))


class DecisionRecord(Record):
    """A decision, and what it was made from.

    :param since: when it was first decided so.
    :param time: when it was last decided so; the numbers are those of that time.
    :param choice: where the object goes; null if no candidate fits: then it stays where it is, as far as it can.
    :param former: where it was when that was first decided.
    :param cause: why it left *former* or, where that is null, why it went to *choice*.
    :param ground: why the choice is what it is, for machines.
    :param message: the same, for people.
    :param concern: why it had better not be where it stays.
    :param waits: why that is not carried out yet; null once it is. What was never carried out does not stay in the history.
    :param considered: the number of candidates; *candidates* may be fewer.
    :param refused: how many were refused, by rule.
    :param candidates: the choice, where it was, the best, and some of those that each rule refused.
    :param counterfactuals: what would have made another candidate the choice.
    """

    since: datetime
    time: datetime
    choice: ResourceRef | None = None
    former: ResourceRef | None = None
    ground: str = ""
    message: str = field(default="", validate=no_longer_than(LONGEST_TEXT))
    cause: str | None = field(default=None, validate=no_longer_than(LONGEST_TEXT))
    concern: str | None = field(default=None, validate=no_longer_than(LONGEST_TEXT))
    waits: str | None = field(default=None, validate=no_longer_than(LONGEST_TEXT))
    considered: int = field(default=0, validate=at_least(0))
    refused: dict[str, int] = field(factory=dict)
    candidates: list[CandidateRecord] = field(factory=list, validate=no_longer_than(MOST_CANDIDATES))
    counterfactuals: list[Counterfactual] = field(factory=list, validate=no_longer_than(MOST_CANDIDATES))


@resource(api="core", plural="placements", namespaced=True)
class Placement(Resource):
    """The latest decisions about where an object goes.

    :param subject: the object; it is also the owner of the placement, which goes with it.
    :param decisions: the latest first. Of the first one, more is told than of the others.
    """

    metadata: Metadata
    subject: Regarding
    decisions: list[DecisionRecord] = field(factory=list, validate=no_longer_than(MOST_DECISIONS))


def placement_key(subject: ResourceRef) -> Key:
    """Return the key of the placement of an object: ``application-demo`` beside the application ``demo``."""
    name = f"{subject.kind.lower()}-{subject.name}"
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
        name = f"{name[: _LONGEST_NAME - _DIGEST - 1]}.{digest}"
    return Key(subject.namespace, name)
