"""What is next about an application, and what is written about it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from unit.kubernetes.applications import LATER, LOST, NOW, REJECTED, A, B, C, app, config_map, declared, outcome

from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.health import Verdict
from krake.controller.kubernetes.application.lifecycle import Outcome, Step
from krake.data import Reason, ReasonCode
from krake.data.infrastructure import Cloud
from krake.data.kubernetes import Application, ApplicationState, VolumeCopy
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Key

State = ApplicationState
MINE = KUBERNETES_RESOURCES_DELETION
REFUSED = Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message="No matching Kubernetes cluster found")


def conclude(app: Application, seen: Outcome, *, now: Any = NOW) -> Any:
    return lifecycle.conclude(app, seen, declared(config_map()), now)


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (app(), Step.PLACE),
        (app(running_on=A), Step.PLACE),
        (app(running_on=B), Step.MIGRATE),
        (app(scheduled_to=None), Step.NOTHING),
        (app(scheduled_to=None, running_on=A), Step.UNBIND),
        (app(scheduled_to=None, placed_on=[B]), Step.UNBIND),
        (app(scheduled_to=None, metadata={"owners": [A]}), Step.UNBIND),
        (app(scheduled_to=None, kube_controller_triggered=None, metadata={"owners": [A]}), Step.NOTHING),
        (app(scheduled_to=None, running_on=A, metadata={"deleted": NOW, "finalizers": [MINE]}), Step.DELETE),
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


def test_the_scheduler_s_reason_stays_unless_something_is_wrong_here() -> None:
    refused = app(state=State.RUNNING, reason=REFUSED, running_on=A)
    assert conclude(refused, outcome(Verdict.READY)).reason == REFUSED
    assert conclude(refused, LOST).reason == LOST.problem


def test_own_writes_lead_to_no_new_look() -> None:
    before = app(config_map())
    failed = replace(before.status, state=State.FAILED, reason=REJECTED.problem, services={"a": "b"}, scheduled_retry=LATER)
    after = replace(before, status=failed)
    assert not lifecycle.concerns(before, after)
    asked = replace(before, status=replace(before.status, state=State.WAITING_FOR_CLEANING, shutdown_grace_period=LATER))
    assert not lifecycle.concerns(before, asked)
    assert lifecycle.concerns(before, replace(before, status=replace(before.status, kube_controller_triggered=LATER)))
    assert lifecycle.concerns(None, before)


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ({"state": State.FAILED, "scheduled_retry": LATER}, {"scheduled_retry": None}),
        ({"state": State.FAILED, "retries": 0}, {"retries": None}),
        ({"state": State.WAITING_FOR_CLEANING, "shutdown_grace_period": NOW}, {"state": State.READY_FOR_ACTION}),
        ({"state": State.DEGRADED}, {"state": State.WAITING_FOR_CLEANING}),
        ({"state": State.RUNNING}, {"scheduled_to": None}),
    ],
)
def test_what_others_write_leads_to_a_new_look(before: dict[str, Any], changes: dict[str, Any]) -> None:
    found = app(config_map(), **before)
    assert lifecycle.concerns(found, replace(found, status=replace(found.status, **changes)))


def attempt(found: Application, seen: Outcome = REJECTED, *, failures: int = 0, now: datetime = NOW) -> Application:
    """An application after an attempt."""
    status = lifecycle.plan_attempt(found, lifecycle.conclude(found, seen, [], now), seen, now, failures)
    return replace(found, status=status)


def backed_off(limit: int, **status: Any) -> Application:
    found = app(config_map(), metadata={"generation": 1}, observed_generation=1, **status)
    return replace(found, spec=replace(found.spec, backoff=2, backoff_delay=10, backoff_limit=limit))


def test_what_fails_is_tried_again_as_often_as_its_user_wants() -> None:
    found, now, seen = backed_off(2), NOW, []
    for failures in range(4):
        found = attempt(found, failures=failures, now=now)
        due = found.status.scheduled_retry
        seen.append((found.status.retries, due and (due - now).total_seconds()))
        now = due or now
    assert seen == [(1, 10), (0, 20), (0, None), (0, None)]
    assert found.status.state is State.FAILED


def test_what_may_be_over_at_any_moment_does_not_wait_long() -> None:
    found, now, waits = backed_off(-1), NOW, []
    for failures in range(4):
        found = attempt(found, replace(REJECTED, passing=True), failures=failures, now=now)
        assert found.status.scheduled_retry is not None
        waits.append((found.status.scheduled_retry - now).total_seconds())
        now = found.status.scheduled_retry
    assert waits == [10, 15, 15, 15]


def test_attempts_that_others_lead_to_do_not_count() -> None:
    found = attempt(backed_off(5))
    assert attempt(found, failures=1, now=NOW + timedelta(seconds=3)).status.scheduled_retry == found.status.scheduled_retry
    assert attempt(found, failures=1, now=NOW + timedelta(seconds=3)).status.retries == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"generation": 2}, "retries": 0},
        {"metadata": {"generation": 1}, "retries": None},
    ],
)
def test_an_update_or_a_wish_for_another_try_begins_anew(changed: dict[str, Any]) -> None:
    found = replace(backed_off(3), status=replace(backed_off(3).status, state=State.FAILED, retries=changed["retries"]))
    found = replace(found, metadata=replace(found.metadata, **changed["metadata"]))
    assert attempt(found, failures=7).status.retries == 2
    assert attempt(found, failures=7).status.scheduled_retry == NOW + timedelta(seconds=10)


def test_what_succeeds_has_all_its_attempts_again() -> None:
    found = attempt(attempt(backed_off(3)), outcome(Verdict.READY))
    assert (found.status.retries, found.status.scheduled_retry) == (None, None)


def test_a_lost_cluster_costs_no_attempt() -> None:
    found = attempt(backed_off(3))
    assert attempt(found, LOST, now=LATER).status.retries == found.status.retries


def test_copies_of_volumes_are_of_no_use_once_the_application_is_called_back() -> None:
    copies = [VolumeCopy(claim="data", namespace="default", state="copying", bytes_done=7)]
    back = app(running_on=A, placed_on=[A, B], state=State.MIGRATING, volumes=copies)
    assert [each.state for each in lifecycle.begin(back, declared(config_map()), []).volumes] == ["failed"]
    moved = app(running_on=A, placed_on=[A, B], state=State.RUNNING, volumes=[replace(copies[0], state="copied")])
    assert [each.state for each in lifecycle.begin(moved, declared(config_map()), []).volumes] == ["copied"]


def test_owners_are_the_clusters_in_use() -> None:
    cloud = Cloud.definition.ref(Key("red", "cloud"))
    moved = app(metadata={"owners": [cloud, B, C]}, running_on=B)
    assert lifecycle.owners_of(moved) == [cloud, B, A]
    assert lifecycle.owners_of(app(metadata={"owners": [A]}, running_on=A)) == [A]
    assert lifecycle.owners_of(app(metadata={"owners": [A]}, running_on=A, placed_on=[A, C])) == [A, C]
    assert lifecycle.owners_of(app(metadata={"owners": [cloud, A]}, scheduled_to=None)) == [cloud]


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
