"""What a Magnum cluster needs next: by example, and in worlds where anything may go wrong at any time."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.magnum.lifecycle import (
    RETRIES,
    Action,
    Create,
    Delete,
    Hold,
    Look,
    Publish,
    Release,
    Resize,
    Settings,
    Step,
    Withdraw,
    plan,
    refuse_template,
    seeks_by_name,
    settle,
    trouble,
)
from krake.data import Key, Metadata
from krake.data.metadata import CASCADE_DELETION, MAGNUM_CLUSTER_DELETION, ReasonCode
from krake.data.openstack import MagnumCluster, MagnumClusterSpec, MagnumClusterState, MagnumClusterStatus, Project
from krake.ports.infrastructure import Busy, Rejected, Unavailable
from krake.ports.magnum import Sight

State = MagnumClusterState
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = Settings()
MINUTE = timedelta(minutes=1)
PROJECT = Project.definition.ref(Key("red", "p"))


def cluster(state: State = State.PENDING, *, spec: MagnumClusterSpec | None = None, **status: Any) -> MagnumCluster:
    """A cluster that is bound, and held."""
    meta = {key: status.pop(key) for key in ("deleted", "generation", "finalizers") if key in status}
    metadata = Metadata(**{"name": "c", "namespace": "red", "uid": "u-1", "finalizers": [MAGNUM_CLUSTER_DELETION], **meta})
    found = MagnumClusterStatus(**{"state": state, "project": PROJECT, "template": "t", **status})
    return MagnumCluster(metadata=metadata, spec=spec or MagnumClusterSpec(), status=found)


def sight(phase: str, id: str = "1", nodes: int = 1, message: str | None = None) -> Sight:
    return Sight(id, phase, message, nodes, "https://10.0.0.5:6443", ("10.0.0.5",), ("10.0.0.6",))


def look(*found: Sight, **more: Any) -> Look:
    return Look(found, **more)


def running(**more: Any) -> MagnumCluster:
    return cluster(State.RUNNING, **{"cluster_id": "1", "started": NOW - MINUTE, **more})


def creating(**more: Any) -> MagnumCluster:
    return cluster(State.CREATING, **{"started": NOW - MINUTE, **more})


def test_nothing_is_done_before_it_is_held() -> None:
    assert plan(cluster(finalizers=[]), Look(), NOW, SETTINGS).action == Hold()


def test_the_intent_comes_first() -> None:
    step = plan(cluster(generation=3), Look(project_modified=NOW + MINUTE), NOW, SETTINGS)
    assert (step.action, step.status.state, step.status.observed_generation) == (None, State.CREATING, 3)
    assert step.status.started == NOW + MINUTE
    assert step.status.cluster is not None
    assert step.status.cluster.name == "c-u1"


def test_nobody_waits_until_it_is_as_late_as_a_wrong_clock_has_said() -> None:
    later = NOW + timedelta(days=400)
    assert isinstance(plan(creating(asked=later), look(), NOW, SETTINGS).action, Create)
    failed = cluster(State.FAILED, started=NOW - MINUTE, scheduled_retry=later)
    assert plan(failed, look(), NOW, SETTINGS).status.state is State.CREATING
    leaving = cluster(State.DELETING, deleted=NOW, asked=later)
    assert plan(leaving, look(), NOW, SETTINGS).action == Release()
    stuck = cluster(State.DELETING, deleted=NOW, cluster_id="1", attempts=1, scheduled_retry=later)
    assert plan(stuck, look(sight("DELETE_FAILED")), NOW, SETTINGS).action == Delete(("1",))


def test_a_cluster_is_asked_for_once_and_then_looked_for() -> None:
    step = plan(creating(spec=MagnumClusterSpec(master_count=3)), Look(), NOW, SETTINGS)
    assert isinstance(step.action, Create)
    order = step.action.order
    assert (order.name, order.template, order.master_count, order.node_count) == ("krake-u-1", "t", 3, None)
    assert step.status.asked == NOW
    lost = settle(step.status, step.action, Unavailable("No answer."), NOW)
    for seconds in (1, 30, 59):
        assert plan(creating(asked=lost.asked), Look(), NOW + timedelta(seconds=seconds), SETTINGS).action is None
    assert isinstance(plan(creating(asked=lost.asked), Look(), NOW + MINUTE, SETTINGS).action, Create)
    answered = settle(step.status, step.action, "1", NOW)  # with an id that Magnum itself may not know for a while
    known = {"cluster_id": answered.cluster_id, "asked": answered.asked}
    assert plan(creating(**known), Look(), NOW + timedelta(seconds=59), SETTINGS).action is None
    assert isinstance(plan(creating(**known), Look(), NOW + MINUTE, SETTINGS).action, Create)
    found = plan(creating(**known), look(sight("CREATE_IN_PROGRESS")), NOW, SETTINGS).status
    assert (found.cluster_id, found.asked) == ("1", None)


CASES: dict[str, tuple[MagnumCluster, Look, type[Action] | None, State]] = {
    "it is being created": (creating(), look(sight("CREATE_IN_PROGRESS")), None, State.CREATING),
    "it is there": (creating(), look(sight("CREATE_COMPLETE")), Publish, State.RUNNING),
    "it has no address yet": (
        creating(),
        look(replace(sight("CREATE_COMPLETE"), api_address=None)),
        None,
        State.CREATING,
    ),
    "it can not be created": (creating(), look(sight("CREATE_FAILED")), None, State.FAILED),
    "an older one is on its way out": (creating(), look(sight("DELETE_IN_PROGRESS")), None, State.CREATING),
    "an older one does not go": (creating(), look(sight("DELETE_FAILED")), Delete, State.CREATING),
    "there are two": (creating(), look(sight("CREATE_COMPLETE"), sight("CREATE_COMPLETE", "2")), Delete, State.CREATING),
    "it runs": (running(), look(sight("UPDATE_COMPLETE")), Publish, State.RUNNING),
    "it has too few nodes": (
        running(spec=MagnumClusterSpec(node_count=2)),
        look(sight("CREATE_COMPLETE")),
        Resize,
        State.RECONCILING,
    ),
    "it is being resized": (running(), look(sight("UPDATE_IN_PROGRESS", nodes=2)), None, State.RECONCILING),
    "it can not be resized": (
        cluster(State.RECONCILING, cluster_id="1", spec=MagnumClusterSpec(node_count=2)),
        look(sight("UPDATE_FAILED", nodes=2)),
        None,
        State.FAILED,
    ),
    "somebody else deletes it": (running(), look(sight("DELETE_IN_PROGRESS")), None, State.RUNNING),
    "it is gone and does not work": (running(), Look(), None, State.CREATING),
    "it is gone but works": (running(), Look(answers=True), None, State.RUNNING),
    "it failed, is gone, but works": (
        cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW),
        Look(answers=True),
        None,
        State.FAILED,
    ),
    "it failed, and waits": (
        cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW + MINUTE),
        look(sight("CREATE_FAILED")),
        None,
        State.FAILED,
    ),
    "it failed, and its time has come": (
        cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW),
        look(sight("CREATE_FAILED")),
        Delete,
        State.FAILED,
    ),
    "it failed, and was deleted": (
        cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW),
        look(sight("DELETE_IN_PROGRESS")),
        None,
        State.CREATING,
    ),
    "it was refused, and its time has come": (cluster(State.FAILED, scheduled_retry=NOW), Look(), None, State.CREATING),
    "it was refused, and is declared otherwise": (cluster(State.FAILED, generation=2), Look(), None, State.CREATING),
    "resizing failed, and its time has come": (
        cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW, spec=MagnumClusterSpec(node_count=2)),
        look(sight("UPDATE_FAILED")),
        Resize,
        State.RECONCILING,
    ),
    "it failed, but has come up after all": (
        cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW + MINUTE),
        look(sight("CREATE_COMPLETE")),
        Publish,
        State.RUNNING,
    ),
    "its applications have yet to go": (
        running(deleted=NOW, finalizers=[MAGNUM_CLUSTER_DELETION, CASCADE_DELETION]),
        look(sight("CREATE_COMPLETE")),
        None,
        State.RUNNING,
    ),
    "its resource has yet to go": (
        running(deleted=NOW),
        look(sight("CREATE_COMPLETE"), resource=True),
        Withdraw,
        State.DELETING,
    ),
    "it is to be deleted": (running(deleted=NOW), look(sight("CREATE_COMPLETE")), Delete, State.DELETING),
    "it is being deleted": (running(deleted=NOW), look(sight("DELETE_IN_PROGRESS")), None, State.DELETING),
    "it is deleted": (running(deleted=NOW), Look(), Release, State.DELETING),
    "it is deleted, but may still appear": (running(deleted=NOW, asked=NOW), Look(), None, State.DELETING),
    "it was never begun": (cluster(deleted=NOW), Look(), Release, State.DELETING),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_seen_leads_to_what_is_done(name: str) -> None:
    before, seen, action, state = CASES[name]
    step = plan(before, seen, NOW, SETTINGS)
    assert type(step.action) is (action or type(None))
    assert step.status.state is state
    if not isinstance(step.action, Release) and "yet to go" not in name:
        assert step.again is not None


def test_failed_creations_are_tried_again_later_and_later_and_then_left() -> None:
    now, status = NOW, creating(cluster_id="1").status
    waits = []
    for attempt in range(1, SETTINGS.creation_attempts + 1):
        seen = replace(cluster(), status=replace(status, state=State.CREATING))
        status = plan(seen, look(sight("CREATE_FAILED", message="No host.")), now, SETTINGS).status
        assert (status.state, status.attempts) == (State.FAILED, attempt)
        assert status.reason is not None
        assert (status.reason.code, "No host." in status.reason.message) == (ReasonCode.CREATE_FAILED, True)
        waits.append(status.scheduled_retry and (status.scheduled_retry - now).total_seconds())
    assert waits == [60.0, 120.0, None]


def test_a_failed_cluster_that_was_deleted_in_no_time_is_no_new_one() -> None:
    failed = cluster(State.FAILED, cluster_id="1", scheduled_retry=NOW, attempts=2)
    step = plan(failed, Look(), NOW, SETTINGS)
    assert (step.status.state, step.status.cluster_id, step.status.attempts) == (State.CREATING, None, 2)
    left = plan(replace(failed, status=replace(failed.status, scheduled_retry=None)), Look(), NOW, SETTINGS)
    assert (left.status.state, left.action, left.again) == (State.FAILED, None, None)


def test_what_is_rejected_is_tried_for_ever_but_ever_less() -> None:
    status = creating(asked=NOW).status
    action = plan(creating(), Look(), NOW, SETTINGS).action
    assert action is not None
    for attempt in range(1, 20):
        status = settle(status, action, Rejected("Quota."), NOW)
        assert (status.state, status.attempts, status.asked) == (State.FAILED, attempt, None)
        assert status.scheduled_retry == NOW + timedelta(seconds=RETRIES.limit(attempt))


def test_a_wrong_template_is_said() -> None:
    status = refuse_template(creating(asked=NOW).status, "swarm", NOW)
    assert status.reason is not None
    assert (status.reason.code, status.state, status.asked) == (ReasonCode.INVALID_CLUSTER_TEMPLATE, State.FAILED, None)


def test_what_takes_too_long_has_failed() -> None:
    old = creating(cluster_id="1")
    late = NOW + timedelta(seconds=SETTINGS.creation_timeout)
    step = plan(old, look(sight("CREATE_IN_PROGRESS")), late, SETTINGS)
    assert step.status.state is State.FAILED
    assert step.status.reason is not None
    assert "more than 60 minutes" in step.status.reason.message
    again = plan(replace(old, status=step.status), look(sight("CREATE_IN_PROGRESS")), late + MINUTE, SETTINGS)
    assert again.action == Delete(("1",))


def test_a_deletion_that_fails_is_repeated_with_patience() -> None:
    now, found = NOW, running(deleted=NOW)
    asked = []
    for _ in range(200):
        step = plan(found, look(sight("DELETE_FAILED", message="Port in use.")), now, SETTINGS)
        found = replace(found, status=step.status)
        asked += [now] if step.action else []
        now += timedelta(seconds=step.again or 1.0)
    gaps = [(after - before).total_seconds() for before, after in pairwise(asked)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 60
    assert found.status.reason is not None
    assert found.status.reason.code is ReasonCode.DELETE_FAILED


@dataclass
class World:
    """A Magnum in which things take their time, with a controller that may die between any two steps."""

    now: datetime = NOW
    clusters: dict[str, Sight] = field(default_factory=dict)
    late: list[tuple[datetime, Sight]] = field(default_factory=list)
    """Clusters that will appear though nobody was told."""
    stored: MagnumCluster = field(default_factory=lambda: cluster(finalizers=[], spec=MagnumClusterSpec(node_count=1)))
    released: bool = False
    created: int = 0
    most: int = 0

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for due, each in list(self.late):
            if due <= self.now:
                self.late.remove((due, each))
                self.clusters[each.id] = each
        self.most = max(self.most, sum(not each.is_leaving for each in self.clusters.values()))

    def progress(self, outcome: str) -> None:
        """Let everything that is under way come to its end."""
        for id, each in list(self.clusters.items()):
            if each.phase == "DELETE_IN_PROGRESS" and outcome == "COMPLETE":
                del self.clusters[id]
            elif each.phase.endswith("IN_PROGRESS"):
                self.clusters[id] = replace(each, phase=f"{each.operation}_{outcome}")

    def look(self) -> Look:
        known = self.stored.status.cluster_id
        by_name = seeks_by_name(self.stored)
        return Look([each for each in self.clusters.values() if by_name or each.id == known])

    def round(self, fate: str) -> float:
        """Let the controller take a step; *fate* says what goes wrong. Returns when it looks again."""
        if self.released or fate == "blind":
            return 5.0
        step = plan(self.stored, self.look(), self.now, SETTINGS)
        self.stored = replace(self.stored, status=step.status)
        if step.action is not None and fate != "dies before":
            self.act(step, step.action, fate)
        return 0.1 if step.again is None else max(step.again, 0.1)

    def act(self, step: Step, action: Action, fate: str) -> None:
        outcome: Any = None
        if fate == "refused" and isinstance(action, Create | Resize | Delete):
            outcome = Busy("Later.") if isinstance(action, Delete) else Rejected("No.")
        elif fate == "slow" and isinstance(action, Create):
            self.created += 1
            new = sight("CREATE_IN_PROGRESS", str(self.created))
            self.late.append((self.now + timedelta(seconds=20), new))
            outcome = Unavailable("No answer.")
        else:
            outcome = self.do(action)
            outcome = Unavailable("No answer.") if fate == "lost" and not isinstance(action, Hold | Release) else outcome
        if fate != "dies after":
            self.stored = replace(self.stored, status=settle(self.stored.status, action, outcome, self.now))

    def do(self, action: Action) -> str | None:
        match action:
            case Hold():
                held = replace(self.stored.metadata, finalizers=[MAGNUM_CLUSTER_DELETION])
                self.stored = replace(self.stored, metadata=held)
            case Release():
                self.released = True
            case Create():
                self.created += 1
                self.clusters[str(self.created)] = sight("CREATE_IN_PROGRESS", str(self.created))
                return str(self.created)
            case Resize(id, count):
                if id in self.clusters:
                    self.clusters[id] = replace(self.clusters[id], phase="UPDATE_IN_PROGRESS", node_count=count)
            case Delete(ids):
                for id in ids:
                    if id in self.clusters:
                        self.clusters[id] = replace(self.clusters[id], phase="DELETE_IN_PROGRESS")
        return None

    def declare(self, count: int) -> None:
        metadata = replace(self.stored.metadata, generation=self.stored.metadata.generation + 1)
        self.stored = replace(self.stored, metadata=metadata, spec=MagnumClusterSpec(node_count=count))

    def delete(self) -> None:
        self.stored = replace(self.stored, metadata=replace(self.stored.metadata, deleted=self.now))


FATES = st.sampled_from(["well", "well", "blind", "dies before", "dies after", "lost", "slow", "refused"])
OUTCOMES = st.sampled_from(["", "", "COMPLETE", "FAILED"])
ROUNDS = st.lists(st.tuples(FATES, OUTCOMES, st.sampled_from([0.1, 12.0, 30.0, 90.0]), st.sampled_from([0, 0, 0, 1, 4])))


def suffer(world: World, rounds: list[tuple[str, str, float, int]]) -> None:
    for fate, outcome, seconds, nodes in rounds:
        world.round(fate)
        if outcome:
            world.progress(outcome)
        if nodes:
            world.declare(nodes)
        world.pass_time(seconds)
        assert world.most <= 1, "There was more than one."


def recover(world: World) -> None:
    """Let all go well, for so long that everything comes to rest."""
    for _ in range(120):
        seconds = world.round("well")
        world.progress("COMPLETE")
        world.pass_time(seconds)
        assert world.most <= 1, "There was more than one."


@given(ROUNDS)
def test_whatever_happens_there_is_one_cluster_in_the_end(rounds: list[tuple[str, str, float, int]]) -> None:
    world = World()
    suffer(world, rounds)
    world.declare(3)  # whatever had failed too often is tried again
    recover(world)
    (found,) = world.clusters.values()
    assert (world.stored.status.state, world.stored.status.cluster_id, found.node_count) == (State.RUNNING, found.id, 3)
    assert not world.late


@given(ROUNDS, ROUNDS)
def test_whatever_happens_nothing_is_left_of_a_cluster_that_is_deleted(
    before: list[tuple[str, str, float, int]], after: list[tuple[str, str, float, int]]
) -> None:
    world = World()
    suffer(world, before)
    world.delete()
    suffer(world, after)
    recover(world)
    held = MAGNUM_CLUSTER_DELETION in world.stored.metadata.finalizers
    assert (world.released, world.clusters, world.late) == (held, {}, [])


def test_trouble_changes_nothing_but_what_is_said() -> None:
    status = running().status
    after = trouble(status, Unavailable("It does not answer."))
    assert replace(after, reason=None) == status
