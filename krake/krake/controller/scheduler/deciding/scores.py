"""How well a cluster suits an application that it may run.

The formulas are those of the original Krake, so that a cluster keeps the score that its users know:

* without metrics: ``s * stickiness``
* with metrics: ``(sum(value_i * weight_i) + s * stickiness) / (sum(weight_i) + s * stickiness)``

where ``s`` is 1 for the cluster that the application is placed on and 0 for any other, ``value_i`` is the normalised metric and
``weight_i`` its weight. Clusters with metrics are preferred: one without is taken only where none has any. Before that, those
are preferred that have the fewest taints to be avoided (``PreferNoSchedule``); those of its present cluster do not count.
"""

import math
from dataclasses import dataclass

from krake.controller.scheduler.deciding.snapshot import Measurement


@dataclass(frozen=True)
class Part:
    """A term of a score: ``value * weight``."""

    name: str
    value: float
    weight: float


@dataclass(frozen=True)
class Score:
    """How well a cluster suits.

    :param measured: whether metrics count in *total*; such a score beats any that is not measured.
    :param parts: the terms that *total* was made of.
    :param note: what the reader should know besides.
    :param avoided: the number of taints for which another cluster is preferred.
    """

    total: float
    measured: bool
    parts: tuple[Part, ...] = ()
    note: str | None = None
    avoided: int = 0

    @property
    def rank(self) -> tuple[int, bool, float]:
        """What scores are compared by; the greater the better."""
        return -self.avoided, self.measured, self.total


STICKINESS = "stickiness"


def score(measurement: Measurement, *, stickiness: float | None = None, avoided: int = 0) -> Score:
    """Return the score of a candidate by the formulas above; metrics whose weights have no usable sum do not count.

    :param stickiness: that of the present place; ``None`` for any other.
    """
    sticky = () if stickiness is None else (Part(STICKINESS, 1.0, stickiness),)
    parts = tuple(Part(each.name, each.value, each.weight) for each in measurement.readings) + sticky
    if measurement.readings and (mean := _weighted_mean(parts)) is not None:
        return Score(mean, True, parts, _note(measurement), avoided)
    return Score(stickiness or 0.0, False, sticky, _note(measurement), avoided)


def _weighted_mean(parts: tuple[Part, ...]) -> float | None:
    # fsum is exact, so that the order of the metrics can not make one cluster seem better than another.
    try:
        weight = math.fsum(part.weight for part in parts)
        total = math.fsum(part.value * part.weight for part in parts)
    except OverflowError:
        return None
    # Huge weights that cancel each other out to next to nothing make a mean that is no number to compare by.
    return mean if weight > 0 and math.isfinite(mean := total / weight) else None


def _note(measurement: Measurement) -> str | None:
    if not measurement.failures:
        return None
    counting = {each.name for each in measurement.readings}
    unread = sorted(each for each in measurement.failures.items() if each[0] not in counting)
    if not unread:
        return None
    listed = "; ".join(f"{name}: {reason.message}" for name, reason in unread)
    without = "the others" if measurement.readings else "metrics"
    return f"Ranked {'by' if measurement.readings else 'without'} {without}, because some could not be read: {listed}"
