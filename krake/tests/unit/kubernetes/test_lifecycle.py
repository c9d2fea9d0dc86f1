"""What is next about an application, and what is written about it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.kubernetes.applications import NOW, A, B, C, app, config_map

from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.desired import Declared, declare
from krake.controller.kubernetes.application.health import Health, Verdict
from krake.controller.kubernetes.application.lifecycle import Move, Outcome, Step
from krake.data import Reason, ReasonCode
from krake.data.infrastructure import Cloud
from krake.data.kubernetes import Application, ApplicationState, ContainerHealth
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Key

State = ApplicationState
MINE = KUBERNETES_RESOURCES_DELETION
LATER = NOW + timedelta(minutes=5)
REJECTED = Outcome(problem=Reason(code=ReasonCode.KUBERNETES_ERROR, message="No."))
LOST = Outcome(problem=Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message="Gone."), unreachable=True)
TROUBLE = replace(REJECTED, passing=True)
REFUSED = Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message="No matching Kubernetes cluster found")


def declared(*manifest: dict[str, Any]) -> list[Declared]:
    return declare(app(), [*manifest], lambda _: True, "default")


def outcome(verdict: Verdict, *, complete: bool = True, message: str | None = None) -> Outcome:
    return Outcome(complete=complete, health=Health(verdict, message, ContainerHealth(desired_pods=1)))


def conclude(app: Application, seen: Outcome, *, now: Any = NOW) -> Any:
    return lifecycle.conclude(app, seen, declared(config_map()), now)


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (app(), Step.PLACE),
        (app(running_on=A), Step.PLACE),
        (app(running_on=B), Step.MIGRATE),
        (app(scheduled_to=None), Step.NOTHING),
        (app(kube_controller_triggered=None), Step.NOTHING),
        (app(metadata={"modified": NOW + timedelta(seconds=1)}), Step.NOTHING),
        (app(metadata={"modified": NOW}), Step.PLACE),
        (app(metadata={"deleted": NOW, "finalizers": [MINE]}), Step.DELETE),
        (app(metadata={"deleted": NOW, "finalizers": ["other", MINE]}, state=State.FAILED), Step.DELETE),
        (app(metadata={"deleted": NOW, "finalizers": [MINE, "cascade_deletion"]}), Step.NOTHING),
        (app(metadata={"deleted": NOW}), Step.NOTHING),
    ],
)
def test_the_next_step(found: Application, step: Step) -> None:
    assert lifecycle.next_step(found) is step


def test_what_is_about_to_be_created_is_written_first() -> None:
    status = lifecycle.begin(app(), declared(config_map("new")), [{"x": None}])
    assert status.placed_on == [A]
    assert [item["metadata"]["name"] for item in status.last_applied_manifest] == ["new"]
    assert status.mangled_observer_schema == [{"x": None}]
    assert (status.state, status.running_on) == (State.CREATING, None)


def test_what_was_there_stays_written_until_it_is_gone() -> None:
    before = lifecycle.begin(app(), declared(config_map("old"), config_map("both", a="1")), [])
    running = replace(app(), status=replace(before, running_on=A, state=State.RUNNING))
    status = lifecycle.begin(running, declared(config_map("both", a="2"), config_map("new")), [])
    assert [item["metadata"]["name"] for item in status.last_applied_manifest] == ["both", "new", "old"]
    assert status.last_applied_manifest[0]["data"] == {"a": "2"}
    assert status.state is State.RECONCILING


def test_another_attempt_at_the_same_writes_nothing() -> None:
    begun = lifecycle.begin(app(), declared(config_map()), [])
    failed = replace(app(), status=conclude(replace(app(), status=begun), REJECTED))
    assert failed.status.state is State.FAILED
    assert lifecycle.begin(failed, declared(config_map()), []) == failed.status


@pytest.mark.parametrize(
    ("verdict", "before", "after"),
    [
        (Verdict.READY, State.CREATING, State.RUNNING),
        (Verdict.READY, State.FAILED, State.RUNNING),
        (Verdict.COMPLETED, State.RUNNING, State.COMPLETED),
        (Verdict.STARTING, State.CREATING, State.CREATING),
        (Verdict.STARTING, State.RECONCILING, State.RECONCILING),
        (Verdict.STARTING, State.FAILED, State.CREATING),
        (Verdict.STARTING, State.RUNNING, State.DEGRADED),
        (Verdict.STARTING, State.DEGRADED, State.DEGRADED),
        (Verdict.RESTARTING, State.RUNNING, State.RESTARTING),
        (Verdict.DEGRADED, State.CREATING, State.DEGRADED),
        (Verdict.FAILED, State.RUNNING, State.FAILED),
    ],
)
def test_the_state_follows_from_the_pods(verdict: Verdict, before: State, after: State) -> None:
    status = conclude(app(state=before, reason=LOST.problem), outcome(verdict, message="Because"))
    assert status.state is after
    told = after in (State.DEGRADED, State.RESTARTING, State.FAILED)
    assert status.reason == (Reason(code=ReasonCode.KUBERNETES_ERROR, message="Because.") if told else None)
    assert status.container_health.desired_pods == 1


def test_what_never_becomes_ready_is_degraded_in_the_end() -> None:
    starting = outcome(Verdict.STARTING, message="0 of 1 Pods of Deployment x are ready")
    status = conclude(app(state=State.CREATING), starting, now=LATER)
    assert status.state is State.DEGRADED
    assert status.reason is not None
    assert "0 of 1 Pods" in status.reason.message


def test_it_runs_where_everything_is() -> None:
    assert conclude(app(), outcome(Verdict.STARTING)).running_on == A
    assert conclude(app(), outcome(Verdict.STARTING, complete=False)).running_on is None
    assert conclude(app(), REJECTED).running_on is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.PENDING, State.PENDING),
        (State.CREATING, State.CREATING),
        (State.RUNNING, State.DEGRADED),
        (State.COMPLETED, State.COMPLETED),
        (State.FAILED, State.FAILED),
    ],
)
def test_a_lost_cluster_is_told(before: State, after: State) -> None:
    status = conclude(app(state=before, running_on=A, services={"echo": "a:1"}), LOST)
    assert (status.state, status.reason) == (after, LOST.problem)
    assert status.services == {"echo": "a:1"}


@pytest.mark.parametrize(
    ("seen", "observed"),
    [(outcome(Verdict.READY), 3), (outcome(Verdict.DEGRADED), 3), (outcome(Verdict.FAILED), 3), (REJECTED, 3), (LOST, 2)],
)
def test_whatever_came_of_it_is_told_of_what_was_declared_then(seen: Outcome, observed: int) -> None:
    assert conclude(app(metadata={"generation": 3}, observed_generation=2), seen).observed_generation == observed


def test_a_change_counts_as_carried_out_only_once_it_was_tried() -> None:
    changed = app(metadata={"generation": 2}, observed_generation=1, running_on=A, state=State.RUNNING)
    assert lifecycle.begin(changed, declared(config_map()), []).observed_generation == 1


def test_a_migration_changes_what_is_told_when_it_switches() -> None:
    moving = app(metadata={"generation": 2}, observed_generation=1, running_on=B, placed_on=[B], state=State.RUNNING)
    moving = replace(moving, status=lifecycle.start_migration(moving, NOW, timedelta(minutes=1)))
    moving = replace(moving, status=lifecycle.begin(moving, declared(config_map()), []))
    moving = replace(moving, status=lifecycle.wait_to_move(moving, outcome(Verdict.STARTING)))
    assert moving.status.observed_generation == 1
    assert lifecycle.give_up_move(moving, REJECTED, NOW, timedelta(seconds=60)).observed_generation == 1
    ready = outcome(Verdict.READY)
    assert lifecycle.switch(moving, ready, declared(config_map()), NOW).observed_generation == 2


def test_the_scheduler_s_reason_stays_unless_something_is_wrong_here() -> None:
    refused = app(state=State.RUNNING, reason=REFUSED, running_on=A)
    assert conclude(refused, outcome(Verdict.READY)).reason == REFUSED
    assert conclude(refused, LOST).reason == LOST.problem


def test_own_writes_lead_to_no_new_look() -> None:
    before = app(config_map())
    after = replace(before, status=replace(before.status, state=State.FAILED, reason=REJECTED.problem, services={"a": "b"}))
    assert not lifecycle.concerns(before, after)
    assert lifecycle.concerns(before, replace(before, status=replace(before.status, kube_controller_triggered=LATER)))
    assert lifecycle.concerns(None, before)


@pytest.mark.parametrize(
    ("seen", "when", "move"),
    [
        (outcome(Verdict.READY), NOW, Move.SWITCH),
        (outcome(Verdict.READY), LATER, Move.SWITCH),
        (outcome(Verdict.COMPLETED), NOW, Move.SWITCH),
        (outcome(Verdict.READY, complete=False), NOW, Move.WAIT),
        (outcome(Verdict.STARTING), NOW, Move.WAIT),
        (outcome(Verdict.DEGRADED), NOW, Move.WAIT),
        (outcome(Verdict.DEGRADED), LATER, Move.GIVE_UP),
        (outcome(Verdict.FAILED), NOW, Move.GIVE_UP),
        (LOST, NOW, Move.WAIT),
        (LOST, LATER, Move.GIVE_UP),
        (REJECTED, NOW, Move.GIVE_UP),
        (TROUBLE, NOW, Move.WAIT),
        (TROUBLE, LATER, Move.GIVE_UP),
        (Outcome(), NOW, Move.WAIT),
    ],
)
def test_how_a_migration_goes_on(seen: Outcome, when: Any, move: Move) -> None:
    moving = app(running_on=B)
    moving = replace(moving, status=lifecycle.start_migration(moving, NOW, timedelta(minutes=1)))
    assert moving.status.placed_on == [B, A]
    assert lifecycle.judge_migration(moving, seen, when) is move


def test_a_migration_under_way_keeps_its_time_limit_unless_its_target_changes() -> None:
    moving = app(running_on=B)
    moving = replace(moving, status=lifecycle.start_migration(moving, NOW, timedelta(minutes=1)))
    assert lifecycle.start_migration(moving, LATER, timedelta(minutes=1)) == moving.status
    turned = replace(moving, status=replace(moving.status, scheduled_to=C))
    status = lifecycle.start_migration(turned, LATER, timedelta(minutes=1))
    assert status.placed_on == [B, A, C]
    assert status.migration_timeout == int((LATER + timedelta(minutes=1)).timestamp())


def test_a_migration_back_to_where_something_is_left_names_each_place_once() -> None:
    back = app(running_on=B, placed_on=[A, B], state=State.RUNNING)
    assert lifecycle.start_migration(back, NOW, timedelta(minutes=1)).placed_on == [A, B]


def test_a_migration_that_is_called_back_has_not_failed() -> None:
    moving = app(running_on=B, placed_on=[B], state=State.RUNNING)
    moving = replace(moving, status=lifecycle.start_migration(moving, NOW, timedelta(minutes=1)))
    moving = replace(moving, status=lifecycle.begin(moving, declared(config_map()), []))
    back = replace(moving, status=replace(moving.status, scheduled_to=B))
    status = lifecycle.begin(back, declared(config_map()), [])
    assert (status.state, status.migration_timeout) == (State.RECONCILING, 0)


def test_a_migration_that_failed_waits_longer_each_time() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING, migration_retries=2)
    status = lifecycle.give_up_move(moving, REJECTED, NOW, timedelta(seconds=60))
    assert (status.state, status.migration_retries) == (State.RUNNING, 3)
    assert status.migration_timeout == int(NOW.timestamp()) + 180
    assert status.reason is not None
    assert status.reason.message == "The application stays where it is; moving it to Cluster red/a failed: No."
    stayed = replace(moving, status=status)
    assert lifecycle.has_given_up(stayed, NOW)
    assert not lifecycle.has_given_up(stayed, NOW + timedelta(seconds=181))


def test_why_it_stayed_is_told_until_the_next_attempt() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING)
    stayed = replace(moving, status=lifecycle.give_up_move(moving, REJECTED, NOW, timedelta(seconds=60)))
    stayed = replace(stayed, status=replace(stayed.status, scheduled_to=B))
    assert conclude(stayed, outcome(Verdict.READY)).reason == stayed.status.reason
    assert conclude(stayed, outcome(Verdict.READY), now=LATER).reason is None


def test_owners_are_the_clusters_in_use() -> None:
    cloud = Cloud.definition.ref(Key("red", "cloud"))
    moved = app(metadata={"owners": [cloud, B, C]}, running_on=B)
    assert lifecycle.owners_of(moved) == [cloud, B, A]
    assert lifecycle.owners_of(app(metadata={"owners": [A]}, running_on=A)) == [A]


def test_places_are_forgotten_once_nothing_is_left_there() -> None:
    items = declared(config_map("kept"))
    before = lifecycle.begin(app(placed_on=[B, C, A]), declared(config_map("kept"), config_map("old")), [])
    moved = replace(app(), status=replace(before, running_on=A))
    assert lifecycle.left_behind(moved) == [B, C]
    status = lifecycle.cleaned(moved, [B], items)
    assert status.placed_on == [C, A]
    assert len(status.last_applied_manifest) == 2
    status = lifecycle.cleaned(replace(moved, status=status), [C], items)
    assert status.placed_on == [A]
    assert [item["metadata"]["name"] for item in status.last_applied_manifest] == ["kept"]
