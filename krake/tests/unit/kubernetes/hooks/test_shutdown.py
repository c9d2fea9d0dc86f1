"""When applications are asked to get ready to be stopped, and what becomes of those that do not."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kubernetes.applications import NOW, A, app

from krake.controller.kubernetes.application.hooks.shutdown import Stage, Terms, judge_shutdown, released, terms_of
from krake.controller.kubernetes.application.settings import ShutdownHookConfig
from krake.data.kubernetes import Application, ApplicationState
from krake.data.metadata import ReasonCode

State = ApplicationState
GRACE = timedelta(seconds=30)
ONCE_OR_NEVER = Terms(GRACE, 1, "give_up")


def hooked(**status: Any) -> Application:
    plain = app(**{"running_on": A, "state": State.WAITING_FOR_CLEANING, "shutdown_token": "t"} | status)
    return replace(plain, spec=replace(plain.spec, hooks=["shutdown"]))


def test_the_attempt_is_in_the_status_that_is_written_before_the_call() -> None:
    asked = judge_shutdown(hooked(), ONCE_OR_NEVER, NOW)
    assert (asked.stage, asked.wait) == (Stage.ASK, 30)
    assert (asked.status.shutdown_attempts, asked.status.shutdown_grace_period) == (1, NOW + GRACE)
    assert [said.reason for said in asked.said] == ["ShutdownRequested"]


def test_a_restart_goes_on_with_the_same_attempt() -> None:
    waiting = hooked(shutdown_attempts=1, shutdown_grace_period=NOW + GRACE)
    again = judge_shutdown(waiting, ONCE_OR_NEVER, NOW + timedelta(seconds=10))
    assert (again.stage, again.wait, again.said) == (Stage.ASK, 20, ())
    assert again.status == waiting.status


@pytest.mark.parametrize("state", [State.RUNNING, State.RECONCILING, State.DEGRADED, State.MIGRATING, State.COMPLETED])
def test_attempts_of_earlier_shutdowns_do_not_count(state: State) -> None:
    before = hooked(state=state, shutdown_attempts=0 if state is State.DEGRADED else 9)
    asked = judge_shutdown(before, ONCE_OR_NEVER, NOW)
    assert (asked.stage, asked.status.shutdown_attempts, asked.status.state) == (Stage.ASK, 1, State.WAITING_FOR_CLEANING)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(replace(hooked(), spec=app().spec), id="has no hook"),
        pytest.param(hooked(running_on=None), id="never ran"),
        pytest.param(hooked(state=State.READY_FOR_ACTION), id="is ready"),
        pytest.param(hooked(state=State.DELETING), id="is being taken away already"),
    ],
)
def test_nobody_is_asked_in_vain(found: Application) -> None:
    decided = judge_shutdown(found, ONCE_OR_NEVER, NOW)
    assert (decided.stage, decided.status, decided.said) == (Stage.PROCEED, found.status, ())


def test_the_last_attempt_failed_and_the_application_is_left_alone() -> None:
    late = hooked(shutdown_attempts=1, shutdown_grace_period=NOW)
    decided = judge_shutdown(late, ONCE_OR_NEVER, NOW)
    assert decided.stage is Stage.GIVE_UP
    assert (decided.status.state, decided.status.shutdown_grace_period) == (State.DEGRADED, None)
    assert decided.status.reason is not None
    assert decided.status.reason.code is ReasonCode.DELETE_FAILED
    assert "retry" in decided.status.reason.message
    assert [said.reason for said in decided.said] == ["ShutdownFailed"]
    # It stays so, and is told once.
    again = judge_shutdown(replace(late, status=decided.status), ONCE_OR_NEVER, NOW + timedelta(days=1))
    assert (again.stage, again.status, again.said) == (Stage.GIVE_UP, decided.status, ())


def test_the_last_attempt_failed_and_the_application_is_stopped_all_the_same() -> None:
    late = hooked(shutdown_attempts=2, shutdown_grace_period=NOW)
    decided = judge_shutdown(late, Terms(GRACE, 2, "delete"), NOW)
    assert (decided.stage, decided.status) == (Stage.PROCEED, late.status)
    assert [said.reason for said in decided.said] == ["ShutdownOverdue"]


def test_who_gave_up_goes_on_when_the_terms_become_others() -> None:
    gave_up = hooked(state=State.DEGRADED, shutdown_attempts=1)
    assert judge_shutdown(gave_up, Terms(GRACE, 1, "delete"), NOW).stage is Stage.PROCEED
    more = judge_shutdown(gave_up, Terms(GRACE, 2, "give_up"), NOW)
    assert (more.stage, more.status.shutdown_attempts) == (Stage.ASK, 2)


def test_why_a_call_did_not_get_through_is_shown_meanwhile_and_in_the_end() -> None:
    waiting = hooked(shutdown_attempts=1, shutdown_grace_period=NOW + GRACE)
    shown = judge_shutdown(waiting, ONCE_OR_NEVER, NOW, "It is deaf.").status
    assert shown.reason is not None
    assert shown.reason.message == "It is deaf."
    end = judge_shutdown(replace(waiting, status=shown), ONCE_OR_NEVER, NOW + GRACE).status.reason
    assert end is not None
    assert "It is deaf." in end.message


def test_nobody_is_waited_for_longer_than_agreed() -> None:
    forged = hooked(shutdown_attempts=1, shutdown_grace_period=NOW + timedelta(days=10_000))
    decided = judge_shutdown(forged, ONCE_OR_NEVER, NOW)
    assert (decided.wait, decided.status.shutdown_grace_period) == (30, NOW + GRACE)


def test_its_own_terms_come_before_those_of_the_controller() -> None:
    settings = ShutdownHookConfig(timeout=7, failure_retry_count=2, failure_strategy="delete")
    spec = app().spec
    assert terms_of(spec, settings) == Terms(timedelta(seconds=7), 3, "delete")
    own = replace(spec, shutdown_grace_time=0, shutdown_retry_count=0, shutdown_failure_strategy="give_up")
    assert terms_of(own, settings) == Terms(timedelta(seconds=1), 1, "give_up")


def test_the_books_are_closed_after_it() -> None:
    status = released(hooked(shutdown_attempts=3, shutdown_grace_period=NOW).status)
    assert (status.shutdown_attempts, status.shutdown_grace_period) == (0, None)


@given(
    state=st.sampled_from(State),
    attempts=st.integers(-5, 50),
    deadline=st.none() | st.integers(-(10**6), 10**9),
    terms=st.builds(
        Terms,
        st.integers(1, 10**5).map(lambda s: timedelta(seconds=s)),
        st.integers(1, 20),
        st.sampled_from(["delete", "give_up"]),
    ),
    begin=st.sampled_from([NOW, NOW + timedelta(days=3000)]),
    crashes=st.booleans(),
)
def test_every_shutdown_ends_in_time_whatever_the_status_was(
    state: State, attempts: int, deadline: int | None, terms: Terms, begin: datetime, crashes: bool
) -> None:
    """Nobody answers: after so many attempts of so many seconds something is done, and each attempt was made but once."""
    when = None if deadline is None else begin + timedelta(seconds=deadline)
    found = hooked(state=state, shutdown_attempts=attempts, shutdown_grace_period=when)
    now, made = begin, []
    for _ in range(2 * terms.attempts + 4):
        decided = judge_shutdown(found, terms, now)
        if decided.stage is not Stage.ASK:
            break
        assert 0 < decided.wait <= terms.grace.total_seconds()
        number = decided.status.shutdown_attempts
        if decided.said:
            made.append(number)
        found = replace(found, status=decided.status)
        if not crashes:
            now += timedelta(seconds=decided.wait)
        else:  # somebody else goes on in the middle
            assert judge_shutdown(found, terms, now + timedelta(seconds=decided.wait / 2)).status == found.status
            now += timedelta(seconds=decided.wait)
    assert decided.stage is not Stage.ASK
    assert now - begin <= (terms.attempts + 1) * terms.grace
    assert made == sorted(set(made))
    if terms.strategy == "give_up" and made:
        assert decided.stage is Stage.GIVE_UP
        assert judge_shutdown(replace(found, status=decided.status), terms, now).stage is Stage.GIVE_UP
