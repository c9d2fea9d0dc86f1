"""Makes applications so on the cluster that they are bound to."""

import asyncio
from typing import Any

from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.deploy import Deployment, deploy, resolve
from krake.controller.kubernetes.application.desired import Declared, InvalidManifest
from krake.controller.kubernetes.application.events import tell_of_drift
from krake.controller.kubernetes.application.health import assess
from krake.controller.kubernetes.application.leaving import Leaving
from krake.controller.kubernetes.application.lifecycle import Outcome
from krake.controller.kubernetes.application.observe import observe
from krake.controller.kubernetes.application.services import services_of
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.workplace import PENDING, WORK_LIMIT, Away, Workplace
from krake.controller.runtime import Result, add_finalizer
from krake.data.kubernetes import Application
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Reason, ReasonCode
from krake.data.overrides import InvalidOverride, render
from krake.ports.cluster import Rejected, Unsupported


class Placing:
    """Makes applications so on the cluster that they are bound to."""

    def __init__(self, workplace: Workplace, leaving: Leaving) -> None:
        self._workplace = workplace
        self._leaving = leaving

    async def place(self, app: Application) -> Result | None:
        """Make an application so where it runs, or is to run at first, and clean up elsewhere."""
        at = self._workplace
        app, outcome, declared = await self.attempt(app)
        now = at.clock()
        if outcome is None:
            return None  # called again once the cluster is known to answer
        app = await at.write(app, lifecycle.conclude(app, outcome, declared, now))
        app = await at.write_owners(app)
        cleaned = await self._leaving.clean(app, declared)
        if outcome.problem is not None or not cleaned:
            return at.retry(app.key)
        at.attempts.pop(app.key, None)
        if not outcome.complete:
            return Result(PENDING)
        limit = lifecycle.start_limit(app, now)
        return Result(limit) if app.status.state in (lifecycle.State.CREATING, lifecycle.State.RECONCILING) else None

    async def attempt(self, app: Application) -> tuple[Application, Outcome | None, list[Declared]]:
        """Make everything so on the cluster that the application is bound to.

        Returns no outcome if it is not known yet whether the cluster answers.
        """
        target, at = app.status.scheduled_to, self._workplace
        assert target is not None
        try:
            with at.at(target, app.key) as site:
                async with asyncio.timeout(WORK_LIMIT):
                    return await self._work(app, site)
        except Away as away:
            await at.applications.catch_up(app.key)
            outcome = Outcome(problem=away.reason, unreachable=True) if away.reason else None
            return at.applications.get(app.key) or app, outcome, []

    async def _work(self, app: Application, site: Site) -> tuple[Application, Outcome, list[Declared]]:
        at = self._workplace
        try:
            declared = await resolve(app, self._render(app), site)
        except (InvalidManifest, InvalidOverride) as error:
            return app, _failure(ReasonCode.INVALID_RESOURCE, str(error)), []
        except Unsupported as error:
            return app, _failure(ReasonCode.UNSUPPORTED_RESOURCE, str(error)), []
        except Rejected as error:
            return app, _failure(ReasonCode.KUBERNETES_ERROR, str(error), passing=error.passing), []
        app = await add_finalizer(at.client, app, KUBERNETES_RESOURCES_DELETION, informer=at.applications)
        app = await at.write(app, lifecycle.begin(app, declared, [each.schema for each in declared]))
        site.follow(app.metadata.uid, app.key, {each.identity.type for each in declared})
        deployment = await deploy(app, site, declared)
        at.recorder.record(app, *tell_of_drift(app, deployment.corrected))
        return app, _judge(app, site, deployment), deployment.declared

    def _render(self, app: Application) -> list[dict[str, Any]]:
        """Return the manifest of an application as it is meant for the cluster that it is bound to. Raises `InvalidOverride`."""
        assert app.status.scheduled_to is not None
        cluster = self._workplace.find(app.status.scheduled_to, app.key)
        if cluster is None:
            return app.spec.manifest
        return render(app.spec.manifest, app.spec.overrides, cluster.metadata.name, cluster.metadata.labels)


def _judge(app: Application, site: Site, deployment: Deployment) -> Outcome:
    declared = deployment.declared
    live = [deployment.live[each.identity] for each in declared if each.identity in deployment.live]
    observed = [observe(each.schema, deployment.live[each.identity]) for each in declared if each.identity in deployment.live]
    problem = deployment.problem
    return Outcome(
        problem=problem,
        passing=not deployment.refused,
        complete=problem is None and not deployment.pending and len(live) == len(declared),
        health=assess(live, site.made_for(app.metadata.uid)),
        services=services_of((each.identity for each in declared), deployment.live, site.connection.host),
        observed=observed,
    )


def _failure(code: ReasonCode, message: str, *, passing: bool = False) -> Outcome:
    return Outcome(problem=Reason(code=code, message=message), passing=passing)
