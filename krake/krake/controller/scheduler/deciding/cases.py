"""The case of an application: which clusters it may go to, and which of them suits it best. Pure."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

from krake.controller.scheduler.deciding.crowding import Crowd
from krake.controller.scheduler.deciding.filters import RULES, Refusal, Rule, fitting, minds, refuse, sift, tolerations_of
from krake.controller.scheduler.deciding.fleet import positions_of
from krake.controller.scheduler.deciding.scores import Score, score
from krake.controller.scheduler.deciding.snapshot import Candidate, Snapshot
from krake.data import ResourceRef
from krake.data.kubernetes import Application, ApplicationState
from krake.data.taints import Toleration


@dataclass(frozen=True)
class Verdict:
    """What was found about one cluster: why it is out of the question, or its score."""

    cluster: ResourceRef
    finding: Refusal | Score


class Case:
    """An application, a snapshot, and what is found about them.

    The clusters that the application has come to already, two at most, are judged one by one, because much is different there:
    stickiness, cordons, room. All others are the same to it as to every newcomer who asks for the same, so that they are taken
    from the fleet, and only the best of them are looked at.

    :ivar home: where the application can stay.
    :ivar in_vain: the target at which it was not ready in time, if it can not go back either: any other cluster is better.
    :ivar here: what is found about the clusters that it has come to.
    """

    def __init__(self, app: Application, snapshot: Snapshot) -> None:
        self.app, self.snapshot = app, snapshot
        self.current = app.status.scheduled_to
        self._crowd = Crowd(app, snapshot)
        self._chosen: Candidate | None = None
        self._reached: dict[ResourceRef, Candidate] = {}
        for ref in (app.status.scheduled_to, app.status.running_on):
            if (candidate := snapshot.fleet.find(ref)) is not None:
                self._reached[candidate.ref] = candidate
        self.home = self._find_home()
        self.in_vain = self._find_target_in_vain()
        self.here = {ref: self._judge_here(each) for ref, each in self._reached.items()}

    def judge_all(self) -> Iterator[Verdict]:
        """Yield a verdict on each cluster, by namespace and name."""
        fleet, left = self.snapshot.fleet, self._others
        failing: list[tuple[int, Rule[Application, Candidate], Hashable]] = []
        for rule, ask, found in sift(RULES, self.app, fleet, self.snapshot.settings):
            if refused := left & ~found:
                failing.append((refused, rule, ask))
                left &= found
        levels = list(self._split_by_reserve(left))
        for position, candidate in enumerate(fleet.candidates):
            finding: Refusal | Score | None = self.here.get(candidate.ref)
            if finding is None and left >> position & 1:
                avoided = next(number for number, level in levels if level >> position & 1)
                finding = self._refuse_unsteady(candidate) or self._refuse_crowded(candidate)
                finding = finding or replace(fleet.scores[position], avoided=avoided)
            elif finding is None:
                rule, ask = next((rule, ask) for refused, rule, ask in failing if refused >> position & 1)
                finding = Refusal(rule.name, rule.check(ask, candidate, False) or "")
            yield Verdict(candidate.ref, finding)

    def find_best(self) -> Candidate | None:
        """Return the cluster of those that fit that suits best; home, if none is better.

        Of others that suit equally well it is the one that is loaded the least, and then the first by name.
        """
        positions = self.snapshot.fleet.positions
        reached = [(found.rank, positions[ref]) for ref, found in self.here.items() if isinstance(found, Score)]
        highest = max((rank for rank, _ in reached), default=None)
        best_reached = [position for rank, position in reached if rank == highest]
        stays = self.home is not None and positions[self.home.ref] in best_reached
        for rank, tied in self._rank_newcomers():
            if highest is not None and (rank < highest or (stays and rank == highest)):
                break
            contenders = sorted(tied + best_reached) if rank == highest else tied
            if (chosen := self._choose_among(contenders)) is not None:
                return chosen
        return self.home if stays else self._choose_among(sorted(best_reached))

    def _find_home(self) -> Candidate | None:
        """Return where the application can stay: on the cluster it is bound to, or else where it still runs, unless that goes.

        One that is bound to none has no home: where it still runs, it is being cleared away.
        """
        if self.current is None:
            return None
        return next((each for each in self._reached.values() if each.cluster.metadata.deleted is None), None)

    def _find_target_in_vain(self) -> ResourceRef | None:
        status = self.app.status
        if status.state is not ApplicationState.MIGRATING or status.migration_timeout > self.snapshot.now.timestamp():
            return None
        if status.scheduled is not None and status.scheduled.timestamp() >= status.migration_timeout:
            return None  # the limit was that of another target; for this one it is yet to be set
        origin = self._reached.get(status.running_on) if status.running_on else None
        return status.scheduled_to if origin is None or origin.cluster.metadata.deleted is not None else None

    def _judge_here(self, candidate: Candidate) -> Refusal | Score:
        if (refusal := refuse(RULES, self.app, candidate, self.snapshot.settings, there=True)) is not None:
            return refusal
        sticky = self.snapshot.settings.stickiness if candidate is self.home else None
        return score(candidate.measurement, stickiness=sticky, avoided=int(candidate.ref == self.in_vain))

    def _refuse_crowded(self, candidate: Candidate) -> Refusal | None:
        # There was room on the chosen one when it was chosen, though the application itself may take it up by now.
        return None if candidate is self._chosen else self._crowd.refuse(candidate)

    def _refuse_unsteady(self, candidate: Candidate) -> Refusal | None:
        until = candidate.steady_from
        if until is None or until <= self.snapshot.now or not self._has_good_place:
            return None
        message = f"The cluster came back a short while ago; until {until:%H:%M:%S} UTC nobody moves there who can stay."
        return Refusal("recovery", message)

    @cached_property
    def _others(self) -> int:
        """The set of the clusters that it has not come to."""
        return self.snapshot.fleet.everyone & ~sum(1 << self.snapshot.fleet.positions[ref] for ref in self._reached)

    @cached_property
    def _has_good_place(self) -> bool:
        return self.home is not None and isinstance(self.here[self.home.ref], Score)

    def _rank_newcomers(self) -> Iterator[tuple[tuple[int, bool, float], list[int]]]:
        """Yield ranks, the highest first, each with the positions that have it and are refused at most for crowding."""
        fleet = self.snapshot.fleet
        found = self._others & fitting(RULES, self.app, fleet, self.snapshot.settings)
        if self._has_good_place:
            found &= ~self._find_unsteady()
        found &= self._find_room() & ~self._crowd.forbidden
        for avoided, level in self._split_by_reserve(found):
            for reached, tied in fleet.rank(level):
                yield (-avoided, reached.measured, reached.total), tied

    def _find_room(self) -> int:
        """Return a set that holds all clusters with room for the application: as far as that is the same on all of them."""
        asked = self.app.spec.demand.everywhere
        if asked is None or self.app.status.state is ApplicationState.COMPLETED:
            return self.snapshot.fleet.everyone
        tenant = self.snapshot.ledger.tenant(self.app.key)
        own = None if tenant is None or tenant.place is None else self.snapshot.fleet.positions.get(tenant.place)
        return self.snapshot.vacancies.with_room(asked) | (0 if own is None else 1 << own)

    def _find_unsteady(self) -> int:
        """Return the set of the clusters that nobody moves to who can stay."""
        fleet = self.snapshot.fleet
        watched = fleet.satisfying("steady from", lambda each: each.steady_from is not None)
        return sum(1 << each for each in positions_of(watched) if self._refuse_unsteady(fleet.candidates[each]))

    def _split_by_reserve(self, found: int) -> Iterator[tuple[int, int]]:
        """Yield how much there is that clusters are to be avoided for, the least first, each with those of a set."""
        if not self._crowd.avoided:
            yield from self._split_by_taints(found)
            return
        levels = dict(self._split_by_taints(found))
        for each in self._crowd.avoided:
            raised: dict[int, int] = {}
            for number, level in levels.items():
                raised[number] = raised.get(number, 0) | level & ~each.where
                raised[number + 1] = raised.get(number + 1, 0) | level & each.where
            levels = raised
        yield from sorted((number, level) for number, level in levels.items() if level)

    def _split_by_taints(self, found: int) -> Iterator[tuple[int, int]]:
        """Yield how many taints are to be avoided, the fewest first, each with those of a set that have as many."""
        fleet, tolerations, avoided = self.snapshot.fleet, tolerations_of(self.app), 0
        while found:
            level = found & fleet.satisfying(("avoided", tolerations, avoided), partial(_avoided, tolerations, avoided))
            if level:
                yield avoided, level
            found &= ~level
            avoided += 1

    def _choose_among(self, contenders: list[int]) -> Candidate | None:
        """Return the least loaded of some clusters that suit equally well; none, if there is room on none."""
        if len(contenders) > 1:
            contenders = sorted(contenders, key=self.snapshot.vacancies.loads.__getitem__)
        for position in contenders:
            each = self.snapshot.fleet.candidates[position]
            if each.ref in self.here or self._refuse_crowded(each) is None:
                self._chosen = each
                return each
        return None


def _avoided(tolerations: tuple[Toleration, ...], number: int, candidate: Candidate) -> bool:
    return len(minds(tolerations, candidate, "PreferNoSchedule")) == number
