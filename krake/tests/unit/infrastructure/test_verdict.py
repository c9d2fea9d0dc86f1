"""What follows from whether a provider, a cloud or a project answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.infrastructure.checking.verdict import Pace, ProviderOffline, conclude, explain, is_blip, tell
from krake.data import Reason, ReasonCode
from krake.data.infrastructure import CloudStatus, InfrastructureProviderState, InfrastructureProviderStatus
from krake.data.openstack import ProjectStatus
from krake.ports.infrastructure import Busy, InfrastructureError, NotFound, Refused, Rejected, Unavailable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BROKEN = {"load": Reason(code=ReasonCode.INVALID_METRIC, message="It is no number.")}
KINDS: dict[str, type[Any]] = {"cloud": CloudStatus, "project": ProjectStatus, "provider": InfrastructureProviderStatus}

failures = st.sampled_from([Unavailable("a"), Unavailable("b"), Busy("c"), Refused("d"), Rejected("e"), NotFound("f")])
outcomes = st.none() | failures


@pytest.mark.parametrize("kind", KINDS)
def test_what_answers_is_online_and_what_does_not_says_why(kind: str) -> None:
    well = conclude(KINDS[kind](), None, NOW)
    assert (well.state.name, well.reason, well.checked) == ("ONLINE", None, NOW)
    lost = conclude(well, Refused("The cloud 'north' refuses the login."), NOW)
    assert lost.state.name == "OFFLINE"
    assert lost.reason == Reason(code=ReasonCode.INVALID_CREDENTIALS, message="The cloud 'north' refuses the login.")
    assert conclude(lost, None, NOW) == well


@pytest.mark.parametrize("kind", ["cloud", "project"])
def test_failing_metrics_come_back_after_an_outage(kind: str) -> None:
    status = KINDS[kind].restore({"state": "FAILING_METRICS", "metrics_reasons": {"load": BROKEN["load"].serialize()}})
    assert conclude(status, None, NOW).state.name == "FAILING_METRICS"
    lost = conclude(status, Unavailable("It is down."), NOW)
    assert (lost.state.name, lost.metrics_reasons) == ("OFFLINE", BROKEN)
    assert conclude(lost, None, NOW).state.name == "FAILING_METRICS"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Unavailable("x"), ReasonCode.INFRASTRUCTURE_NOT_REACHABLE),
        (Busy("x"), ReasonCode.INFRASTRUCTURE_NOT_REACHABLE),
        (ProviderOffline("x"), ReasonCode.INFRASTRUCTURE_NOT_REACHABLE),
        (Refused("x"), ReasonCode.INVALID_CREDENTIALS),
        (Rejected("x"), ReasonCode.INVALID_RESOURCE),
        (NotFound("x"), ReasonCode.INVALID_RESOURCE),
    ],
)
def test_the_reasons(failure: InfrastructureError, code: ReasonCode) -> None:
    assert explain(failure) == Reason(code=code, message="x")


def test_only_what_passes_by_itself_is_a_blip_and_only_for_a_while() -> None:
    assert [is_blip(Unavailable("x"), number) for number in (1, 2, 3)] == [True, True, False]
    assert not any(is_blip(failure, 1) for failure in (Refused("x"), Rejected("x"), NotFound("x"), ProviderOffline("x")))


@given(st.lists(outcomes, max_size=8), st.sampled_from(sorted(KINDS)))
def test_the_last_word_counts_and_nothing_is_written_that_says_nothing_new(heard: list[Any], kind: str) -> None:
    status = KINDS[kind]()
    for number, outcome in enumerate(heard):
        now = NOW + timedelta(seconds=number)
        after = conclude(status, outcome, now)
        assert after.state.name == ("ONLINE" if outcome is None else "OFFLINE")
        assert after.reason == (None if outcome is None else explain(outcome))
        assert (after.checked == now) == (after is not status)
        assert conclude(after, outcome, now + timedelta(days=1)) is after
        assert conclude(after, outcome, now + timedelta(days=1), anew=True) == replace(after, checked=now + timedelta(days=1))
        status = after


def test_people_are_told_of_changes_that_matter() -> None:
    new = InfrastructureProviderStatus()
    well, lost = conclude(new, None, NOW), conclude(new, Unavailable("It is down."), NOW)
    assert new.state is InfrastructureProviderState.PENDING
    for before, after, told in [
        (new, well, "Online"),
        (new, lost, "Offline"),
        (well, lost, "Offline"),
        (lost, well, "Online"),
        (lost, conclude(lost, Unavailable("It is still down."), NOW), None),
        (lost, conclude(lost, Refused("It does not let in."), NOW), "Offline"),
    ]:
        said = tell(before, after)
        assert (said.reason if said else None) == told


def test_what_fails_is_asked_again_soon_and_then_less_often() -> None:
    pace = Pace(interval=60)
    assert [pace.wait(failures) for failures in (0, 1, 2, 3, 4, 5, 6, 50)] == [60, 5, 10, 20, 40, 80, 120, 120]
    assert Pace(interval=0.1).wait(1) == 0.1
