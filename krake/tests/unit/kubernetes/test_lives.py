"""Whatever happens to an application on its way, in whatever order, it ends well: once, somewhere, with nothing left behind.

The controller is played by a few lines here that do what is decided. It is stopped at any write, and begins anew with nothing
but the status.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from unit.kubernetes.applications import LOST, NOW, REJECTED, A, B, C, app, config_map, declared, outcome

from krake.controller.kubernetes.application import departure, lifecycle, migration
from krake.controller.kubernetes.application.health import Verdict
from krake.controller.kubernetes.application.lifecycle import Outcome, Step
from krake.controller.kubernetes.application.migration import Move
from krake.data import ResourceRef
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION

State = ApplicationState
LIMIT = timedelta(seconds=30)
PLACES = (A, B, C)
ITEMS = declared(config_map())


class Killed(Exception):
    """The controller is stopped."""


class Lives(RuleBasedStateMachine):
    """An application, three clusters, and those who do something to them."""

    @initialize(
        strategy=st.sampled_from(["create_first", "delete_first"]),
        troubles=st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(["lost", "rejects", "slow"])), max_size=3),
    )
    def begin(self, strategy: str, troubles: list[tuple[ResourceRef, str]]) -> None:
        found = app(config_map(), scheduled_to=A, metadata={"finalizers": [KUBERNETES_RESOURCES_DELETION]})
        self.app: Application = replace(found, spec=replace(found.spec, migration_strategy=strategy))
        self.now: datetime = NOW
        self.holds: set[ResourceRef] = set()
        self.lost: set[ResourceRef] = set()
        self.rejects: set[ResourceRef] = set()
        self.slow: set[ResourceRef] = set()
        self.ended = False
        self.writes_left = 0
        self.reconcile()
        for place, what in troubles:
            getattr(self, what).add(place)

    # -- the controller ------------------------------------------------------------------------------------------------

    def write(self, status: ApplicationStatus) -> None:
        if status != self.app.status:
            self.spend()
            self.app = replace(self.app, status=status)

    def spend(self) -> None:
        if self.writes_left == 0:
            raise Killed
        self.writes_left -= 1

    def attempt(self) -> Outcome:
        target = self.app.status.scheduled_to
        assert target is not None
        if target in self.lost:
            return LOST
        self.write(lifecycle.begin(self.app, ITEMS, []))
        if target in self.rejects:
            return REJECTED
        self.spend()
        self.holds.add(target)
        return outcome(Verdict.STARTING if target in self.slow else Verdict.READY)

    def remove_from(self, place: ResourceRef) -> bool:
        if place in self.lost:
            return False
        self.spend()
        self.holds.discard(place)
        return True

    def clean(self) -> None:
        gone = [place for place in lifecycle.left_behind(self.app) if self.remove_from(place)]
        if gone:
            self.write(lifecycle.cleaned(self.app, gone, ITEMS))

    def bind(self, place: ResourceRef | None) -> None:
        status = replace(self.app.status, scheduled_to=place, kube_controller_triggered=self.now)
        self.app = replace(self.app, status=status)

    def place(self) -> None:
        if others := migration.other_copies(self.app):
            self.write(departure.departed(self.app, [place for place in others if self.remove_from(place)]))
        seen = self.attempt()
        status = lifecycle.conclude(self.app, seen, ITEMS, self.now)
        self.write(lifecycle.plan_attempt(self.app, status, seen, self.now, 0))
        self.clean()

    def migrate(self) -> None:
        origin, manner = self.app.status.running_on, migration.manner_of(self.app)
        assert origin is not None
        if migration.has_given_up(self.app, self.now):
            self.spend()
            return self.bind(origin)
        self.write(migration.start(self.app, manner, self.now, LIMIT))
        if others := migration.other_copies(self.app):
            if not all([self.remove_from(place) for place in others]):
                return None
            self.write(migration.other_copies_gone(self.app, others, self.now, LIMIT))
        seen = self.attempt()
        move = migration.judge(self.app, seen, self.now, can_return=origin not in self.lost)
        if move is Move.SWITCH:
            self.write(migration.switch(self.app, seen, ITEMS, self.now))
            self.clean()
        elif move is Move.GIVE_UP:
            self.write(migration.give_up(self.app, seen, self.now, LIMIT))
            self.spend()
            self.bind(origin)
        else:
            self.write(migration.wait(self.app, seen))
        return None

    def unbind(self) -> None:
        gone = [place for place in lifecycle.places_of(self.app) if self.remove_from(place)]
        self.write(departure.unbound(self.app, gone))

    def delete(self) -> None:
        self.write(departure.deleting(self.app, None))
        if all([self.remove_from(place) for place in lifecycle.places_of(self.app)]):
            self.write(departure.deleted(self.app))
            self.ended = True

    def reconcile(self, writes: int = -1) -> None:
        """Do what is next, for so many writes at most."""
        self.writes_left = writes
        steps: dict[Step, Any] = {
            Step.PLACE: self.place,
            Step.MIGRATE: self.migrate,
            Step.UNBIND: self.unbind,
            Step.DELETE: self.delete,
        }
        action = steps.get(lifecycle.next_step(self.app))
        if action is None or self.ended:
            return
        try:
            action()
        except Killed:
            return

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(writes=st.integers(0, 6))
    def the_controller_is_killed(self, writes: int) -> None:
        self.reconcile(writes)

    @rule()
    def the_controller_does_what_is_next(self) -> None:
        for _ in range(3):
            self.reconcile()

    @rule(place=st.sampled_from([*PLACES, None]), writes=st.integers(0, 8))
    @precondition(lambda self: self.app.metadata.deleted is None)
    def the_scheduler_decides(self, place: ResourceRef | None, writes: int) -> None:
        if place is None or place not in self.lost:
            self.bind(place)
            self.reconcile(writes)

    @rule(place=st.sampled_from(PLACES), what=st.sampled_from(["lost", "rejects", "slow"]))
    def a_cluster_changes(self, place: ResourceRef, what: str) -> None:
        getattr(self, what).symmetric_difference_update({place})

    @rule(seconds=st.integers(0, 120))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(place=st.sampled_from(PLACES))
    def a_lost_cluster_is_let_go(self, place: ResourceRef) -> None:
        if place in self.lost and place != self.app.status.scheduled_to and place in lifecycle.places_of(self.app):
            self.app = replace(self.app, status=departure.let_go(self.app, [place]))
            self.holds.discard(place)

    @rule(chance=st.integers(0, 7))
    @precondition(lambda self: self.app.metadata.deleted is None and not self.ended)
    def the_user_deletes_it(self, chance: int) -> None:
        if chance < 7:
            return  # otherwise few lives would be long
        self.app = replace(self.app, metadata=replace(self.app.metadata, deleted=self.now))

    # -- what holds ----------------------------------------------------------------------------------------------------

    @invariant()
    def every_place_that_holds_something_is_known(self) -> None:
        if hasattr(self, "app"):
            assert self.holds <= set(lifecycle.places_of(self.app))
            if self.holds:
                assert self.app.status.last_applied_manifest

    @invariant()
    def whoever_holds_something_is_its_owner(self) -> None:
        if hasattr(self, "app"):
            assert self.holds <= set(lifecycle.owners_of(self.app))

    @invariant()
    def there_are_never_two_of_what_is_deleted_first(self) -> None:
        if hasattr(self, "app") and self.app.spec.migration_strategy == "delete_first":
            assert len(self.holds) <= 1 or self.app.status.state is not State.MIGRATING

    def teardown(self) -> None:
        """In the end all clusters answer, and the scheduler decides for good: wherever it stood, it comes to that."""
        if not hasattr(self, "app"):
            return
        self.lost, self.rejects, self.slow = set(), set(), set()
        self.now += timedelta(days=2)
        bound = self.app.status.scheduled_to
        for _ in range(12):
            self.reconcile()
            if self.app.metadata.deleted is None and bound is not None and self.app.status.scheduled_to != bound:
                self.bind(bound)
        status = self.app.status
        if self.app.metadata.deleted is not None:
            assert self.ended
            assert not self.holds
            return
        assert self.holds == ({bound} if bound else set())
        assert status.placed_on == ([bound] if bound else [])
        assert status.running_on == bound
        assert lifecycle.owners_of(self.app) == ([bound] if bound else [])
        assert bound is None or status.state is State.RUNNING
        assert (status.migration_timeout, status.shutdown_attempts) == (0, 0) or status.migration_retries


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
