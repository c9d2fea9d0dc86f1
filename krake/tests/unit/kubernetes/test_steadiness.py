"""Short changes do not count, and outages count after a while."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.controller.kubernetes.cluster.retrying import AFTERWARDS, LONGEST, SECOND_TRY, SHORTEST, Retrying
from krake.controller.kubernetes.cluster.steadiness import Steady


def test_the_first_value_counts_at_once_and_others_once_they_have_lasted() -> None:
    value: Steady[str] = Steady(5)
    assert (value.see("a", 0), value.value) == (None, "a")
    assert (value.see("b", 1), value.value) == (5, "a")
    assert (value.see("b", 4), value.value) == (2, "a")
    assert (value.see("b", 6), value.value) == (None, "b")


def test_a_change_that_is_over_soon_is_forgotten() -> None:
    value = Steady(5, "a")
    value.see("b", 0)
    assert value.see("a", 4) is None
    assert value.see("b", 6) == 5
    assert (value.see("c", 10), value.value) == (5, "a")


@given(st.lists(st.tuples(st.floats(0, 4), st.sampled_from("ab")), min_size=1))
def test_what_counts_has_lasted(told: list[tuple[float, str]]) -> None:
    value: Steady[str] = Steady(5, "a")
    now, since, last = 0.0, 0.0, "a"
    for wait, seen in told:
        now += wait
        if seen != last:
            since, last = now, seen
        before = value.value
        value.see(seen, now)
        if value.value != before:
            assert value.value == seen
            assert now - since >= 5


def test_a_cluster_that_was_there_is_not_lost_before_patience_is() -> None:
    retrying = Retrying(1, 1, -1, patience=5)
    first = retrying.fail(0, known=True)
    assert (first.delay, first.lost) == (SECOND_TRY, False)
    second = retrying.fail(0.2, known=True)
    assert (second.delay, second.lost) == (1, False)
    assert retrying.fail(4.5, known=True).delay == 0.5
    assert retrying.fail(5, known=True).lost
    retrying.succeed()
    assert not retrying.fail(9, known=True).lost


def test_a_cluster_that_never_answered_is_lost_at_once() -> None:
    attempt = Retrying(1, 1, -1, patience=5).fail(0, known=False)
    assert (attempt.lost, attempt.left, attempt.delay, attempt.is_worth_telling) == (True, -1, 1, False)


def test_attempts_are_counted_down_with_growing_pauses() -> None:
    retrying = Retrying(3, 2, 3, patience=5)
    attempts = [retrying.fail(now, known=False) for now in range(4)]
    assert [each.left for each in attempts] == [2, 1, 0, 0]
    assert [each.delay for each in attempts] == [2, 6, AFTERWARDS, AFTERWARDS]
    assert all(each.lost and each.is_worth_telling for each in attempts)


def test_another_process_goes_on_counting() -> None:
    assert Retrying(1, 1, 5, patience=5, used=3).fail(0, known=False).left == 1


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(-1, 5), st.integers(1, 1200))
def test_no_settings_lead_to_haste_or_to_silence(factor: int, delay: int, limit: int, failures: int) -> None:
    retrying = Retrying(factor, delay, limit, patience=5)
    pauses = [retrying.fail(now, known=False).delay for now in range(failures)]
    assert all(SHORTEST <= pause <= LONGEST for pause in pauses)


@pytest.mark.parametrize("limit", [-1, 0])
def test_pauses_grow(limit: int) -> None:
    retrying = Retrying(2, 1, limit, patience=5)
    pauses = [retrying.fail(now, known=False).delay for now in range(12)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert all(one <= other for one, other in pairwise(pauses))
    assert pauses[-1] == LONGEST
