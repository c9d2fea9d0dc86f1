"""Keeps a set of parts running: starts them in order, restarts what dies, stops all."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from krake.lib.backoff import Backoff
from krake.up.parts import Part
from krake.up.process import how_it_ended

_RESTART = Backoff(0.5, 30.0)
_STEADY_AFTER = 30.0


class StartError(Exception):
    """A part did not start; the message names it and says why."""


@dataclass(frozen=True)
class Stage:
    """Parts that start together, after those of the stages before are ready."""

    parts: Mapping[str, Part]


class Supervisor:
    """Runs the parts of all stages.

    :param report: is told, in one sentence, what happens to a part.
    :param on_change: is called after a part has been restarted, which gives it another process id.
    """

    def __init__(
        self, stages: Sequence[Stage], *, report: Callable[[str, str], None], on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._stages = stages
        self._report = report
        self._on_change = on_change
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each part by name."""
        return {name: part.pid for stage in self._stages for name, part in stage.parts.items()}

    async def start(self) -> None:
        """Start everything, stage by stage, and keep it running from then on.

        :raises StartError: a part did not become ready. What had been started still runs: call :meth:`stop`.
        """
        for stage in self._stages:
            results = await asyncio.gather(*(part.start() for part in stage.parts.values()), return_exceptions=True)
            for (name, part), result in zip(stage.parts.items(), results, strict=True):
                if isinstance(result, Exception):
                    raise StartError(f"{name} did not start: {str(result).rstrip('.')}.") from result
                self._keepers.append(asyncio.create_task(self._keep(name, part)))

    async def _keep(self, name: str, part: Part) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            status = await part.wait()
            failures = 0 if loop.time() - started > _STEADY_AFTER else failures + 1
            self._report(name, f"{how_it_ended(status)}; it is started again")
            while True:
                await asyncio.sleep(_RESTART.delay(failures, random.random()))
                try:
                    await part.start()
                except Exception as error:
                    failures += 1
                    self._report(name, f"did not start again: {str(error).rstrip('.')}; it is tried once more")
                else:
                    break
            self._report(name, "runs again")
            self._on_change()

    async def stop(self) -> None:
        """End all parts, those that started last first."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        for stage in reversed(self._stages):
            await asyncio.gather(*(part.stop() for part in stage.parts.values()))
