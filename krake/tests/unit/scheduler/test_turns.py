"""Who may move when."""

from hypothesis import given
from hypothesis import strategies as st

from krake.controller.scheduler.applications.turns import BURST, CALLED_FOR, Pace, Turns


@given(st.floats(0.1, 10_000), st.lists(st.floats(0, 20), max_size=100))
def test_a_pace_is_never_exceeded(per_minute: float, pauses: list[float]) -> None:
    pace, now, taken = Pace(per_minute), 0.0, 0
    for pause in pauses:
        now += pause
        while pace.take(now):
            taken += 1
            assert taken <= max(1, per_minute / 60 * BURST) + per_minute / 60 * now + 0.001


@given(st.floats(0.1, 10_000))
def test_a_pace_says_when_it_goes_on(per_minute: float) -> None:
    pace = Pace(per_minute)
    while pace.take(0.0):
        pass
    wait = pace.wait(0.0)
    assert wait > 0
    assert pace.take(wait)


def test_no_limit_is_no_limit() -> None:
    pace = Pace(0)
    assert all(pace.take(0.0) for _ in range(1000))
    assert pace.wait(0.0) == 0


def test_the_most_important_goes_first_and_one_who_has_left_not_at_all() -> None:
    turns: Turns[str] = Turns(60)
    for number in range(10):
        assert turns.ask(f"first-{number}", 0, 0.0)
    for key, rank in (("low", 5), ("gone", 1), ("high", 2), ("raised", 9)):
        assert not turns.ask(key, rank, 0.0)
    turns.leave("gone")
    assert not turns.ask("raised", 0, 0.0)
    assert turns.wait(0.0) is not None
    assert list(turns.call(0.0)) == []
    assert list(turns.call(2.1)) == ["raised", "high"]
    assert turns.ask("raised", 0, 2.2)  # its turn
    assert not turns.ask("raised", 0, 2.2)  # once only
    assert list(turns.call(3.2)) == ["raised"]


def test_no_more_are_called_than_there_is_room_for() -> None:
    turns: Turns[str] = Turns(0)
    assert not turns.ask("a", 0, 0.0, room=0)
    assert not turns.ask("b", 0, 0.0, room=5)  # not past those who wait
    assert not turns.ask("c", 0, 0.0, room=5)
    assert list(turns.call(0.0, room=0)) == []
    assert list(turns.call(0.0, room=2)) == ["a", "b"]
    assert list(turns.call(0.0, room=2)) == []  # those who were called count
    assert turns.ask("a", 0, 1.0)
    assert list(turns.call(1.0, room=2)) == ["c"]


def test_a_turn_that_is_not_used_is_given_to_others() -> None:
    turns: Turns[str] = Turns(0)
    assert not turns.ask("a", 0, 0.0, room=0)
    assert not turns.ask("b", 0, 0.0, room=0)
    assert list(turns.call(0.0, room=1)) == ["a"]
    assert list(turns.call(CALLED_FOR + 1, room=1)) == ["b"]
    assert turns.wait(CALLED_FOR + 1) is None
