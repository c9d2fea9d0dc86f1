"""How a migration goes on, and what is written about it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from unit.kubernetes.applications import (
    LATER,
    LOST,
    NOW,
    REJECTED,
    TROUBLE,
    A,
    B,
    C,
    app,
    config_map,
    declared,
    outcome,
)

from krake.controller.kubernetes.application import departure, lifecycle, migration
from krake.controller.kubernetes.application.health import Verdict
from krake.controller.kubernetes.application.lifecycle import Outcome
from krake.controller.kubernetes.application.migration import Manner, Move
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus, VolumeCopy
from krake.data.metadata import Reason, ReasonCode

State = ApplicationState
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
COPY = VolumeCopy(claim="data", namespace="default", state="copying")
MINUTE = timedelta(minutes=1)


def start(moving: Application, now: datetime, limit: timedelta, manner: Manner = Manner.CREATE_FIRST) -> ApplicationStatus:
    return migration.start(moving, manner, now, limit)


def having(moving: Application, **status: Any) -> Application:
    return replace(moving, status=replace(moving.status, **status))


def test_a_migration_changes_what_is_told_when_it_switches() -> None:
    moving = app(metadata={"generation": 2}, observed_generation=1, running_on=B, placed_on=[B], state=State.RUNNING)
    moving = replace(moving, status=start(moving, NOW, timedelta(minutes=1)))
    moving = replace(moving, status=lifecycle.begin(moving, declared(config_map()), []))
    moving = replace(moving, status=migration.wait(moving, outcome(Verdict.STARTING)))
    assert moving.status.observed_generation == 1
    assert migration.give_up(moving, REJECTED, NOW, timedelta(seconds=60)).observed_generation == 1
    ready = outcome(Verdict.READY)
    assert migration.switch(moving, ready, declared(config_map()), NOW).observed_generation == 2


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
    moving = replace(moving, status=start(moving, NOW, timedelta(minutes=1)))
    assert moving.status.placed_on == [B, A]
    assert migration.judge(moving, seen, when, can_return=True) is move


def test_a_migration_under_way_keeps_its_time_limit_unless_its_target_changes() -> None:
    moving = app(running_on=B)
    moving = replace(moving, status=start(moving, NOW, timedelta(minutes=1)))
    assert start(moving, LATER, timedelta(minutes=1)) == moving.status
    turned = replace(moving, status=replace(moving.status, scheduled_to=C))
    status = start(turned, LATER, timedelta(minutes=1))
    assert status.placed_on == [B, A, C]
    assert status.migration_timeout == int((LATER + timedelta(minutes=1)).timestamp())


def test_a_migration_back_to_where_something_is_left_names_each_place_once() -> None:
    back = app(running_on=B, placed_on=[A, B], state=State.RUNNING)
    assert start(back, NOW, timedelta(minutes=1)).placed_on == [A, B]


def test_a_migration_that_is_called_back_has_not_failed() -> None:
    moving = app(running_on=B, placed_on=[B], state=State.RUNNING)
    moving = replace(moving, status=start(moving, NOW, timedelta(minutes=1)))
    moving = replace(moving, status=lifecycle.begin(moving, declared(config_map()), []))
    back = replace(moving, status=replace(moving.status, scheduled_to=B))
    status = lifecycle.begin(back, declared(config_map()), [])
    assert (status.state, status.migration_timeout) == (State.RECONCILING, 0)


def test_a_migration_that_failed_waits_longer_each_time() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING, migration_retries=2)
    status = migration.give_up(moving, REJECTED, NOW, timedelta(seconds=60))
    assert (status.state, status.migration_retries) == (State.RUNNING, 3)
    assert status.migration_timeout == int(NOW.timestamp()) + 180
    assert status.reason is not None
    assert status.reason.message == "The application stays where it is; moving it to Cluster red/a failed: No."
    stayed = replace(moving, status=status)
    assert migration.has_given_up(stayed, NOW)
    assert not migration.has_given_up(stayed, NOW + timedelta(seconds=181))


def test_why_it_stayed_is_told_until_the_next_attempt() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING)
    stayed = replace(moving, status=migration.give_up(moving, REJECTED, NOW, timedelta(seconds=60)))
    stayed = replace(stayed, status=replace(stayed.status, scheduled_to=B))
    items = declared(config_map())
    assert lifecycle.conclude(stayed, outcome(Verdict.READY), items, NOW).reason == stayed.status.reason
    assert lifecycle.conclude(stayed, outcome(Verdict.READY), items, LATER).reason is None


@pytest.mark.parametrize(
    ("spec", "manifest", "manner"),
    [
        ({}, config_map(), Manner.CREATE_FIRST),
        ({"migration_strategy": "delete_first"}, config_map(), Manner.DELETE_FIRST),
        ({}, CLAIM, Manner.WITH_VOLUMES),
        ({"migration_strategy": "delete_first"}, CLAIM, Manner.WITH_VOLUMES),
        ({"storage_migration": "none"}, CLAIM, Manner.CREATE_FIRST),
    ],
)
def test_how_an_application_is_moved(spec: dict[str, Any], manifest: dict[str, Any], manner: Manner) -> None:
    moving = app(running_on=B, last_applied_manifest=[manifest])
    assert migration.manner_of(replace(moving, spec=replace(moving.spec, **spec))) is manner


@pytest.mark.parametrize("seen", [REJECTED, LOST, outcome(Verdict.FAILED), outcome(Verdict.STARTING)])
def test_nobody_goes_back_to_a_cluster_that_does_not_answer(seen: Outcome) -> None:
    moving = having(app(running_on=B), state=State.MIGRATING, migration_timeout=1)
    assert migration.judge(moving, seen, LATER, can_return=False) is Move.WAIT
    assert migration.judge(moving, outcome(Verdict.READY), LATER, can_return=False) is Move.SWITCH


def test_what_is_deleted_first_is_marked_by_where_it_is_no_more() -> None:
    moving = app(running_on=B, placed_on=[B], state=State.RUNNING)
    moving = replace(moving, status=start(moving, NOW, MINUTE, Manner.DELETE_FIRST))
    assert migration.may_be_stopped(moving)
    assert not migration.is_stopped(moving)
    moving = replace(moving, status=migration.other_copies_gone(moving, [B], LATER, MINUTE))
    assert (moving.status.placed_on, moving.status.running_on) == ([A], B)
    assert moving.status.migration_timeout == int((LATER + MINUTE).timestamp())
    assert migration.is_stopped(moving)
    begun = lifecycle.begin(moving, declared(config_map()), [])
    assert begun.placed_on == [A]
    assert start(moving, LATER, MINUTE, Manner.DELETE_FIRST) == moving.status
    assert migration.give_up(moving, REJECTED, LATER, MINUTE).state is State.RECONCILING


def test_what_goes_back_to_where_it_was_deleted_is_made_there_again_with_the_reason() -> None:
    moving = app(running_on=B, placed_on=[A], state=State.MIGRATING, shutdown_attempts=1)
    back = replace(moving, status=replace(migration.give_up(moving, REJECTED, NOW, MINUTE), scheduled_to=B))
    begun = lifecycle.begin(back, declared(config_map()), [])
    assert begun.placed_on == [A, B]
    assert begun.reason == back.status.reason
    back = replace(back, status=begun)
    back = replace(back, status=lifecycle.conclude(back, outcome(Verdict.READY), declared(config_map()), NOW))
    assert (back.status.state, back.status.running_on, back.status.reason) == (State.RUNNING, B, begun.reason)
    assert lifecycle.left_behind(back) == [A]


def test_an_application_that_is_asked_stays_asked_when_its_target_turns() -> None:
    asked = app(running_on=B, placed_on=[B, A], state=State.WAITING_FOR_CLEANING, shutdown_attempts=1)
    assert start(asked, NOW, MINUTE) == asked.status
    turned = start(having(asked, scheduled_to=C), NOW, MINUTE)
    assert (turned.state, turned.placed_on) == (State.WAITING_FOR_CLEANING, [B, A, C])


def test_what_is_ready_to_be_stopped_first_is_not_asked_again() -> None:
    ready = app(running_on=B, placed_on=[B], state=State.READY_FOR_ACTION)
    assert not migration.may_be_stopped(ready)
    ready = replace(ready, status=start(ready, NOW, MINUTE, Manner.DELETE_FIRST))
    assert ready.status.state is State.MIGRATING
    assert migration.may_be_stopped(ready)


def test_the_new_copy_is_not_given_up_while_the_old_one_gets_ready() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING, migration_timeout=int(NOW.timestamp()))
    asked = replace(moving.status, state=State.WAITING_FOR_CLEANING, shutdown_grace_period=LATER, shutdown_attempts=1)
    waiting = migration.wait_for_shutdown(moving.status, asked, MINUTE)
    assert waiting.migration_timeout == int((LATER + MINUTE).timestamp())
    assert migration.wait_for_shutdown(waiting, waiting, MINUTE) == waiting
    stuck = migration.wait_for_shutdown(waiting, replace(waiting, state=State.DEGRADED, shutdown_grace_period=None), MINUTE)
    stopped = replace(moving, status=stuck)
    assert not migration.has_given_up(stopped, NOW)
    assert migration.judge(stopped, outcome(Verdict.STARTING), LATER, can_return=True) is Move.WAIT
    assert start(stopped, LATER, MINUTE) == stuck


def test_copies_that_go_on_are_not_given_up() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING, volumes=[COPY], migration_timeout=7)
    assert migration.is_stopped(moving)
    assert migration.copying(moving, [COPY], None, LATER, MINUTE).migration_timeout == 7
    done = migration.copying(moving, [replace(COPY, state="copied")], None, LATER, MINUTE)
    assert done.migration_timeout == int((LATER + MINUTE).timestamp())


def test_copies_begin_anew_with_each_target() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING, volumes=[replace(COPY, state="copied", bytes_done=7)])
    turned = start(having(moving, scheduled_to=C), NOW, MINUTE, Manner.WITH_VOLUMES)
    assert [(each.state, each.bytes_done) for each in turned.volumes] == [("pending", 0)]
    given_up = migration.give_up(moving, REJECTED, NOW, MINUTE)
    assert [each.state for each in given_up.volumes] == ["failed"]
    assert not migration.is_stopped(replace(moving, status=replace(given_up, scheduled_to=B)))


def test_an_application_that_fits_nowhere_leaves_its_clusters_one_by_one() -> None:
    why = Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message="No matching Kubernetes cluster found")
    leaving = app(
        scheduled_to=None, running_on=A, placed_on=[A, B], reason=why, services={"a": "b"}, last_applied_manifest=[config_map()]
    )
    leaving = replace(leaving, status=departure.unbound(leaving, [A]))
    assert (leaving.status.running_on, leaving.status.placed_on, leaving.status.services) == (None, [B], {})
    assert leaving.status.last_applied_manifest == [config_map()]
    status = departure.unbound(leaving, [B])
    assert (status.placed_on, status.last_applied_manifest, status.state, status.reason) == ([], [], State.PENDING, why)
    assert lifecycle.next_step(replace(leaving, status=status)) is lifecycle.Step.NOTHING


def test_what_is_lost_with_the_cluster_where_it_runs_is_made_anew() -> None:
    moving = app(running_on=B, placed_on=[B, A], state=State.MIGRATING, last_applied_manifest=[config_map()])
    left = replace(moving, status=departure.departed(moving, [B]))
    assert (left.status.running_on, left.status.placed_on) == (None, [A])
    assert lifecycle.next_step(left) is lifecycle.Step.PLACE
    assert lifecycle.owners_of(left) == [A]
