"""Looks through the applications of a namespace after a change, for those that it concerns.

Deciding is cheap, so that all of them are decided on; only those whose decision has something done are handed to the workers.
So a change that thousands might be concerned by does not keep newcomers waiting.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from krake.controller.runtime import Informer
from krake.controller.scheduler.applications.placing import needs_work
from krake.controller.scheduler.applications.world import NAMESPACE
from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.data import Key
from krake.data.kubernetes import Application

log = logging.getLogger(__name__)

GATHERING = 0.05
"""Seconds for which changes are gathered, so that a burst of them leads to one look."""
LONGEST_REST = 0.5
"""Seconds between two looks at most, as long as something changes."""
SLICE = 0.005
"""Seconds of work after which others get their turn."""


class Sweep:
    """Has those applications reconciled that changes concern.

    :param look: returns the snapshot of a namespace, if there is one.
    :param enqueue: has an application reconciled.
    """

    def __init__(
        self,
        apps: Informer[Application],
        look: Callable[[str | None], Snapshot | None],
        enqueue: Callable[[Key], None],
    ) -> None:
        self._apps = apps
        self._look = look
        self._enqueue = enqueue
        self._stirred: dict[str | None, bool] = {}
        self._looked_at: set[str | None] = set()
        self._changed = asyncio.Event()

    def stir(self, namespace: str | None, waiting_only: bool = False) -> None:
        """Look through a namespace soon.

        :param waiting_only: whether only those are concerned that wait for a place.
        """
        self._stirred[namespace] = self._stirred.get(namespace, True) and waiting_only
        self._changed.set()

    async def run(self) -> None:
        """Look through what was stirred, until cancelled: each namespace by itself, as it may take long where there is much."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for namespace in self._stirred.keys() - self._looked_at:
                    self._looked_at.add(namespace)
                    group.create_task(self._settle(namespace))

    async def _settle(self, namespace: str | None) -> None:
        """Look through a namespace until nothing stirs it any more."""
        rest = GATHERING
        try:
            while namespace in self._stirred:
                await asyncio.sleep(rest)
                began = time.perf_counter()
                await self._look_through(namespace, self._stirred.pop(namespace))
                # However much changes, half of the time is left for the work that comes of it.
                rest = min(max(time.perf_counter() - began, GATHERING), LONGEST_REST)
        finally:
            self._looked_at.discard(namespace)

    async def _look_through(self, namespace: str | None, waiting_only: bool) -> None:
        apps = self._apps.lookup(NAMESPACE, namespace)
        keys = [app.key for app in apps if app.status.scheduled_to is None]
        if not waiting_only:
            keys += [app.key for app in apps if app.status.scheduled_to is not None]
        snapshot, until = None, 0.0
        for key in keys:
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                if (snapshot := self._look(namespace)) is None:
                    return  # as soon as all is measured, there is another change
                until = time.perf_counter() + SLICE
            app = self._apps.get(key)
            if app is not None and snapshot is not None and _has_work(app, snapshot):
                self._enqueue(key)


def _has_work(app: Application, snapshot: Snapshot) -> bool:
    """Whether there is something to be done about an application, or it can not be decided on: a worker tells of that."""
    try:
        return needs_work(app, decide(app, snapshot))
    except Exception:
        log.debug("%s can not be decided on.", app.ref, exc_info=True)
        return True
