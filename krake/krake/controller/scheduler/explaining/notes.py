"""Gathers what is to be recorded until it is written, so that what happens often costs little. Pure: times are in seconds.

Of each subject, every decision with another outcome is kept, as far as a history goes back, and of those with the same outcome
the latest one only. So what waits is limited by the number of subjects, and only numbers get lost that newer ones replace.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from krake.controller.scheduler.explaining.recording import Steps, fold
from krake.data.events import Regarding
from krake.data.placements import MOST_DECISIONS, DecisionRecord

AGAIN = 15.0
"""So many seconds after the last look at a subject, the next one is due, as long as the outcome is the same."""

Make = Callable[[], Steps]
"""Makes the record of a decision, which takes a while."""


@dataclass
class Note:
    """What there is to be recorded of one subject.

    :ivar turns: the decisions with a new outcome, the latest last.
    :ivar latest: the latest decision, if it has the same outcome as the one before.
    :ivar records: what was made of earlier ones, the latest first.
    :ivar gone: whether the subject is no more, and what was recorded of it has to go.
    """

    subject: Regarding
    turns: list[Make] = field(default_factory=list)
    latest: Make | None = None
    records: list[DecisionRecord] = field(default_factory=list)
    gone: bool = False

    def settle(self) -> Iterator[None]:
        """Make the records, in steps."""
        makers = [*self.turns, *([self.latest] if self.latest else [])]
        self.turns, self.latest = [], None
        for make in makers:
            made = yield from make()
            self.records = fold(self.records, made)

    def add(self, make: Make, *, turn: bool) -> None:
        """Take in a decision."""
        if turn:
            before = [self.latest] if self.latest else []
            self.turns = [*self.turns, *before, make][-MOST_DECISIONS:]
            self.latest = None
        else:
            self.latest = make


class Notes:
    """What waits to be recorded."""

    def __init__(self) -> None:
        self._urgent: OrderedDict[Regarding, Note] = OrderedDict()
        """Of subjects that something new was decided about, the first one first."""
        self._calm: OrderedDict[Regarding, tuple[float, Note]] = OrderedDict()
        """Of those of whom there are new numbers, with the times when they are due."""
        self._outcomes: dict[Regarding, Hashable] = {}
        self._looked: dict[Regarding, float] = {}

    def __len__(self) -> int:
        return len(self._urgent) + len(self._calm)

    def add(self, subject: Regarding, outcome: Hashable, make: Make, now: float) -> None:
        """Take in a decision.

        :param outcome: equal for decisions that belong together.
        """
        turn = subject not in self._outcomes or self._outcomes[subject] != outcome
        self._outcomes[subject] = outcome
        if subject in self._urgent:
            note = self._urgent[subject]
        else:
            due, note = self._calm.pop(subject, (self._looked.get(subject, now - AGAIN) + AGAIN, Note(subject)))
            if turn:
                self._urgent[subject] = note
            else:
                self._calm[subject] = due, note
        note.add(make, turn=turn)

    def forget(self, subject: Regarding) -> None:
        """Drop what waits of a subject that is no more, and have removed what was written of it."""
        self._urgent.pop(subject, None)
        self._calm.pop(subject, None)
        self._outcomes.pop(subject, None)
        if self._looked.pop(subject, None) is not None:
            self._urgent[subject] = Note(subject, gone=True)

    def take(self, now: float) -> Note | None:
        """Hand out what is due, if anything is; what is new first."""
        if self._urgent:
            subject, note = self._urgent.popitem(last=False)
        elif self._calm and next(iter(self._calm.values()))[0] <= now:
            subject, (_, note) = self._calm.popitem(last=False)
        else:
            return None
        if not note.gone:
            self._looked[subject] = now
        return note

    def restore(self, note: Note) -> None:
        """Take back what could not be written; whatever came later is added to it."""
        subject = note.subject
        if not note.gone and subject not in self._outcomes:
            return  # the subject is gone meanwhile
        newer = self._urgent.pop(subject, None) or self._calm.pop(subject, (0.0, None))[1]
        if newer is not None:
            note.turns, note.latest = newer.turns, newer.latest
            for each in reversed(newer.records):
                note.records = fold(note.records, each)
        self._urgent[subject] = note

    def waiting(self) -> list[Note]:
        """Return all that waits."""
        return [*self._urgent.values(), *(note for _, note in self._calm.values())]

    def next_due(self) -> float | None:
        """When something is due; ``None`` if nothing waits."""
        if self._urgent:
            return 0.0
        return next(iter(self._calm.values()))[0] if self._calm else None
