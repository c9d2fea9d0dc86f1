"""When an application that fits nowhere is tried again."""

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.worlds import NOW, make_app

from krake.controller.runtime.retries import Retry, plan_retry

LONGEST = timedelta(seconds=60)


def attempts(limit: int, *, backoff: int = 1, delay: int = 1, count: int = 20) -> list[Retry]:
    """What is planned after each of many failures in a row."""
    app = make_app(backoff_limit=limit, backoff=backoff, backoff_delay=delay)
    retries: list[Retry] = []
    for failures in range(count):
        retries.append(plan_retry(app.spec, app.status.retries, NOW, failures=failures, longest=LONGEST))
        app = dataclasses.replace(app, status=dataclasses.replace(app.status, retries=retries[-1].retries))
    return retries


def waits(retries: list[Retry]) -> list[float | None]:
    return [None if each.due is None else (each.due - NOW).total_seconds() for each in retries]


@pytest.mark.parametrize(
    ("reason", "limit", "backoff", "delay", "expected"),
    [
        ("no retries", 0, 1, 1, [None, None, None]),
        ("two, at the same distance", 2, 1, 5, [5, 5, None]),
        ("three, farther and farther", 3, 2, 5, [5, 10, 20]),
        ("never longer than the longest", 9, 10, 5, [5, 50, 60]),
        ("without a limit it grows even by a factor of 1", -1, 1, 1, [1, 2, 4]),
        ("a delay of 0 is no busy loop", -1, 1, 0, [0.1, 0.1, 0.1]),
    ],
)
def test_waits(reason: str, limit: int, backoff: int, delay: int, expected: list[float | None]) -> None:
    assert waits(attempts(limit, backoff=backoff, delay=delay, count=3)) == expected, reason


@given(st.integers(0, 30), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_limit_allows_so_many_more_attempts(limit: int, backoff: int, delay: int) -> None:
    planned = attempts(limit, backoff=backoff, delay=delay, count=40)
    assert [each.due is not None for each in planned] == [True] * limit + [False] * (40 - limit)
    assert [each.retries for each in planned] == [max(limit - count, 0) for count in range(1, 41)]


def test_a_changed_application_starts_with_the_full_limit() -> None:
    app = make_app(backoff_limit=4, retries=0)
    assert plan_retry(app.spec, app.status.retries, NOW, failures=0, longest=LONGEST).retries == 3
    assert plan_retry(app.spec, app.status.retries, NOW, failures=1, longest=LONGEST) == Retry(0, None)


@pytest.mark.parametrize("limit", [-1, 10**9])
def test_nobody_asks_for_ever_at_a_high_rate(limit: int) -> None:
    found = waits(attempts(limit, backoff=0, delay=0, count=40))
    assert (found[5], found[-1]) == (0.1, 60)
