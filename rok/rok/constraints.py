"""Constraints on labels and metrics: who writes one that can not be read is told how to, before anything is sent."""

from rok.errors import Misuse

LABEL_FORMS = "'location is DE', 'location in (DE, SK)' or 'gpu exists'"
METRIC_FORMS = "'load < 0.5', 'load is not 3' or 'load exists'"


def read_label_constraint(text: str) -> str:
    """Read a constraint on labels.

    :raises Misuse: it is none.
    """
    from krake.data.constraints import LabelConstraint  # loading it takes a while

    try:
        LabelConstraint.parse(text)
    except ValueError:
        raise Misuse(f"{text!r} is no constraint on labels: write for example {LABEL_FORMS}") from None
    return text


def read_metric_constraint(text: str) -> str:
    """Read a constraint on metrics.

    :raises Misuse: it is none.
    """
    from krake.data.constraints import MetricConstraint

    try:
        MetricConstraint.parse(text)
    except ValueError:
        raise Misuse(f"{text!r} is no constraint on metrics: write for example {METRIC_FORMS}") from None
    return text
