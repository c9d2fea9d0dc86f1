"""What a decision is made from: an immutable view of the clusters, their metrics and their tenants at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from krake.controller.scheduler.deciding.ledger import Ledger
from krake.data import Reason, ResourceRef
from krake.data.kubernetes import Cluster

if TYPE_CHECKING:
    from krake.controller.scheduler.deciding.fleet import Fleet
    from krake.controller.scheduler.deciding.vacancies import Vacancies


@dataclass(frozen=True)
class Reading:
    """A metric of a cluster, as measured.

    :param raw: the value as its provider gives it; constraints compare this one.
    :param value: *raw*, normalised to 0..1 by the range of the metric; scores use this one.
    :param weight: how much the cluster lets the metric count.
    :param age: seconds since the provider gave it.
    :param note: what the reader should know besides, for example that it is the last good one, or out of the range.
    :param low: the raw value that is normalised to 0.
    :param high: the raw value that is normalised to 1.
    """

    name: str
    raw: float
    value: float
    weight: float
    age: float = 0.0
    note: str | None = None
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Measurement:
    """All metrics of a cluster: those that could be read, and by name what is wrong with the others.

    :param excluded: whether one of the failing metrics puts the cluster out of the question.
    """

    readings: tuple[Reading, ...] = ()
    failures: Mapping[str, Reason] = field(default_factory=dict)
    excluded: bool = False

    def compared(self, *, weighted: bool) -> Mapping[str, float]:
        """Return what constraints compare, by name: raw values, or ``value * weight`` as the original Krake did."""
        return self._products if weighted else self._raws

    @cached_property
    def _raws(self) -> Mapping[str, float]:
        return {each.name: each.raw for each in self.readings}

    @cached_property
    def _products(self) -> Mapping[str, float]:
        return {each.name: each.value * each.weight for each in self.readings}


@dataclass(frozen=True)
class Candidate:
    """A cluster that an application may be placed on.

    :param cluster: as it counts: with the labels and the metrics that it inherits.
    :param awaited: whether those that are there wait for it, though it does not answer at the moment.
    :param steady_from: since when, or from when on, it counts as steady: before, nobody moves there who has a good place.
    """

    cluster: Cluster
    measurement: Measurement = Measurement()
    awaited: bool = False
    steady_from: datetime | None = None

    @cached_property
    def ref(self) -> ResourceRef:
        """The reference to the cluster."""
        return self.cluster.ref

    @property
    def labels(self) -> Mapping[str, str]:
        """What constraints on labels are about."""
        return self.cluster.metadata.labels


@dataclass(frozen=True)
class Settings:
    """How decisions are made.

    :param stickiness: weight of the term by which the score of the present cluster is raised.
    :param reschedule_after: how long a placement stands, as long as the cluster fits.
    :param weighted_constraints: whether constraints compare ``value * weight`` of a metric, as the original Krake did, instead
        of its raw value.
    """

    stickiness: float = 0.1
    reschedule_after: timedelta = timedelta(seconds=60)
    weighted_constraints: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision depends on besides the application.

    :param ledger: who is where; it belongs to the shell, and is only read by decisions.
    """

    now: datetime
    candidates: tuple[Candidate, ...]
    settings: Settings = Settings()
    ledger: Ledger = field(default_factory=Ledger, compare=False)

    @cached_property
    def fleet(self) -> "Fleet[Candidate]":
        """The candidates, prepared for many decisions."""
        from krake.controller.scheduler.deciding.fleet import Fleet

        return Fleet(self.candidates)

    @cached_property
    def vacancies(self) -> "Vacancies":
        """How loaded the candidates are, and where there is room."""
        from krake.controller.scheduler.deciding.vacancies import Vacancies

        return Vacancies(self.fleet, self.ledger)

    def at(self, now: datetime) -> "Snapshot":
        """Return the same at another time; what was prepared is kept."""
        return _prepared(replace(self, now=now), fleet=self.fleet, vacancies=self.vacancies)

    def fork(self) -> "Snapshot":
        """Return the same with a ledger of its own, to try out what is not to happen: who leaves makes room at once."""
        return _prepared(replace(self, ledger=self.ledger.fork(at_once=True)), fleet=self.fleet)

    def changed(self, candidates: Iterable[Candidate], gone: Iterable[ResourceRef] = ()) -> "Snapshot":
        """Return a snapshot in which some candidates are new or others than before, and some are gone."""
        news = list(candidates)
        fleet = self.fleet.changed(news, gone)
        snapshot = _prepared(replace(self, candidates=fleet.candidates), fleet=fleet)
        if fleet.positions is self.fleet.positions:
            positions = [fleet.positions[each.ref] for each in news]
            snapshot = _prepared(snapshot, vacancies=self.vacancies.exchanged(fleet, positions))
        return snapshot


def _prepared(snapshot: Snapshot, **parts: object) -> Snapshot:
    """Fill in what else would be prepared when it is asked for."""
    snapshot.__dict__.update(parts)
    return snapshot
