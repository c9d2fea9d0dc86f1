"""Writes down what was decided, and why, beside the work: nothing ever waits for that, or fails because of it."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Self

from prometheus_client import Counter

from krake.client import AlreadyExists, Client, Conflict, Forbidden, NotFound, Unavailable
from krake.controller.runtime import Informer
from krake.controller.scheduler.deciding.decide import Decision
from krake.controller.scheduler.deciding.hosts import HostChoice
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.controller.scheduler.explaining.notes import Make, Note, Notes
from krake.controller.scheduler.explaining.recording import fold, is_news, outcome, record_host, record_slowly
from krake.data import Metadata, ResourceRef
from krake.data.events import Regarding
from krake.data.kinds import Resource
from krake.data.kubernetes import Application
from krake.data.placements import DecisionRecord, Placement, placement_key
from krake.lib.backoff import Backoff

log = logging.getLogger(__name__)

PLACEMENTS = Counter(
    "krake_placements", "Histories of decisions, by what became of them: written, unchanged or refused", ["fate"]
)

TOLD = 20
"""Candidates that a record tells of at most, to keep what is stored of thousands of applications small."""
ATTEMPTS = 5
TIME_LIMIT = 15.0
"""Seconds that the writing of one history may take."""
BACKOFF = Backoff(0.5, 15.0)
REST = 5.0
"""After each history, for so many times as long as it took to make and to write it."""
SLICE = 0.002
"""Seconds of work after which others get their turn."""
LAST_WORDS = 2.0
"""Seconds in which a process that ends may still write."""


class Chronicle:
    """Keeps a `Placement` beside each subject. Use it as an asynchronous context manager, inside which the client must work."""

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._notes = Notes()
        self._added = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._forbidden = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="chronicle")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        self._stopping.set()
        self._added.set()
        _done, late = await asyncio.wait({self._task}, timeout=LAST_WORDS)
        if late:
            log.warning("Not all decisions were written down in time.")
            self._task.cancel()
            await asyncio.wait({self._task})

    def follow(self, subjects: Informer[Any]) -> None:
        """Forget the subjects of a kind when they are gone."""
        subjects.on_change(self._follow)

    def note(self, app: Application, decision: Decision, snapshot: Snapshot, waits: str | None = None) -> None:
        """Have a decision written down, soon. Returns at once.

        :param waits: why it is not carried out yet.
        """
        make = partial(record_slowly, app, decision, snapshot, limit=TOLD, waits=waits)
        self.note_outcome(app, outcome(decision, waits=waits is not None), make)

    def note_host(self, guest: Resource, choice: HostChoice, now: datetime) -> None:
        """Have written down where a cluster is to be created."""
        place = None if choice.host is None else choice.host.ref
        self.note_outcome(guest, place, partial(record_host, choice, now))

    def note_outcome(self, subject: Resource, outcome: Hashable, make: Make) -> None:
        """Have any decision written down.

        :param outcome: equal for decisions of which only the numbers differ.
        :param make: makes its record in steps; called later, once at most.
        """
        self._notes.add(Regarding.of(subject), outcome, make, self._clock())
        self._added.set()

    def _follow(self, old: Resource | None, new: Resource | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._notes.forget(Regarding.of(old))
            self._added.set()

    async def _run(self) -> None:
        failures = 0
        while (note := await self._next()) is not None:
            began = self._clock()
            if await self._attempt(note):
                failures = 0
                await self._rest(REST * (self._clock() - began))
            else:
                failures += 1
                await self._settle_all()
                await self._rest(BACKOFF.delay(failures, random.random()))

    async def _next(self) -> Note | None:
        """Wait for what is due next; ``None`` if there will be nothing."""
        while (note := self._notes.take(float("inf") if self._stopping.is_set() else self._clock())) is None:
            if self._stopping.is_set():
                return None
            self._added.clear()
            due = self._notes.next_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(due - self._clock(), 0.0)):
                    await self._added.wait()
        return note

    async def _rest(self, delay: float) -> None:
        """Wait; as soon as the process ends, only for the others to have their turn."""
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
        await asyncio.sleep(0)

    async def _settle_all(self) -> None:
        """Make records of all that waits, so that nothing has to be kept meanwhile of what decisions are made from."""
        for note in self._notes.waiting():
            await self._settle(note)

    async def _settle(self, note: Note) -> None:
        until = self._clock() + SLICE
        for _ in note.settle():
            if self._clock() > until:
                await asyncio.sleep(0)
                until = self._clock() + SLICE

    async def _attempt(self, note: Note) -> bool:
        """Write what there is of one subject; returns whether that is done with."""
        try:
            await self._settle(note)
            async with asyncio.timeout(TIME_LIMIT):
                await self._write(note)
        except Forbidden as error:
            if not self._forbidden:
                log.warning("Decisions are not written down, for lack of a role that allows to write placements: %s", error)
            self._forbidden = True
            PLACEMENTS.labels("refused").inc()
        except (Unavailable, Conflict, TimeoutError) as error:
            log.debug("What was decided about %s is written later: %s", note.subject, error)
            self._notes.restore(note)
            return False
        except Exception:
            log.exception("What was decided about %s can not be written down.", note.subject)
            PLACEMENTS.labels("refused").inc()
        else:
            self._forbidden = False
        return True

    async def _write(self, note: Note) -> None:
        key = placement_key(note.subject)
        if note.gone:
            await self._remove(note.subject)
            return
        for attempt in range(ATTEMPTS):
            try:
                stored = await self._client.get(Placement, key)
            except NotFound:
                with suppress(AlreadyExists):
                    await self._client.create(_new_placement(note))
                    PLACEMENTS.labels("written").inc()
                    return
                continue
            try:
                await self._add(stored, note)
                return
            except NotFound:
                continue
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise

    async def _add(self, stored: Placement, note: Note) -> None:
        if stored.metadata.deleted is not None:
            if stored.subject.uid != note.subject.uid:
                raise Conflict(409, {"detail": "What was recorded of one of the same name is still being removed."})
            return
        mine = stored.subject.uid == note.subject.uid
        known = stored.decisions if mine else []
        decisions = _fold_all(known, note.records)
        if not decisions:
            PLACEMENTS.labels("unchanged").inc()
            return
        changes: dict[str, Any] = {
            "metadata": {"resource_version": stored.metadata.resource_version},
            "decisions": [each.serialize() for each in decisions],
        }
        if not mine:
            changes["subject"] = note.subject.serialize()
        await self._client.patch(Placement, stored.key, changes)
        PLACEMENTS.labels("written").inc()

    async def _remove(self, subject: Regarding) -> None:
        """Remove what was recorded too late for the garbage collector to know that it belonged to somebody."""
        with suppress(NotFound):
            stored = await self._client.get(Placement, placement_key(subject))
            if stored.subject.uid == subject.uid and stored.metadata.deleted is None:
                await self._client.delete(Placement, stored.key)


def _new_placement(note: Note) -> Placement:
    subject = note.subject
    namespace, name = placement_key(subject)
    owner = ResourceRef(api=subject.api, kind=subject.kind, namespace=subject.namespace, name=subject.name)
    return Placement(
        metadata=Metadata(name=name, namespace=namespace, owners=[owner]),
        subject=subject,
        decisions=_fold_all([], note.records),
    )


def _fold_all(known: list[DecisionRecord], records: list[DecisionRecord]) -> list[DecisionRecord]:
    """Return a history with more decisions, the latest first; empty if it should stay as it is."""
    decisions, changed = known, False
    for each in reversed(records):
        if is_news(decisions[0] if decisions else None, each):
            decisions, changed = fold(decisions, each), True
    return decisions if changed else []
