"""Moves applications to other clusters."""

import asyncio
from datetime import timedelta

from krake.controller.kubernetes.application import lifecycle, migration
from krake.controller.kubernetes.application.asking import Asking
from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.application.leaving import Leaving
from krake.controller.kubernetes.application.lifecycle import Outcome
from krake.controller.kubernetes.application.migration import Manner, Move
from krake.controller.kubernetes.application.placing import Failed, Placing
from krake.controller.kubernetes.application.volumes import Progress, step
from krake.controller.kubernetes.application.workplace import PENDING, WORK_LIMIT, Away, Workplace
from krake.controller.runtime import Result
from krake.data.kubernetes import Application
from krake.data.metadata import ResourceRef


class Moving:
    """Moves applications to other clusters."""

    def __init__(self, workplace: Workplace, placing: Placing, leaving: Leaving, asking: Asking) -> None:
        self._workplace = workplace
        self._placing = placing
        self._leaving = leaving
        self._asking = asking
        self._limit = timedelta(seconds=workplace.config.migration.timeout)

    async def migrate(self, app: Application) -> Result | None:
        """Take an application one step further to the cluster that it is bound to."""
        at, manner = self._workplace, migration.manner_of(app)
        if migration.has_given_up(app, at.clock()) and at.takes_back(_origin(app), app.key):
            await at.bind(app, _origin(app))
            return None
        if manner is not Manner.CREATE_FIRST and not migration.may_be_stopped(app):
            app, ready, result = await self._asking.is_ready(app)
            if not ready:
                return result
        app = await at.write(app, migration.start(app, manner, at.clock(), self._limit))
        if others := migration.other_copies(app):
            return await self._delete_first(app, others)
        if manner is Manner.WITH_VOLUMES:
            app, done, result = await self._copy(app)
            if not done:
                return result
        return await self._create(app, manner)

    async def _delete_first(self, app: Application, others: list[ResourceRef]) -> Result | None:
        """Delete the other copies. There are never two: one that can not be reached is waited for."""
        at = self._workplace
        gone, problem = await self._leaving.remove_from(others, app)
        if len(gone) == len(others):
            app = await at.write(app, migration.other_copies_gone(app, gone, at.clock(), self._limit))
            at.attempts.pop(app.key, None)
            return await self._create(app, Manner.DELETE_FIRST)
        app = await at.write(app, migration.wait(app, Outcome(problem=problem)))
        return at.retry(app) if problem else Result(PENDING)

    async def _copy(self, app: Application) -> tuple[Application, bool, Result | None]:
        """Stop the old copy and copy its data; returns whether that is done, and if not, when to go on."""
        at = self._workplace
        try:
            app, progress = await self._copy_on(app)
        except Away as away:
            if _is_copied(app):
                return app, True, None  # the old copy is not needed any more
            outcome = Outcome(problem=away.reason, unreachable=True) if away.reason else Outcome()
            return app, False, await self._go_on(app, outcome, [], Manner.WITH_VOLUMES)
        except Failed as failed:
            return app, False, await self._go_on(app, failed.outcome, [], Manner.WITH_VOLUMES)
        changed, outcome = (
            progress.volumes != app.status.volumes,
            Outcome(problem=progress.problem, passing=not progress.failed),
        )
        app = await at.write(app, migration.copying(app, progress.volumes, progress.problem, at.clock(), self._limit))
        if progress.done:
            return app, True, None
        can_return = at.takes_back(_origin(app), app.key)
        if progress.failed or migration.judge(app, outcome, at.clock(), can_return=can_return) is Move.GIVE_UP:
            return app, False, await self._give_up(app, outcome)
        return app, False, Result(0.0 if changed else PENDING)

    async def _copy_on(self, app: Application) -> tuple[Application, Progress]:
        at = self._workplace
        with at.at(_origin(app), app.key) as source, at.at(_target(app), app.key) as target:
            async with asyncio.timeout(WORK_LIMIT):
                app, declared = await self._placing.declare(app, target)
                app = await self._placing.begin(app, declared)
                return app, await step(app, source, target, declared, at.config.migration, at.clock())

    async def _create(self, app: Application, manner: Manner) -> Result | None:
        app, outcome, declared = await self._placing.attempt(app)
        return await self._go_on(app, outcome or Outcome(), declared, manner)

    async def _go_on(self, app: Application, outcome: Outcome, declared: list[Declared], manner: Manner) -> Result | None:
        at, now = self._workplace, self._workplace.clock()
        can_return = at.takes_back(_origin(app), app.key)
        move = migration.judge(app, outcome, now, can_return=can_return)
        if move is Move.GIVE_UP:
            return await self._give_up(app, outcome)
        if move is Move.SWITCH:
            return await self._switch(app, outcome, declared, manner)
        app = await at.write(app, migration.wait(app, outcome))
        if outcome.problem is not None:
            return at.retry(app)
        return Result(PENDING if not outcome.complete else max(PENDING, min(lifecycle.migration_limit(app, now), 60.0)))

    async def _switch(self, app: Application, outcome: Outcome, declared: list[Declared], manner: Manner) -> Result | None:
        at = self._workplace
        if manner is Manner.CREATE_FIRST:
            app, ready, result = await self._asking.is_ready(app)
            if not ready:
                return result
        app = await at.write(app, migration.switch(app, outcome, declared, at.clock()))
        at.attempts.pop(app.key, None)
        return await self._placing.finish(app, outcome, declared)

    async def _give_up(self, app: Application, outcome: Outcome) -> Result | None:
        at = self._workplace
        pause = timedelta(seconds=at.config.migration.retry.timeout)
        app = await at.write(app, migration.give_up(app, outcome, at.clock(), pause))
        at.attempts.pop(app.key, None)
        await at.bind(app, _origin(app))
        return None


def _origin(app: Application) -> ResourceRef:
    assert app.status.running_on is not None
    return app.status.running_on


def _target(app: Application) -> ResourceRef:
    assert app.status.scheduled_to is not None
    return app.status.scheduled_to


def _is_copied(app: Application) -> bool:
    return bool(app.status.volumes) and all(volume.state == "copied" for volume in app.status.volumes)
