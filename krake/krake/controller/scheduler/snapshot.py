"""What a decision is made from: an immutable view of the clusters and their metrics at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from krake.data import Reason, ResourceRef
from krake.data.kubernetes import Cluster


@dataclass(frozen=True)
class Reading:
    """A metric of a cluster, as measured.

    :param raw: the value as its provider gives it; constraints compare this one.
    :param value: *raw*, normalised to 0..1 by the range of the metric; scores use this one.
    :param weight: how much the cluster lets the metric count.
    """

    name: str
    raw: float
    value: float
    weight: float


@dataclass(frozen=True)
class Measurement:
    """All metrics of a cluster: those that could be read, and by name what is wrong with the others."""

    readings: tuple[Reading, ...] = ()
    failures: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the cluster can be ranked by metrics: it has some, and all of them could be read."""
        return bool(self.readings) and not self.failures


@dataclass(frozen=True)
class Candidate:
    """A cluster that an application may be placed on."""

    cluster: Cluster
    measurement: Measurement = Measurement()

    @property
    def ref(self) -> ResourceRef:
        """The reference to the cluster."""
        return self.cluster.ref


@dataclass(frozen=True)
class Settings:
    """How much staying counts.

    :param stickiness: weight of the term by which the score of the present cluster is raised.
    :param reschedule_after: how long a placement stands, as long as the cluster fits.
    """

    stickiness: float = 0.1
    reschedule_after: timedelta = timedelta(seconds=60)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision depends on besides the application."""

    now: datetime
    candidates: tuple[Candidate, ...]
    settings: Settings = Settings()
