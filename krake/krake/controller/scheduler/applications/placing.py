"""Carries out what was decided about an application: binds it, or says why it stays or waits."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from krake.client import Client
from krake.controller.runtime import Informer, Recorder, patch_status
from krake.controller.runtime.retries import plan_retry
from krake.controller.scheduler.applications.world import World
from krake.controller.scheduler.deciding.decide import Decision, Ground
from krake.controller.scheduler.explaining.explanation import explain_stay, list_refusals, reason_to_stay, reason_to_wait
from krake.data import Key, ReasonCode, ResourceRef
from krake.data.events import normal, warning
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus, ClusterBinding

log = logging.getLogger(__name__)


class Placing:
    """Makes decisions come true.

    :param longest: until an application that fits nowhere is looked at again.
    """

    def __init__(
        self, client: Client, recorder: Recorder, apps: Informer[Application], world: World, longest: timedelta
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._apps = apps
        self._world = world
        self._longest = longest
        self._failures: dict[Key, tuple[int, int]] = {}
        """Of applications that fit nowhere: their generation, and how many attempts have failed since it."""

    def forget(self, key: Key) -> None:
        """Forget what is known of an application that is gone."""
        self._failures.pop(key, None)

    async def carry_out(
        self, app: Application, decision: Decision, now: datetime, hindrance: str | None = None
    ) -> timedelta | None:
        """Do what was decided; returns after how long the application is to be looked at again.

        :param hindrance: why there will be no other cluster for it, if none fits.
        :raises NotFound: the application, or the cluster, is gone.
        """
        if decision.choice is not None:
            return await self._place(app, decision, decision.choice)
        bound = app.status.scheduled_to
        if bound is None or decision.ground is Ground.LOST:
            return await self._refuse(app, decision, now, hindrance)
        # A cluster that does not fit any more is better than none.
        await self._explain(app, decision, bound)
        return self._longest

    async def _place(self, app: Application, decision: Decision, choice: ResourceRef) -> timedelta | None:
        self._failures.pop(app.key, None)
        if needs_binding(app, choice):
            log.info("%s goes to %s: %s", app.ref, choice, decision.ground.value)
            former = app.status.scheduled_to
            app = await self._bind(app, choice)
            if former not in (None, choice):
                told = normal("Rescheduled", f"Bound to {choice} instead of {former}: {decision.ground.value}")
                self._recorder.record(app, told)
        if decision.concern is not None:
            await self._explain(app, decision, choice)
        elif is_ours(app.status):
            status = replace(app.status, reason=None, retries=None, scheduled_retry=None)
            await patch_status(self._client, app, status, informer=self._apps)
        return decision.settled_for

    async def _bind(self, app: Application, choice: ResourceRef) -> Application:
        # Counted before it is asked for: others are decided on while the API answers.
        self._world.assume(app, choice)
        try:
            bound = await self._client.act(Application, app.key, "binding", ClusterBinding(cluster=choice))
        except BaseException:
            self._world.retract(app.key)
            raise
        self._apps.expect(app.key, bound.metadata.resource_version)
        self._world.confirm(bound)
        return bound

    async def _explain(self, app: Application, decision: Decision, place: ResourceRef) -> None:
        """Say why an application stays where it had better not be. Reasons of others are left alone."""
        if app.status.reason is None:
            self._recorder.record(app, warning("FailedScheduling", explain_stay(decision, place)))
        elif not is_ours(app.status):
            return
        status = replace(app.status, reason=reason_to_stay(decision, place))
        await patch_status(self._client, app, status, informer=self._apps)

    async def _refuse(self, app: Application, decision: Decision, now: datetime, hindrance: str | None) -> timedelta | None:
        lost = app.status.scheduled_to
        if lost is None and (app.status.running_on or app.status.placed_on):
            return None  # it is being cleared away where it was, and comes here again after that
        failures = 0 if lost else self._count_failures(app)
        due = app.status.scheduled_retry
        if failures == 0 or due is None or due <= now:
            self._tell_of_refusal(app, decision)
            retry = plan_retry(app.spec, app.status.retries, now, failures=failures, longest=self._longest)
            waits = lost is not None or _was_unbound(app.status)
            status = replace(
                app.status,
                state=ApplicationState.PENDING if waits else ApplicationState.FAILED,
                reason=reason_to_wait(decision, hindrance),
                scheduled_to=None,
                scheduled=None,
                retries=retry.retries,
                scheduled_retry=(due := retry.due),
            )
            await patch_status(self._client, app, status, informer=self._apps)
            self._failures[app.key] = app.metadata.generation, failures + 1
        return None if due is None else due - now

    def _tell_of_refusal(self, app: Application, decision: Decision) -> None:
        lost, refusals = app.status.scheduled_to, list_refusals(decision)
        log.info("%s fits nowhere: %s", app.ref, refusals)
        if lost is None:
            self._recorder.record(app, warning("FailedScheduling", refusals))
        else:
            self._recorder.record(app, warning("Unbound", f"It can not stay on {lost}, and no other cluster fits: {refusals}"))

    def _count_failures(self, app: Application) -> int:
        """How many attempts failed since the application was changed; after a restart, as far as its status tells."""
        if not is_ours(app.status):
            return 0
        generation, failures = self._failures.get(app.key, (None, 0))
        if generation is not None:
            return failures if generation == app.metadata.generation else 0
        limit, left = app.spec.backoff_limit, app.status.retries
        return max(limit - left, 1) if left is not None and limit >= 0 else 1


def needs_binding(app: Application, choice: ResourceRef) -> bool:
    """Whether an application has to be bound: to another cluster, or anew, because its user has changed it."""
    triggered = app.status.kube_controller_triggered
    return app.status.scheduled_to != choice or triggered is None or app.metadata.modified > triggered


def needs_work(app: Application, decision: Decision) -> bool:
    """Whether there is anything to do about an application by what was decided."""
    status = app.status
    if app.metadata.deleted is not None:
        return False
    if status.scheduled_to is None and decision.choice is None:
        # Who has been told that there is no place for it is told again when the next attempt is due.
        return not is_ours(status) or app.spec.auto_cluster_create
    if decision.choice is None:
        return decision.ground is Ground.LOST or status.reason is None or is_ours(status)
    return needs_binding(app, decision.choice) or decision.concern is not None or is_ours(status)


def is_ours(status: ApplicationStatus) -> bool:
    """Whether the reason that an application gives is one of the scheduler."""
    return status.reason is not None and status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE


def _was_unbound(status: ApplicationStatus) -> bool:
    """Whether an application that is bound to no cluster was handed over to one before."""
    return status.state is ApplicationState.PENDING and status.kube_controller_triggered is not None
