"""The state of an application does not follow each blink of its Pods."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import NOW, A, app

from krake.controller.kubernetes.application.calm import LONGEST_PROOF, Calm
from krake.controller.kubernetes.application.health import Health, Verdict
from krake.controller.kubernetes.application.lifecycle import Outcome, conclude
from krake.data.kubernetes import Application, ApplicationState, ContainerHealth

State = ApplicationState
TROUBLE = {State.DEGRADED, State.RESTARTING}


class Story:
    """An application that is looked at again and again."""

    def __init__(self) -> None:
        self.calm = Calm()
        self.now = NOW
        fresh: Application = app(scheduled_to=A, placed_on=[A], kube_controller_triggered=NOW)
        status = replace(fresh.status, observed_generation=fresh.metadata.generation, state=State.RUNNING, running_on=A)
        self.app = replace(fresh, status=status)
        self.again: float | None = None

    def look(self, verdict: Verdict, after: float = 0.0) -> State:
        self.now += timedelta(seconds=after)
        message = None if verdict in (Verdict.READY, Verdict.COMPLETED) else "why"
        outcome = Outcome(complete=True, health=Health(verdict, message, ContainerHealth()))
        status = conclude(self.app, outcome, [], self.now)
        status, self.again = self.calm.settle(self.app, status, outcome, self.now)
        self.app = replace(self.app, status=status)
        return status.state


@pytest.mark.parametrize("verdict", [Verdict.STARTING, Verdict.RESTARTING])
def test_a_blink_does_not_count(verdict: Verdict) -> None:
    story = Story()
    assert (story.look(verdict), story.again) == (State.RUNNING, 2)
    assert (story.look(verdict, 1.5), story.again) == (State.RUNNING, 0.5)
    assert (story.look(Verdict.READY, 0.1), story.again) == (State.RUNNING, None)
    assert story.look(verdict, 1) is State.RUNNING
    assert story.look(verdict, 2) in TROUBLE


def test_what_is_wrong_for_sure_is_told_at_once() -> None:
    assert Story().look(Verdict.DEGRADED) is State.DEGRADED
    assert Story().look(Verdict.FAILED) is State.FAILED
    assert Story().look(Verdict.COMPLETED) is State.COMPLETED


def test_the_first_recovery_is_told_at_once_and_later_ones_must_last() -> None:
    story = Story()
    story.look(Verdict.DEGRADED)
    assert story.look(Verdict.READY, 10) is State.RUNNING
    proofs = []
    for _ in range(6):
        assert story.look(Verdict.DEGRADED, 10) is State.DEGRADED
        assert story.look(Verdict.READY, 10) is State.DEGRADED
        assert story.app.status.reason is not None
        assert story.again is not None
        proofs.append(story.again)
        assert story.look(Verdict.READY, story.again) is State.RUNNING
    assert proofs == [5, 10, 20, 40, 60, 60]


def test_who_stays_well_for_long_has_recovered() -> None:
    story = Story()
    for verdict, after in ((Verdict.DEGRADED, 0), (Verdict.READY, 1), (Verdict.DEGRADED, 1), (Verdict.READY, 1)):
        story.look(verdict, after)
    assert story.look(Verdict.READY, 5) is State.RUNNING
    assert story.look(Verdict.DEGRADED, 100) is State.DEGRADED
    assert story.look(Verdict.READY, 1) is State.RUNNING


def test_an_update_is_judged_anew() -> None:
    story = Story()
    for verdict in (Verdict.DEGRADED, Verdict.READY, Verdict.DEGRADED):
        story.look(verdict, 1)
    metadata = replace(story.app.metadata, generation=story.app.metadata.generation + 1)
    story.app = replace(story.app, metadata=metadata)
    assert story.look(Verdict.READY, 1) is State.RUNNING


@given(st.lists(st.tuples(st.sampled_from([Verdict.READY, Verdict.DEGRADED, Verdict.STARTING]), st.floats(0, 30)), max_size=30))
def test_in_the_end_the_truth_is_told(looks: list[tuple[Verdict, float]]) -> None:
    story = Story()
    for verdict, after in looks:
        story.look(verdict, after)
    truth = looks[-1][0] if looks else Verdict.READY
    story.look(truth, 0)
    state = story.look(truth, LONGEST_PROOF.total_seconds())
    assert state is (State.RUNNING if truth is Verdict.READY else State.DEGRADED)
