"""Places applications: looks, decides, waits for its turn where that moves something, and has it carried out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from krake.client import Client, NotFound
from krake.controller.runtime import Informer, Result
from krake.controller.scheduler.applications.budgets import Held, exceed
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
MOVE_WAIT = 60.0
"""Seconds after which an application that waits until it may move is looked at again, should nobody tell."""
UNMEASURED_WAIT = 5.0
"""Seconds after which an application looks again whether the clusters are measured, should nobody tell."""

NO_TURN = "Not all applications are moved at once; it waits for its turn."
AWAITS_CLUSTER = "It waits for a cluster that is being created, which suits it better."

Note = Callable[[Application, Decision, Snapshot, str | None], None]
"""Is told of each decision that was carried out, or why that has to wait."""
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
        self._held = Held()
        apps.on_change(self._follow)

    def _follow(self, old: Application | None, new: Application | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or _concerns(old) != _concerns(new):
            self._enqueue(obj.key)
        if old is not None and (new is None or old.status.running_on != new.status.running_on):
            self._movement.wake()
        if old is not None and (new is None or _availability(old) != _availability(new)):
            for labels in {frozenset(each.metadata.labels.items()) for each in (old, new) if each is not None}:
                self._release(obj.key.namespace, dict(labels))

    def _release(self, namespace: str | None, labels: Mapping[str, str]) -> None:
        """Have those reconciled whose budget is free again, now that something is otherwise about an application."""
        for key in self._held.release(namespace, labels, self._world.ledger):
            self._enqueue(key)

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
            self._held.leave(key)
            return None
        if await self._lags_behind(app):
            return Result(requeue_after=SHORTEST_WAIT)
        snapshot = self._world.look(key.namespace)
        if snapshot is None:
            return Result(requeue_after=UNMEASURED_WAIT)
        decision, changes = decide(app, snapshot), snapshot.ledger.changes
        try:
            outlook = await self._consider(app, decision, snapshot)
            if outlook.result is not None:
                if outlook.awaits and app.status.scheduled_to is None:
                    self._tell(app, decision, snapshot, AWAITS_CLUSTER)
                return outlook.result
            if snapshot.ledger.changes != changes or self._world.is_closed(decision.choice):
                # Meanwhile somebody else may have been given the room, or the cluster is about to go.
                return Result(requeue_after=SHORTEST_WAIT)
            move = move_of(app, decision, snapshot)
            if (waits := self._hold_back(app, move, snapshot)) is not None:
                self._tell(app, decision, snapshot, waits)
                return Result(requeue_after=MOVE_WAIT)
            wait = await self._placing.carry_out(app, decision, snapshot.now, outlook.hindrance)
        except NotFound:
            return None
        self._tell(app, decision, snapshot, None)
        rests = [outlook.rest, None if wait is None else wait.total_seconds()]
        rest = min((each for each in rests if each is not None), default=None)
        return Result(None if rest is None else max(rest, SHORTEST_WAIT))

    def _tell(self, app: Application, decision: Decision, snapshot: Snapshot, waits: str | None) -> None:
        known = self._apps.get(app.key)
        if known is not None and known.metadata.uid == app.metadata.uid:  # otherwise it is gone, and its history with it
            self._note(app, decision, snapshot, waits)

    def _hold_back(self, app: Application, move: Move | None, snapshot: Snapshot) -> str | None:
        """Return why an application may not move yet; it is reconciled again when it may."""
        self._held.leave(app.key)
        if move is None and app.spec.constraints.disruption_budget is not None:
            # Should it have been called to move: as it stays, somebody else may.
            self._release(app.key.namespace, app.metadata.labels)
        if move is Move.VOLUNTARY and (message := exceed(app, snapshot.ledger)) is not None:
            self._movement.leave(app.key)
            self._held.hold(app)
            return message
        return None if self._movement.allows(app.key, move, -app.spec.priority) else NO_TURN

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


def _availability(app: Application) -> object:
    """What of an application disruption budgets depend on."""
    status = app.status
    return status.state, status.scheduled_to, status.running_on, app.metadata.labels


def _concerns(app: Application) -> object:
    """What of an application a decision may depend on; the rest changes often and must not lead to a new one."""
    status, metadata = app.status, app.metadata
    placement = (status.scheduled_to, status.scheduled, status.running_on, not status.placed_on)
    handed_over = (status.kube_controller_triggered, status.migration_timeout)
    finished = status.state is ApplicationState.COMPLETED
    return metadata.generation, metadata.modified, metadata.deleted, placement, handed_over, finished
