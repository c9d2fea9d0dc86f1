"""Makes applications so on the cluster that they are bound to."""

import asyncio
from dataclasses import replace

from krake.controller.kubernetes.application import departure, lifecycle, migration
from krake.controller.kubernetes.application.deploy import Deployment, deploy, resolve
from krake.controller.kubernetes.application.desired import Declared, InvalidManifest
from krake.controller.kubernetes.application.events import tell_of_drift
from krake.controller.kubernetes.application.health import assess
from krake.controller.kubernetes.application.hooks import HookProblem, Materials, mangle, observe_added
from krake.controller.kubernetes.application.leaving import Leaving
from krake.controller.kubernetes.application.lifecycle import Outcome
from krake.controller.kubernetes.application.observe import observe
from krake.controller.kubernetes.application.services import services_of
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.volumes import resume
from krake.controller.kubernetes.application.workplace import PENDING, WORK_LIMIT, Away, TooLarge, Workplace
from krake.controller.runtime import Result, add_finalizer
from krake.data.kubernetes import Application
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Reason, ReasonCode
from krake.data.overrides import InvalidOverride, render
from krake.ports.cluster import Rejected, Unsupported


class Failed(Exception):
    """An attempt came to its end early."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.problem)
        self.outcome = outcome


class Placing:
    """Makes applications so on the cluster that they are bound to."""

    def __init__(self, workplace: Workplace, leaving: Leaving, materials: Materials) -> None:
        self._workplace = workplace
        self._leaving = leaving
        self._materials = materials

    async def place(self, app: Application) -> Result | None:
        """Make an application so where it runs, or is to run at first, and clean up elsewhere."""
        at = self._workplace
        if others := migration.other_copies(app):
            gone, problem = await self._leaving.remove_from(others, app)
            # Who comes back does not wait for a cluster that was lost on the way: there would be no copy at all.
            is_lost = problem is not None and problem.code is ReasonCode.CLUSTER_NOT_REACHABLE
            if len(gone) < len(others) and not is_lost:
                return at.retry(app) if problem else Result(PENDING)
            app = await at.write(app, departure.departed(app, gone))
        app, outcome, declared = await self.attempt(app)
        now = at.clock()
        if outcome is None:
            return None  # called again once the cluster is known to answer
        status, again = at.calm.settle(app, lifecycle.conclude(app, outcome, declared, now), outcome, now)
        planned = lifecycle.plan_attempt(app, status, outcome, now, at.attempts.get(app.key, 0))
        if planned.scheduled_retry != app.status.scheduled_retry:
            at.attempts[app.key] = at.attempts.get(app.key, 0) + 1
        app = await at.write_owners(await at.write(app, planned))
        result = await self.finish(app, outcome, declared)
        if again is None or (result is not None and result.requeue_after is not None and result.requeue_after < again):
            return result
        return Result(again)

    async def finish(self, app: Application, outcome: Outcome, declared: list[Declared]) -> Result | None:
        """Clean up after an application was made so where it runs; returns when to look at it again."""
        at, now = self._workplace, self._workplace.clock()
        app, cleaned = await self._leaving.clean(app, declared)
        if cleaned and outcome.complete and app.status.volumes:
            app = await at.write(app, replace(app.status, volumes=[]))
        if not cleaned or outcome.unreachable:
            return at.retry(app)
        if outcome.problem is not None:
            due = app.status.scheduled_retry
            return Result(max(0.1, (due - now).total_seconds())) if due is not None else None
        at.attempts.pop(app.key, None)
        if not outcome.complete:
            return Result(PENDING)
        waits = [] if (renewal := self._materials.due(app, now)) is None else [renewal]
        if app.status.state in (lifecycle.State.CREATING, lifecycle.State.RECONCILING):
            waits.append(lifecycle.start_limit(app, now))
        return Result(max(0.1, min(waits))) if waits else None

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
            outcome = Outcome(problem=away.reason, unreachable=True) if away.reason else None
        except Failed as failed:
            outcome = failed.outcome
        await at.applications.catch_up(app.key)
        return at.applications.get(app.key) or app, outcome, []

    async def _work(self, app: Application, site: Site) -> tuple[Application, Outcome, list[Declared]]:
        at = self._workplace
        app, declared = await self.declare(app, site)
        app = await add_finalizer(at.client, app, KUBERNETES_RESOURCES_DELETION, informer=at.applications)
        app = await self.begin(app, declared)
        site.follow(app.metadata.uid, app.key, {each.identity.type for each in declared})
        resumed = not app.status.volumes or app.status.running_on != app.status.scheduled_to or await _resume(app, site)
        deployment = await deploy(app, site, declared)
        at.recorder.record(app, *tell_of_drift(app, deployment.corrected))
        outcome = _judge(app, site, deployment)
        return app, replace(outcome, complete=outcome.complete and resumed), deployment.declared

    async def begin(self, app: Application, declared: list[Declared]) -> Application:
        """Write down what is going to be on the cluster that an application is bound to.

        :raises Failed: it is too much.
        """
        status = lifecycle.begin(app, declared, [each.schema for each in declared])
        try:
            return await self._workplace.write(app, status)
        except TooLarge as error:
            raise _failure(error.code, str(error)) from None

    async def declare(self, app: Application, site: Site) -> tuple[Application, list[Declared]]:
        """Return what should be on the cluster that an application is bound to, and the application as it is stored then.

        :raises Failed: that can not be said.
        """
        at, target = self._workplace, app.status.scheduled_to
        cluster = at.find(target, app.key) if target is not None else None
        labels = cluster.metadata.labels if cluster is not None else {}
        name = target.name if target is not None else ""
        try:
            manifest = render(app.spec.manifest, app.spec.overrides, name, labels)
            app = await at.write(app, self._materials.equip(app, at.clock()))
            bindings = self._materials.bindings(app)
            hooked = mangle(app.metadata.name, manifest, bindings, site.connection.default_namespace)
            schemas = observe_added(app.spec.observer_schema, manifest, hooked)
            return app, await resolve(replace(app, spec=replace(app.spec, observer_schema=schemas)), hooked, site)
        except InvalidManifest as error:
            raise _failure(error.code, str(error)) from None
        except InvalidOverride as error:
            raise _failure(ReasonCode.INVALID_RESOURCE, str(error)) from None
        except HookProblem as error:
            raise Failed(Outcome(problem=error.reason)) from None
        except Unsupported as error:
            raise _failure(ReasonCode.UNSUPPORTED_RESOURCE, str(error)) from None
        except Rejected as error:
            raise _failure(ReasonCode.KUBERNETES_ERROR, str(error), passing=error.passing) from None


async def _resume(app: Application, site: Site) -> bool:
    try:
        return await resume(app, site)
    except (Rejected, Unsupported) as error:
        raise _failure(ReasonCode.KUBERNETES_ERROR, str(error), passing=True) from None


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


def _failure(code: ReasonCode, message: str, *, passing: bool = False) -> Failed:
    return Failed(Outcome(problem=Reason(code=code, message=message), passing=passing))
