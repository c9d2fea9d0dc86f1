"""What waits to be recorded: whatever happens, nothing gets lost but numbers that newer ones replace."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from krake.controller.scheduler.explaining.notes import AGAIN, Note, Notes
from krake.controller.scheduler.explaining.recording import Steps, fold
from krake.data import ResourceRef
from krake.data.events import Regarding
from krake.data.placements import MOST_DECISIONS, DecisionRecord

START = datetime(2026, 11, 21, tzinfo=UTC)
APPS = [Regarding(api="kubernetes", kind="Application", namespace="red", name=name, uid=name) for name in ("a", "b", "c")]


def cluster(name: str) -> ResourceRef:
    return ResourceRef(api="kubernetes", kind="Cluster", namespace="red", name=name)


def steps(choice: str, number: int) -> Steps:
    yield
    time = START + timedelta(seconds=number)
    return DecisionRecord(since=time, time=time, choice=cluster(choice), ground="BEST")


def made(choice: str, number: int) -> Callable[[], Steps]:
    return partial(steps, choice, number)


def settled(note: Note) -> list[DecisionRecord]:
    for _ in note.settle():
        pass
    return note.records


def choices(records: list[DecisionRecord]) -> list[str]:
    return [each.choice.name for each in reversed(records) if each.choice]


class Course:
    """Decisions and outages, what is written meanwhile, and what should be in the end."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.now = 0.0
        self.written: dict[Regarding, list[DecisionRecord]] = {}
        self.expected: dict[Regarding, list[DecisionRecord]] = {}
        self._failing: Note | None = None

    def decide(self, app: Regarding, choice: str) -> None:
        number = int(self.now)
        self.notes.add(app, choice, made(choice, number), self.now)
        self.expected[app] = fold(self.expected.get(app, []), settled(Note(app, turns=[made(choice, number)]))[0])

    def write(self) -> None:
        if self._failing is None and (note := self.notes.take(self.now)) is not None:
            for each in reversed(settled(note)):
                self.written[note.subject] = fold(self.written.get(note.subject, []), each)

    def fail(self) -> None:
        """Begin to write, or fail to."""
        if self._failing is not None:
            self.notes.restore(self._failing)
            self._failing = None
        elif (note := self.notes.take(self.now)) is not None:
            settled(note)
            self._failing = note

    def settle(self) -> None:
        for each in self.notes.waiting():
            settled(each)

    def wait(self) -> None:
        self.now += AGAIN

    def end(self) -> None:
        if self._failing is not None:
            self.fail()
        while (due := self.notes.next_due()) is not None:
            self.now = max(self.now, due)
            self.write()


decisions = st.tuples(st.sampled_from(APPS), st.sampled_from(["north", "south", "west"]))


@settings(max_examples=300, deadline=None)
@given(st.lists(decisions | st.sampled_from(["write", "fail", "settle", "wait"]), max_size=60))
def test_every_outcome_is_written_in_order(steps: list[str | tuple[Regarding, str]]) -> None:
    course = Course()
    for step in steps:
        course.now += 1
        if isinstance(step, tuple):
            course.decide(*step)
        else:
            getattr(course, step)()
    course.end()
    assert course.written.keys() == course.expected.keys()
    for app, records in course.expected.items():
        written = course.written[app]
        assert choices(written) == choices(records)
        assert written[0].time == records[0].time
        assert [each.since for each in written] == [each.since for each in records]


def test_what_is_new_comes_first_and_numbers_once_in_a_while() -> None:
    notes = Notes()
    a, b, _ = APPS
    notes.add(a, "north", made("north", 0), 0.0)
    assert notes.take(0.0) is not None
    notes.add(a, "north", made("north", 1), 1.0)
    assert notes.take(AGAIN - 1) is None
    assert notes.next_due() == AGAIN
    notes.add(b, "south", made("south", 2), 2.0)
    taken = notes.take(AGAIN)
    assert taken is not None
    assert taken.subject == b
    taken = notes.take(AGAIN)
    assert taken is not None
    assert taken.subject == a


def test_of_numbers_only_the_latest_are_kept() -> None:
    notes = Notes()
    for number in range(100):
        notes.add(APPS[0], "north", made("north", number), float(number))
    note = notes.take(100.0)
    assert note is not None
    assert (len(note.turns), note.latest is not None) == (1, True)
    assert settled(note)[0].time == START + timedelta(seconds=99)
    assert len(notes) == 0


def test_what_waits_of_a_subject_is_bounded() -> None:
    notes = Notes()
    for number in range(100):
        notes.add(APPS[0], str(number), made(str(number), number), 0.0)
    (waiting,) = notes.waiting()
    assert len(waiting.turns) == MOST_DECISIONS
    assert choices(settled(waiting)) == [str(number) for number in range(90, 100)]


def test_nothing_is_kept_of_what_is_gone_and_what_was_written_is_removed() -> None:
    notes = Notes()
    a, b, _ = APPS
    notes.add(a, "north", made("north", 0), 0.0)
    notes.forget(a)
    assert notes.take(0.0) is None
    notes.add(b, "north", made("north", 0), 0.0)
    taken = notes.take(0.0)
    assert taken is not None
    notes.forget(b)
    notes.restore(taken)  # writing it failed, but nobody wants it any more
    removal = notes.take(0.0)
    assert removal is not None
    assert removal.gone
    assert notes.next_due() is None
