"""How much each user may ask for."""

from hypothesis import given
from hypothesis import strategies as st

from krake.api.operations.rates import Buckets, Seats


def test_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(per_second=2, burst=3)
    assert [buckets.take("ann", 0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("bob", 0) == 0
    assert buckets.wait("ann", 0.25) == 0.25
    assert buckets.take("ann", 0.5) == 0
    assert buckets.take("ann", 0.5) == 0.5
    assert [buckets.take("ann", 1000) for _ in range(4)] == [0, 0, 0, 0.5]


def test_no_limit() -> None:
    buckets = Buckets(per_second=0, burst=1)
    assert not any(buckets.take("ann", 0) for _ in range(100))
    assert len(buckets) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[str, float]]) -> None:
    buckets = Buckets(per_second=2, burst=3)
    now, granted = 0.0, {"a": 0, "b": 0}
    for name, pause in steps:
        now += pause
        wait = buckets.take(name, now)
        granted[name] += wait == 0
        assert 0 <= wait <= 0.5
        assert granted[name] <= 3 + 2 * now + 1e-6


def test_only_so_many_users_are_told_apart() -> None:
    buckets = Buckets(per_second=1, burst=1, most=10)
    for number in range(1000):
        buckets.take(f"user-{number}", 0)
        assert buckets.take("steady", 0) == (0 if number == 0 else 1)
        assert len(buckets) <= 10


def test_seats() -> None:
    seats = Seats(2)
    with seats.taken("ann") as first, seats.taken("ann") as second, seats.taken("bob") as other:
        assert all((first, second, other))
        with seats.taken("ann") as third:
            assert not third
    with seats.taken("ann") as again:
        assert again
