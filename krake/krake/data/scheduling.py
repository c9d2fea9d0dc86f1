"""How applications share the clusters: who keeps apart from whom, and how much a namespace may take. Pure."""

from typing import Any

from marshmallow import ValidationError

from krake.data.constraints import LabelConstraint, check_constraints
from krake.data.names import at_least, check_label_key
from krake.data.quantities import read_quantities
from krake.data.record import Record, field
from krake.data.rules import rule

_LABELS = ["app is web"]

MOST_RULES = 100
"""Rules of one kind that an application, or a cluster, may have: each takes time in every decision."""


class AntiAffinity(Record):
    """Keeps an application apart from others of its namespace, wherever it goes anew; who is there already stays.

    It holds both ways: the others keep away from this one as well.

    :param labels: what the labels of the others must be; all must hold, and without any all others are meant.
    :param over: a label of clusters: all clusters with the same value of it are taken as one place; null is each cluster by
        itself.
    :param required: otherwise it may go there after all, where no other cluster fits.
    """

    labels: list[LabelConstraint] = field(factory=list, validate=check_constraints, example=_LABELS)
    over: str | None = field(default=None, validate=check_label_key, example="zone")
    required: bool = True


class Spread(Record):
    """Spreads applications of a namespace evenly, whenever one of them goes somewhere anew.

    :param labels: what the labels of the applications must be that are counted; all must hold.
    :param over: a label of clusters: it is spread over its values, and clusters without it are out of the question; null
        spreads over the clusters.
    :param max_skew: how many more may be in one place than where there are the fewest.
    :param required: otherwise it may go elsewhere after all, where no other cluster fits.
    """

    labels: list[LabelConstraint] = field(factory=list, validate=check_constraints, example=_LABELS)
    over: str | None = field(default=None, validate=check_label_key, example="zone")
    max_skew: int = field(default=1, validate=at_least(1))
    required: bool = True


class DisruptionBudget(Record):
    """Limits how many applications of a namespace are moved at once, unless they have to leave a cluster that is lost.

    :param labels: what the labels of the applications must be that are counted; all must hold.
    :param max_unavailable: so many of them may be on their way, or out of order, at once; 0 lets none be moved.
    """

    labels: list[LabelConstraint] = field(factory=list, validate=check_constraints, example=_LABELS)
    max_unavailable: int = field(default=1, validate=at_least(0))


@rule({"additionalProperties": {"type": ["string", "number"], "pattern": "[0-9]", "minimum": 0}})
def check_quantities(values: dict[str, Any]) -> None:
    """Refuse what is no quantity as Kubernetes writes it."""
    read = read_quantities(values)
    problems = [{name: f"{values[name]!r} is no quantity, such as 500m, 2 or 8Gi."} for name in values if name not in read]
    if problems:
        raise ValidationError(problems)
