"""Waits between attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.lib.backoff import Backoff


def test_the_limit_doubles_up_to_the_ceiling() -> None:
    backoff = Backoff(initial=0.1, ceiling=1.0)
    assert [backoff.limit(failures) for failures in range(7)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@given(st.integers(min_value=0), st.floats(min_value=0, max_value=1))
def test_the_delay_is_spread_over_the_whole_range(failures: int, chance: float) -> None:
    backoff = Backoff(initial=0.1, ceiling=30.0)
    assert backoff.delay(failures, chance) == pytest.approx(backoff.limit(failures) * chance)
    assert 0 <= backoff.delay(failures, chance) <= 30.0


@pytest.mark.parametrize(("initial", "ceiling", "factor"), [(0, 1, 2), (2, 1, 2), (1, 2, 0.5)])
def test_settings_without_sense_are_refused(initial: float, ceiling: float, factor: float) -> None:
    with pytest.raises(ValueError, match="needs"):
        Backoff(initial, ceiling, factor)
