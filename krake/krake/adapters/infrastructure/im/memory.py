"""What a process has found out about the infrastructures of IMs; none of it is needed, most of it saves questions."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_MOST = 50_000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Update:
    """An update that may be under way: IM answers when all machines are launched, and must not be asked twice meanwhile."""

    template: Mapping[str, Any]
    task: asyncio.Task[None]


@dataclass(frozen=True)
class Memory:
    """What was found out about infrastructures, by the URL of their IM and their id.

    :param marks: what was once marked stays so.
    :param beginnings: when those were first asked to be deleted that had no machines yet, by the clock of the event loop.
    :param updates: the last one of each, until its outcome is told.
    :param answered: when the last update was asked for that was answered.
    """

    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    beginnings: dict[tuple[str, str], float] = field(default_factory=dict)
    updates: dict[tuple[str, str], Update] = field(default_factory=dict)
    answered: dict[tuple[str, str], float] = field(default_factory=dict)

    async def close(self) -> None:
        """Wait for no answers any more."""
        tasks = [update.task for update in self.updates.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def remember(memory: dict[tuple[str, str], _T], key: tuple[str, str], value: _T) -> None:
    """Add something to what is remembered, which is never more than so much."""
    memory[key] = value
    while len(memory) > _MOST:
        del memory[next(iter(memory))]
