"""Tells people what happened to objects, as events."""

import contextlib
import logging
from datetime import UTC, datetime
from typing import Any, Self

from krake.client import AlreadyExists, Client, Conflict, Forbidden, NotFound, Unavailable
from krake.data.correlation import Correlator
from krake.data.events import Event, Regarding, Said, combine, make_event
from krake.data.kinds import Resource
from krake.data.metadata import ResourceRef
from krake.recording import Later, Recording, Refused

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""So often an event is tried to be added to an equal one that others write at the same time."""


class Recorder:
    """Writes events. Use it as an asynchronous context manager, inside which the client must work.

    Equal events of all processes are one object, whose name follows from what is said; whoever comes later adds to its count.

    :param component: that says so.
    :param correlator: gathers what waits to be written.
    """

    def __init__(self, client: Client, component: str, correlator: Correlator | None = None) -> None:
        self._client = client
        self._component = component
        self._recording = Recording(correlator)
        self._forbidden = False

    async def __aenter__(self) -> Self:
        self._recording.start(self._write)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._recording.close()

    def record(self, subject: Resource | ResourceRef, *said: Said) -> None:
        """Tell what happened to an object. Returns at once, and never fails."""
        try:
            for each in said:
                self._recording.add(make_event(Regarding.of(subject), each, self._component, datetime.now(UTC)))
        except Exception:
            log.exception("What happened to %s can not be told.", subject)

    async def _write(self, event: Event) -> None:
        try:
            await self._create_or_add(event)
        except Forbidden as error:
            if not self._forbidden:
                log.warning("Events are not told, for lack of a role that allows to create, get and update them: %s", error)
            self._forbidden = True
            raise Refused from None
        except (Unavailable, Conflict, NotFound) as error:
            raise Later(str(error)) from None
        else:
            self._forbidden = False

    async def _create_or_add(self, event: Event) -> None:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(AlreadyExists):
                await self._client.create(event)
                return
            # NotFound: it has expired just now.
            with contextlib.suppress(Conflict, NotFound):
                await self._add(event)
                return
        await self._add(event)

    async def _add(self, event: Event) -> None:
        stored = await self._client.get(Event, event.key)
        both = combine(stored, event).serialize()
        changes: dict[str, Any] = {name: both[name] for name in ("count", "first", "last")}
        changes["metadata"] = {"resource_version": stored.metadata.resource_version}
        await self._client.patch(Event, event.key, changes)
