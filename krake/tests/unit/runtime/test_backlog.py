from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from krake.controller.runtime.queue import Backlog


def test_keys_come_first_in_first_out_and_once() -> None:
    backlog: Backlog[str] = Backlog()
    for key in "abcab":
        backlog.add(key, 0)
    assert [backlog.take(1) for _ in range(4)] == [("a", 1), ("b", 1), ("c", 1), None]


def test_a_key_that_is_worked_on_comes_back_only_when_done() -> None:
    backlog: Backlog[str] = Backlog()
    backlog.add("a", 0)
    assert backlog.take(0) == ("a", 0)
    backlog.add("a", 1)
    backlog.add("a", 2)
    assert backlog.take(3) is None
    backlog.done("a", 4)
    assert backlog.take(5) == ("a", 1)
    backlog.done("a", 6)
    assert backlog.take(7) is None


def test_a_busy_key_does_not_starve_the_others() -> None:
    backlog: Backlog[str] = Backlog()
    backlog.add("busy", 0)
    assert backlog.take(0) == ("busy", 0)
    backlog.add("other", 0)
    backlog.add("busy", 0)
    backlog.done("busy", 0)
    assert [backlog.take(0), backlog.take(0)] == [("other", 0), ("busy", 0)]


def test_the_earliest_of_several_delays_counts() -> None:
    backlog: Backlog[str] = Backlog()
    for after in (9, 5, 7):
        backlog.add("a", 0, after)
    assert backlog.next_due() == 5
    assert backlog.take(4.9) is None
    assert backlog.take(5) == ("a", 0)
    backlog.done("a", 6)
    assert (backlog.take(100), backlog.next_due()) == (None, None)


def test_an_immediate_wish_replaces_a_delayed_one() -> None:
    backlog: Backlog[str] = Backlog()
    backlog.add("a", 0, 5)
    backlog.add("a", 1)
    assert backlog.take(1) == ("a", 0)
    backlog.done("a", 2)
    assert (backlog.take(10), backlog.delayed) == (None, 0)


def test_a_delayed_wish_is_met_by_one_that_is_ready() -> None:
    backlog: Backlog[str] = Backlog()
    backlog.add("a", 0)
    backlog.add("a", 0, 5)
    assert backlog.take(0) == ("a", 0)
    backlog.done("a", 0)
    assert backlog.take(10) is None


def test_a_delay_that_ends_while_the_key_is_worked_on_is_kept() -> None:
    backlog: Backlog[str] = Backlog()
    backlog.add("a", 0)
    backlog.take(0)
    backlog.add("a", 0, 5)
    assert backlog.take(6) is None
    backlog.done("a", 7)
    assert backlog.take(8) == ("a", 1)


def test_failures_are_counted_until_a_success() -> None:
    backlog: Backlog[str] = Backlog()
    assert [backlog.fail("a"), backlog.fail("a"), backlog.fail("b")] == [1, 2, 1]
    backlog.succeed("a")
    assert backlog.fail("a") == 1


def test_delays_that_are_replaced_over_and_over_take_no_room() -> None:
    backlog: Backlog[str] = Backlog()
    for count in range(10_000):
        backlog.add("a", 0, 20_000 - count)
        backlog.add("b", 0, 5)
        backlog.add("b", 0)
        backlog.take(0)
        backlog.done("b", 0)
    assert len(backlog._timers) < 200
    assert backlog.next_due() == 10_001


KEYS = st.sampled_from("abcd")


class BacklogMachine(RuleBasedStateMachine):
    """Against a model that only knows from when on each key is owed a run."""

    @initialize()
    def begin(self) -> None:
        self.backlog: Backlog[str] = Backlog()
        self.now = 0.0
        self.owed: dict[str, float] = {}
        self.active: set[str] = set()

    @rule(key=KEYS, after=st.sampled_from([0.0, 0.0, 1.0, 2.0, 5.0]))
    def add(self, key: str, after: float) -> None:
        self.backlog.add(key, self.now, after)
        self.owed[key] = min(self.now + after, self.owed.get(key, float("inf")))

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        taken = self.backlog.take(self.now)
        ready = {key for key, since in self.owed.items() if since <= self.now} - self.active
        if taken is None:
            assert not ready, "nothing is lost"
            return
        key, waited = taken
        assert key in ready, "nothing comes too early, twice, or to two workers"
        assert 0 <= waited <= self.now - self.owed[key]
        del self.owed[key]
        self.active.add(key)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        self.active.remove(key)
        self.backlog.done(key, self.now)

    @invariant()
    def size_is_bounded_by_the_keys(self) -> None:
        assert self.backlog.ready + self.backlog.delayed + len(self.backlog._again) <= 4
        assert self.backlog.active == self.active

    @invariant()
    def wakes_up_in_time(self) -> None:
        later = [since for since in self.owed.values() if since > self.now]
        due = self.backlog.next_due()
        if later:
            assert due is not None
            assert due <= min(later)


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_keys_are_handed_out_by_rank_and_move_up_when_it_changes() -> None:
    ranks = {"low": 3, "mid": 2, "other": 2, "high": 1}
    backlog: Backlog[str] = Backlog(rank=ranks.__getitem__)
    for now, key in enumerate(ranks):
        backlog.add(key, now)
    ranks["low"] = 0
    backlog.add("low", 5)
    ranks["high"] = 9
    backlog.add("high", 5)  # nobody is moved back: it would wait for ever while others come
    assert (backlog.ready, backlog.oldest(10)) == (4, 10)
    assert [backlog.take(10) for _ in range(5)] == [("low", 10), ("high", 7), ("mid", 9), ("other", 8), None]
    assert (backlog.ready, backlog.oldest(10)) == (0, 0)


def test_who_comes_back_from_a_worker_is_ranked_anew() -> None:
    ranks = {"a": 0, "b": 1}
    backlog: Backlog[str] = Backlog(rank=ranks.__getitem__)
    backlog.add("a", 0)
    backlog.take(0)
    backlog.add("b", 0)
    backlog.add("a", 0)
    ranks["a"] = 2
    backlog.done("a", 1)
    assert [backlog.take(2), backlog.take(2)] == [("b", 2), ("a", 1)]


def test_those_of_each_have_their_turn_in_turn() -> None:
    keys = [f"many-{number}" for number in range(5)] + ["few-0", "few-1"]
    ranks = {key: -100 if key.startswith("many") else 0 for key in keys} | {"few-1": -1}
    backlog: Backlog[str] = Backlog(rank=ranks.__getitem__, share=lambda key: key.partition("-")[0])
    for key in keys:
        backlog.add(key, 0)
    taken = [backlog.take(1) for _ in range(8)]
    assert [each and each[0] for each in taken] == ["many-0", "few-1", "many-1", "few-0", "many-2", "many-3", "many-4", None]
