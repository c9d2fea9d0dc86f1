"""When a wait is over."""

import pytest
from objects import NO_CLUSTER, application, cluster

from rok.kinds import applications, clusters
from rok.waiting import Goal, is_given_up, summarize


def looks(goal: Goal, *states: str, generation: object = 1, observed: object = 1) -> list[bool]:
    """Return whether a goal is reached by an object in one state after the other."""
    items = [application(state=state, observed_generation=observed) for state in states]
    for item in items:
        item["metadata"]["generation"] = generation
    return [goal.is_reached(None if state == "gone" else item) for state, item in zip(states, items, strict=True)]


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


@pytest.mark.parametrize("goal", [CREATE["running"], UPDATE["running"], clusters.UPDATE_GOALS["online"]])
def test_a_state_from_before_a_change_does_not_count(goal: Goal) -> None:
    (state,) = goal.states - {"COMPLETED"}
    assert looks(goal, state, generation=2, observed=1) == [False]
    assert looks(goal, state, generation=2, observed=2) == [True]
    assert looks(goal, state, generation=2, observed=3) == [True]


def test_what_went_wrong_with_a_change_is_no_success() -> None:
    assert looks(UPDATE["running"], "FAILED", "DEGRADED", "RECONCILING", generation=2, observed=2) == [False, False, False]


def test_reconciling_is_reached_by_what_is_on_its_way_or_done() -> None:
    assert looks(UPDATE["reconciling"], "RUNNING", "RECONCILING", generation=2, observed=1) == [False, True]
    assert looks(UPDATE["reconciling"], "RUNNING", generation=2, observed=2) == [True]


@pytest.mark.parametrize(("generation", "observed", "reached"), [(None, None, True), (None, 1, True), (1, None, False)])
def test_servers_that_do_not_count(generation: object, observed: object, reached: bool) -> None:
    assert looks(UPDATE["running"], "RUNNING", generation=generation, observed=observed) == [reached]


MACHINES = {"node-0": "configured", "node-1": "creating", "node-2": "pending"}


@pytest.mark.parametrize(
    ("infrastructure", "status", "said"),
    [
        (None, {}, "CREATING"),
        ({"phase": "pending"}, {}, "CREATING (pending)"),
        ({"phase": "creating", "machines": MACHINES}, {}, "CREATING (creating, 1/3 machines configured)"),
        ({"phase": "failed", "message": "No\nquota."}, {}, "CREATING (failed: No quota.)"),
        (
            {"phase": "failed", "message": "No."},
            {"reason": {"code": "X", "message": "It said: No."}},
            "CREATING (X: It said: No.; failed)",
        ),
        ({"phase": "failed"}, {"reason": NO_CLUSTER}, f"CREATING (NO_SUITABLE_RESOURCE: {NO_CLUSTER['message']}; failed)"),
        ({"phase": "configured", "machines": {"node-0": "configured"}}, {}, "CREATING"),
        ({"phase": "configured", "machines": MACHINES}, {}, "CREATING (configured, 1/3 machines configured)"),
    ],
)
def test_progress_tells_how_far_the_infrastructure_is(infrastructure: object, status: dict[str, object], said: str) -> None:
    assert summarize(cluster(state="CREATING", infrastructure=infrastructure, **status)) == said


def test_what_was_given_up_before_it_began_is_not_said_to_be_under_way() -> None:
    assert summarize(cluster(state="FAILED", infrastructure={"phase": "pending"})) == "FAILED"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"state": "ONLINE"}, True),
        ({"scheduled_retry": "2022-03-30T16:02:00+00:00"}, False),
        ({"reason": None}, False),
        ({"observed_generation": 1}, False),
        ({"infrastructure": {"attempts": 0}}, False),
        ({"infrastructure": None}, False),
    ],
)
def test_a_cluster_is_given_up_when_its_last_attempt_failed(changes: dict[str, object], expected: bool) -> None:
    reason = {"code": "CREATE_FAILED", "message": "No."}
    status = {"state": "FAILED", "reason": reason, "infrastructure": {"attempts": 1}, "observed_generation": 2, **changes}
    item = cluster(**status)
    item["metadata"]["generation"] = 2
    assert is_given_up(item) is expected


REFUSED = {"code": "KUBERNETES_ERROR", "message": "No."}


@pytest.mark.parametrize(
    ("changes", "generation", "expected"),
    [
        ({}, 2, True),
        ({"retries": 0}, 2, True),
        ({"state": "DEGRADED"}, 2, False),
        ({"state": "RUNNING"}, 2, False),
        ({"scheduled_retry": "2022-03-30T16:02:00+00:00"}, 2, False),
        ({"reason": None}, 2, False),
        ({"observed_generation": 1}, 2, False),
        ({"observed_generation": None, "reason": NO_CLUSTER}, 2, False),
        ({"observed_generation": None, "reason": NO_CLUSTER}, 1, True),
    ],
)
def test_an_application_is_given_up_when_it_can_not_work(changes: dict[str, object], generation: int, expected: bool) -> None:
    item = application(**{"state": "FAILED", "reason": REFUSED, "observed_generation": 2, **changes})
    item["metadata"]["generation"] = generation
    assert is_given_up(item) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"attempts": 0}, False),
        ({"state": "CREATING"}, False),
        ({"scheduled_retry": "2022-03-30T16:02:00+00:00"}, False),
        ({"observed_generation": 1}, False),
    ],
)
def test_a_magnum_cluster_is_given_up_when_its_last_attempt_failed(changes: dict[str, object], expected: bool) -> None:
    status = {"state": "FAILED", "reason": REFUSED, "attempts": 3, "observed_generation": 2, **changes}
    assert is_given_up({"kind": "MagnumCluster", "metadata": {"generation": 2}, "status": status}) is expected


def test_what_failed_is_known_and_so_no_longer_waited_for() -> None:
    item = application(state="FAILED", reason=NO_CLUSTER, retries=0)
    item["metadata"]["generation"] = 1
    assert [CREATE[word].is_hopeless(item) for word in ("pending", "creating", "running")] == [False, True, True]
    assert not DELETE["deleted"].is_hopeless(item)


def test_progress_names_the_cluster_that_an_application_waits_for() -> None:
    item = application(state="WAITING_FOR_CLUSTER_CREATION", auto_cluster_create_started="cluster-f81f")
    assert summarize(item) == "WAITING_FOR_CLUSTER_CREATION (cluster cluster-f81f)"
    assert summarize(application(state="RUNNING", auto_cluster_create_started="cluster-f81f")) == "RUNNING"
