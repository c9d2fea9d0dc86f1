"""When a wait is over."""

import pytest
from objects import CREATED, application

from rok.kinds import applications, clusters
from rok.waiting import QUIET, Goal, Watcher

BEFORE, AFTER = "2022-03-30T16:00:00+00:00", "2022-03-30T17:00:00.5+00:00"


def looks(goal: Goal, *states: str, changed: bool = True, triggered: str | None = AFTER, step: float = 0.1) -> list[bool]:
    """Return what a watcher says of an object that is in one state after the other."""
    watcher = Watcher(goal, changed)
    items = (None if state == "gone" else application(state=state, kube_controller_triggered=triggered) for state in states)
    return [watcher.reached(item, index * step) for index, item in enumerate(items)]


CREATE, UPDATE, DELETE = applications.CREATE_GOALS, applications.UPDATE_GOALS, applications.DELETE_GOALS


@pytest.mark.parametrize(
    ("goal", "states", "expected"),
    [
        (CREATE["pending"], ["PENDING"], [True]),
        (CREATE["creating"], ["PENDING", "FAILED", "CREATING"], [False, False, True]),
        (CREATE["creating"], ["PENDING", "RUNNING"], [False, True]),
        (CREATE["running"], ["PENDING", "CREATING", "FAILED", "RUNNING"], [False, False, False, True]),
        (CREATE["running"], ["CREATING", "COMPLETED"], [False, True]),
        (CREATE["running"], ["PENDING", "gone"], [False, False]),
        (DELETE["deleting"], ["RUNNING", "DELETING"], [False, True]),
        (DELETE["deleting"], ["RUNNING", "gone"], [False, True]),
        (DELETE["deleted"], ["RUNNING", "DELETING", "DELETED", "gone"], [False, False, False, True]),
        (clusters.CREATE_GOALS["online"], ["PENDING", "CREATING", "CONNECTING", "ONLINE"], [False, False, False, True]),
        (clusters.CREATE_GOALS["connecting"], ["CREATING", "CONNECTING"], [False, True]),
    ],
)
def test_a_goal_is_reached_in_its_states(goal: Goal, states: list[str], expected: list[bool]) -> None:
    assert looks(goal, *states) == expected


def test_an_update_is_not_done_because_it_runs_as_before() -> None:
    assert looks(UPDATE["running"], "RUNNING", "RUNNING", "RECONCILING", "RUNNING") == [False, False, False, True]


def test_an_update_to_which_nobody_was_sent_yet_is_not_done() -> None:
    assert not any(looks(UPDATE["running"], *["RUNNING"] * 20, triggered=BEFORE, step=QUIET))


def test_an_update_that_changes_nothing_on_the_cluster_is_done_after_a_while() -> None:
    assert looks(UPDATE["running"], "RUNNING", "RUNNING", "RUNNING", step=QUIET * 0.6) == [False, False, True]


def test_an_update_that_changed_nothing_is_done() -> None:
    assert looks(UPDATE["running"], "RUNNING", changed=False) == [True]


def test_reconciling_is_reached_by_what_was_already_reconciled() -> None:
    assert looks(UPDATE["reconciling"], "RUNNING", "RECONCILING") == [False, True]


def test_a_time_that_can_not_be_read_does_not_hold_up() -> None:
    assert looks(UPDATE["running"], "RECONCILING", "RUNNING", triggered="soon") == [False, True]
    assert looks(UPDATE["running"], "RECONCILING", "RUNNING", triggered=CREATED) == [False, True]
