"""Has applications get ready to be stopped, if they want to be asked."""

from dataclasses import replace
from datetime import timedelta

from krake.controller.kubernetes.application import migration
from krake.controller.kubernetes.application.hooks import ShutdownCalls, Stage, judge_shutdown, terms_of
from krake.controller.kubernetes.application.workplace import Away, Workplace
from krake.controller.runtime import Result
from krake.data.kubernetes import Application

LONGEST_LOOK = 3600.0
"""Seconds until another look at an application that is stuck, should nobody do anything about it."""


class Asking:
    """Has applications get ready to be stopped."""

    def __init__(self, workplace: Workplace, calls: ShutdownCalls) -> None:
        self._workplace = workplace
        self._calls = calls

    async def is_ready(self, app: Application) -> tuple[Application, bool, Result | None]:
        """Ask an application that is about to be stopped where it runs.

        Returns it as it is stored then, whether it may be stopped now, and if not, when to look again at the latest.
        """
        if migration.is_stopped(app):
            return app, True, None
        at = self._workplace
        terms = terms_of(app.spec, at.config.hooks.shutdown)
        decision = judge_shutdown(app, terms, at.clock(), self._calls.trouble(app))
        if decision.stage is Stage.PROCEED:
            self._calls.forget(app.metadata.uid)
            at.recorder.record(app, *decision.said)
            return app, True, None
        status = decision.status
        if app.metadata.deleted is None and app.status.scheduled_to is not None:
            limit = timedelta(seconds=at.config.migration.timeout)
            status = migration.wait_for_shutdown(app.status, status, limit)
        elif app.status.scheduled_to is None:
            status = replace(status, reason=status.reason or app.status.reason)
        app = await at.write(app, status)
        at.recorder.record(app, *decision.said)
        if decision.stage is Stage.GIVE_UP:
            return app, False, at.look_again(app, LONGEST_LOOK)
        self._ask(app)
        return app, False, at.look_again(app, decision.wait)

    def _ask(self, app: Application) -> None:
        assert app.status.running_on is not None
        try:
            with self._workplace.at(app.status.running_on, app.key) as site:
                self._calls.ask(app, site)
        except Away:
            return  # called again once it answers; its time passes all the same
