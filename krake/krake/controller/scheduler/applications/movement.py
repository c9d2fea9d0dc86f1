"""Lets applications move one after the other: those that could stay slowly, those that have lost their cluster faster.

Each namespace has turns of its own: they share no clusters, and however many applications of one want to move, or never arrive,
those of the others are not held up.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from krake.controller.scheduler.applications.failover import USABLE
from krake.controller.scheduler.applications.turns import Turns
from krake.controller.scheduler.deciding.decide import Decision
from krake.controller.scheduler.deciding.snapshot import Snapshot
from krake.data import Key
from krake.data.kubernetes import Application

IDLE = 5.0
"""Seconds after which it is looked again who may move, should nobody tell."""


class Move(Enum):
    """Why an application moves."""

    FREE = "Nobody is disturbed by it, or its user wants it: it is not limited."
    VOLUNTARY = "It runs where it is, and had better run elsewhere."
    FAILOVER = "Its cluster is lost."


def move_of(app: Application, decision: Decision, snapshot: Snapshot) -> Move | None:
    """Return what kind of move a decision means; ``None`` if the application stays, or is placed for the first time."""
    status = app.status
    here, running_on = status.scheduled_to, status.running_on
    if here is None or decision.choice in (None, here):
        return None
    if decision.choice == running_on:
        return Move.FREE
    candidate = snapshot.fleet.find(here)
    if candidate is None or (candidate.cluster.status.state not in USABLE and candidate.cluster.metadata.deleted is None):
        return Move.FAILOVER
    changed = status.kube_controller_triggered is None or app.metadata.modified > status.kube_controller_triggered
    return Move.FREE if changed or running_on != here else Move.VOLUNTARY


class Movement:
    """Knows who may move, and calls those who have waited for their turn. The limits are those of each namespace.

    :param call: has an application reconciled.
    :param at_once: so many may be on their way at the same time that could have stayed; 0 for any number.
    :param per_minute: so many of them may begin to move; 0 for any number.
    :param failover_per_minute: so many applications of lost clusters may begin to move; 0 for any number.
    :param moving: returns how many of a namespace are on their way that could have stayed.
    """

    def __init__(
        self,
        call: Callable[[Key], None],
        *,
        at_once: int,
        per_minute: float,
        failover_per_minute: float,
        moving: Callable[[str | None], int],
    ) -> None:
        self._call = call
        self._at_once = at_once
        self._moving = moving
        self._rates = {Move.VOLUNTARY: per_minute, Move.FAILOVER: failover_per_minute}
        self._turns: dict[str | None, dict[Move, Turns[Key]]] = {}
        """By namespace."""
        self._changed = asyncio.Event()

    def allows(self, key: Key, move: Move | None, rank: Any) -> bool:
        """Return whether an application may move now; otherwise it is reconciled again when it may.

        :param rank: of those who wait, the one with the least goes first.
        """
        for kind, turns in self._turns.get(key.namespace, {}).items():
            if kind is not move:
                turns.leave(key)
        if move is None or move not in self._rates:
            return True
        of_namespace = self._turns.setdefault(key.namespace, {})
        if move not in of_namespace:
            of_namespace[move] = Turns(self._rates[move])
        allowed = of_namespace[move].ask(key, rank, _now(), self._room(key.namespace, move))
        if not allowed:
            self._changed.set()
        return allowed

    def leave(self, key: Key) -> None:
        """Forget an application."""
        for turns in self._turns.get(key.namespace, {}).values():
            turns.leave(key)

    def wake(self) -> None:
        """Look again who may move: somebody has arrived."""
        self._changed.set()

    async def run(self) -> None:
        """Call those whose turn it is, until cancelled."""
        while True:
            self._changed.clear()
            for namespace, kind, turns in self._everybody():
                for key in turns.call(_now(), self._room(namespace, kind)):
                    self._call(key)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait()):
                    await self._changed.wait()

    def _everybody(self) -> list[tuple[str | None, Move, Turns[Key]]]:
        return [(name, kind, turns) for name, kinds in self._turns.items() for kind, turns in kinds.items()]

    def _room(self, namespace: str | None, move: Move) -> int | None:
        if move is not Move.VOLUNTARY or self._at_once <= 0:
            return None
        return max(self._at_once - self._moving(namespace), 0)

    def _wait(self) -> float:
        waits = [wait for _, _, turns in self._everybody() if (wait := turns.wait(_now())) is not None and wait > 0]
        return min([IDLE, *waits])


def _now() -> float:
    return asyncio.get_running_loop().time()
