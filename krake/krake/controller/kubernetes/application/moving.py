"""Moves applications to other clusters."""

from datetime import timedelta

from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.leaving import Leaving
from krake.controller.kubernetes.application.lifecycle import Move, Outcome
from krake.controller.kubernetes.application.placing import Placing
from krake.controller.kubernetes.application.workplace import PENDING, Workplace
from krake.controller.runtime import Result
from krake.data.kubernetes import Application


class Moving:
    """Moves applications to other clusters."""

    def __init__(self, workplace: Workplace, placing: Placing, leaving: Leaving) -> None:
        self._workplace = workplace
        self._placing = placing
        self._leaving = leaving

    async def migrate(self, app: Application) -> Result | None:
        """Take an application one step further to the cluster that it is bound to."""
        at = self._workplace
        now = at.clock()
        if lifecycle.has_given_up(app, now):
            await self._bind_back(app)
            return None
        limit = timedelta(seconds=at.config.migration.timeout)
        app = await at.write(app, lifecycle.start_migration(app, now, limit))
        app, outcome, declared = await self._placing.attempt(app)
        now = at.clock()
        outcome = outcome or Outcome()
        move = lifecycle.judge_migration(app, outcome, now)
        if move is Move.SWITCH:
            app = await at.write(app, lifecycle.switch(app, outcome, declared, now))
            app = await at.write_owners(app)
            return None if await self._leaving.clean(app, declared) else at.retry(app.key)
        if move is Move.GIVE_UP:
            pause = timedelta(seconds=at.config.migration.retry.timeout)
            app = await at.write(app, lifecycle.give_up_move(app, outcome, now, pause))
            await self._bind_back(app)
            return None
        app = await at.write(app, lifecycle.wait_to_move(app, outcome))
        return Result(max(0.0, min(lifecycle.migration_limit(app, now), PENDING if not outcome.complete else 60.0)))

    async def _bind_back(self, app: Application) -> None:
        assert app.status.running_on is not None
        await self._workplace.bind(app, app.status.running_on)
