"""Places applications: looks, decides, waits for its turn where that moves something, and has it carried out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from krake.client import Client, NotFound
from krake.controller.runtime import Informer, Result
from krake.controller.scheduler.applications.budgets import exceed
from krake.controller.scheduler.applications.movement import Move, Movement, move_of
from krake.controller.scheduler.applications.placing import Placing, is_ours
from krake.controller.scheduler.applications.world import World
from krake.controller.scheduler.deciding.decide import Decision, decide
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.controller.scheduler.provisioning.creator import Outlook
from krake.data import Key
from krake.data.kubernetes import Application, ApplicationState, Cluster

log = logging.getLogger(__name__)

SHORTEST_WAIT = 0.1
"""Seconds between two looks at an application that nothing has happened to."""
BUDGET_WAIT = 1.0
"""Seconds after which an application that its disruption budget holds looks again whether it may move."""
UNMEASURED_WAIT = 5.0
"""Seconds after which an application looks again whether the clusters are measured, should nobody tell."""

Note = Callable[[Application, Decision, Snapshot], None]
"""Is told of each decision."""
Consider = Callable[[Application, Decision, Snapshot], Awaitable[Outlook]]
"""Says whether an application had better wait for a cluster that is to be created."""


class Applications:
    """Reconciles applications: each gets its cluster, or a reason why not.

    :param enqueue: has an application reconciled.
    """

    def __init__(
        self,
        client: Client,
        apps: Informer[Application],
        clusters: Informer[Cluster],
        world: World,
        movement: Movement,
        placing: Placing,
        *,
        enqueue: Callable[[Key], None],
        consider: Consider,
        note: Note,
    ) -> None:
        self._client = client
        self._apps = apps
        self._clusters = clusters
        self._world = world
        self._movement = movement
        self._placing = placing
        self._enqueue = enqueue
        self._consider = consider
        self._note = note
        apps.on_change(self._follow)

    def _follow(self, old: Application | None, new: Application | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or _concerns(old) != _concerns(new):
            self._enqueue(obj.key)
        if old is not None and (new is None or old.status.running_on != new.status.running_on):
            self._movement.wake()

    def rank(self, key: Key) -> Any:
        """Return how soon an application is to be looked at; the least first."""
        app = self._apps.get(key)
        return (0,) if app is None else _urgency(app)

    async def reconcile(self, key: Key) -> Result | None:
        """Place an application, or say that it fits nowhere."""
        # A thousand applications that are decided on in a row must leave the others their turn.
        await asyncio.sleep(0)
        app = self._apps.get(key)
        if app is None or app.metadata.deleted is not None:
            self._placing.forget(key)
            self._movement.leave(key)
            return None
        if await self._lags_behind(app):
            return Result(requeue_after=SHORTEST_WAIT)
        snapshot = self._world.look(key.namespace)
        if snapshot is None:
            return Result(requeue_after=UNMEASURED_WAIT)
        decision, changes = decide(app, snapshot), snapshot.ledger.changes
        self._note(app, decision, snapshot)
        try:
            outlook = await self._consider(app, decision, snapshot)
            if outlook.result is not None:
                return outlook.result
            if snapshot.ledger.changes != changes:
                return Result(requeue_after=SHORTEST_WAIT)  # meanwhile somebody else may have been given the room
            move = move_of(app, decision, snapshot)
            if move is Move.VOLUNTARY and (message := exceed(app, snapshot.ledger)) is not None:
                log.debug("%s does not move yet: %s", app.ref, message)
                self._movement.leave(key)
                return Result(requeue_after=BUDGET_WAIT)
            if not self._movement.allows(key, move, -app.spec.priority):
                return None  # called again when it is its turn
            wait = await self._placing.carry_out(app, decision, snapshot.now, outlook.hindrance)
        except NotFound:
            return None
        return Result(None if wait is None else max(wait.total_seconds(), SHORTEST_WAIT))

    async def _lags_behind(self, app: Application) -> bool:
        """Whether the application is bound to a cluster that is only not seen yet. One that is gone has to be left."""
        bound = app.status.scheduled_to
        if bound is None or bound.namespace != app.key.namespace or self._clusters.get(bound.key) is not None:
            return False
        try:
            await self._client.get(Cluster, bound.key)
        except NotFound:
            return False
        return self._clusters.get(bound.key) is None


def _urgency(app: Application) -> tuple[int, ...]:
    """Those first who have no place or were changed by their users: by priority, and then newcomers before those who wait."""
    status = app.status
    triggered = status.kube_controller_triggered
    changed = triggered is not None and app.metadata.modified > triggered
    waits = status.scheduled_to is None and is_ours(status) and not changed
    return 0 if changed or status.scheduled_to is None else 1, -app.spec.priority, int(waits)


def _concerns(app: Application) -> object:
    """What of an application a decision may depend on; the rest changes often and must not lead to a new one."""
    status, metadata = app.status, app.metadata
    placement = (status.scheduled_to, status.scheduled, status.running_on, not status.placed_on)
    handed_over = (status.kube_controller_triggered, status.migration_timeout)
    finished = status.state is ApplicationState.COMPLETED
    return metadata.generation, metadata.modified, metadata.deleted, placement, handed_over, finished
