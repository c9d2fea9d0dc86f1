"""Gathering events: none is lost unless it was dropped on purpose, equal ones are counted, and nothing grows without bound."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from krake.data.correlation import OVERFLOW, SPAM, Allowance, Correlator
from krake.data.events import Event, Regarding, make_event, normal

START = datetime(2030, 1, 1, tzinfo=UTC)
WINDOW = 10.0


def event(name: str = "app", message: str = "m", at: float = 0.0) -> Event:
    regarding = Regarding(api="kubernetes", kind="Application", namespace="red", name=name, uid=f"uid of {name}")
    return make_event(regarding, normal("Happened", message), "test", START + timedelta(seconds=at))


class Correlating(RuleBasedStateMachine):
    """Events of a few objects come in, and are taken at any time; some come back because they could not be written."""

    CAPACITY = 4

    def __init__(self) -> None:
        super().__init__()
        self.correlator = Correlator(window=WINDOW, burst=3, refill=20.0, capacity=self.CAPACITY)
        self.now = 0.0
        self.told: Counter[object] = Counter()
        self.written: Counter[object] = Counter()
        self.taken_at: dict[object, float] = {}
        self.in_hand: list[Event] = []

    @rule(name=st.sampled_from("ab"), message=st.sampled_from("uvwxyz"))
    def happen(self, name: str, message: str) -> None:
        made = event(name, message, self.now)
        self.correlator.add(made, self.now)
        self.told[made.key] += 1

    @rule(seconds=st.floats(0, 25))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        taken = self.correlator.take(self.now)
        if taken is None:
            due = self.correlator.next_due()
            assert due is None or due > self.now
        else:
            self.in_hand.append(taken)

    @rule()
    def write(self) -> None:
        for each in self.in_hand:
            self.written[each.key] += each.count
        self.in_hand.clear()

    @rule()
    def fail(self) -> None:
        for each in self.in_hand:
            self.correlator.restore(each, self.now)
        self.in_hand.clear()

    @invariant()
    def none_is_lost(self) -> None:
        waiting = sum(each.count for each in self.correlator._waiting.values())
        in_hand = sum(each.count for each in self.in_hand)
        dropped = self.correlator.dropped.total()
        assert self.told.total() == self.written.total() + in_hand + waiting + dropped
        assert all(self.written[key] <= self.told[key] for key in self.written)

    @invariant()
    def little_is_kept(self) -> None:
        assert len(self.correlator) <= self.CAPACITY
        assert len(self.correlator._schedule) <= 2 * self.CAPACITY + 1
        assert len(self.correlator._taken) <= self.CAPACITY

    def teardown(self) -> None:
        self.write()
        while (taken := self.correlator.take(float("inf"))) is not None:
            self.written[taken.key] += taken.count
        assert self.told.total() == self.written.total() + self.correlator.dropped.total()


Correlating.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCorrelating = Correlating.TestCase


def test_the_first_is_due_at_once_and_what_follows_after_the_window() -> None:
    correlator = Correlator(window=WINDOW)
    correlator.add(event(), 0.0)
    first = correlator.take(0.0)
    assert first is not None
    assert first.count == 1
    for second in (1.0, 2.0, 3.0):
        correlator.add(event(at=second), second)
    assert correlator.take(9.9) is None
    assert correlator.next_due() == WINDOW
    more = correlator.take(WINDOW)
    assert more is not None
    assert (more.count, more.first, more.last) == (3, START + timedelta(seconds=1), START + timedelta(seconds=3))
    assert correlator.take(1000.0) is None


def test_what_differs_is_kept_apart_and_in_order() -> None:
    correlator = Correlator()
    for message in "cab":
        correlator.add(event(message=message), 0.0)
    taken = [correlator.take(0.0) for _ in range(4)]
    assert [each and each.message for each in taken] == ["c", "a", "b", None]


def test_an_object_in_endless_trouble_does_not_drown_the_others() -> None:
    correlator = Correlator(burst=5, refill=30.0)
    for number in range(100):
        correlator.add(event("noisy", f"trouble {number}"), 0.0)
    correlator.add(event("quiet"), 0.0)
    assert len(correlator) == 6
    assert correlator.dropped == {SPAM: 95}
    correlator.add(event("noisy", "later"), 30.0)
    assert correlator.dropped == {SPAM: 95}


def test_the_oldest_make_room() -> None:
    correlator = Correlator(capacity=2)
    for name in "abc":
        correlator.add(event(name), 0.0)
    correlator.restore(event("older than all"), 0.0)
    assert correlator.dropped == {OVERFLOW: 2}
    taken = [correlator.take(0.0) for _ in range(3)]
    assert [each and each.regarding.name for each in taken] == ["b", "c", None]


def test_what_comes_back_is_counted_together_with_what_has_come_meanwhile() -> None:
    correlator = Correlator()
    correlator.add(event(at=0), 0.0)
    failed = correlator.take(0.0)
    assert failed is not None
    correlator.add(event(at=5), 5.0)
    correlator.restore(failed, 6.0)
    both = correlator.take(6.0)
    assert both is not None
    assert (both.count, both.first, both.last) == (2, START, START + timedelta(seconds=5))
    assert correlator.take(1000.0) is None


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from("abc")), max_size=60))
def test_an_allowance_is_never_exceeded(spendings: list[tuple[float, str]]) -> None:
    allowance = Allowance(3, 10.0, 100)
    now = 0.0
    spent: Counter[str] = Counter()
    for pause, who in spendings:
        now += pause
        spent[who] += allowance.spend(who, now)
        assert spent[who] <= 3 + now / 10.0


def test_only_the_latest_spenders_are_remembered() -> None:
    allowance = Allowance(1, 10.0, 2)
    assert [allowance.spend(who, 0.0) for who in "aabba"] == [True, False, True, False, False]
    assert [allowance.spend(who, 0.0) for who in "cb"] == [True, True]
