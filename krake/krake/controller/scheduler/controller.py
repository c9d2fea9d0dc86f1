"""Watches applications and clusters, decides, and binds."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from krake.adapters.metrics import Sources
from krake.client import Client, NotFound
from krake.controller.runtime import Controller, Informer, Parts, Recorder, Result, patch_status
from krake.controller.runtime.retries import plan_retry
from krake.controller.scheduler.chronicle import Chronicle
from krake.controller.scheduler.decide import Decision, Ground, decide
from krake.controller.scheduler.explanation import explain_stay, list_refusals, reason_to_stay, reason_to_wait
from krake.controller.scheduler.meter import Connect, Meter, Sight
from krake.controller.scheduler.reporting import Reporter
from krake.controller.scheduler.settings import SchedulerConfig
from krake.controller.scheduler.snapshot import Candidate, Measurement, Settings, Snapshot
from krake.data import Key, ReasonCode, ResourceRef
from krake.data.events import normal, warning
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus, Cluster, ClusterBinding

log = logging.getLogger(__name__)

NAMESPACE = "namespace"
"""Index of the applications and of the clusters."""

SHORTEST_WAIT = 0.1
"""Seconds between two looks at an application that nothing has happened to."""

UNMEASURED_WAIT = 5.0
"""Seconds after which an application looks again whether the clusters are measured, should nobody tell."""


class Scheduler:
    """Reconciles applications: each gets its cluster, or a reason why not.

    :param enqueue: has an application reconciled.
    :param measurement: what is known of the metrics of a cluster; ``None`` if it has yet to be measured.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        chronicle: Chronicle,
        apps: Informer[Application],
        clusters: Informer[Cluster],
        *,
        enqueue: Callable[[Key], None],
        measurement: Callable[[Cluster], Measurement | None],
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._chronicle = chronicle
        self._apps = apps
        self._clusters = clusters
        self._enqueue = enqueue
        self._measurement = measurement
        self._settings = settings
        self._now = now
        self._failures: dict[Key, tuple[int, int]] = {}
        """Of applications that fit nowhere: their generation, and how many attempts have failed since it."""
        for informer in (apps, clusters):
            informer.index(NAMESPACE, lambda obj: [obj.key.namespace])
        apps.on_change(self._follow_app)
        chronicle.follow(apps)
        clusters.on_change(self._follow_cluster)

    def enqueue_applications(self, cluster: Key) -> None:
        """Have all applications reconciled that a cluster is a candidate for."""
        for app in self._apps.lookup(NAMESPACE, cluster.namespace):
            self._enqueue(app.key)

    def _follow_app(self, old: Application | None, new: Application | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or _concerns(old) != _concerns(new):
            self._enqueue(obj.key)

    def _follow_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or _offer(old) != _offer(new):
            self.enqueue_applications(obj.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Place an application, or say that it fits nowhere."""
        # A thousand applications that are decided on in a row must leave the others their turn.
        await asyncio.sleep(0)
        app = self._apps.get(key)
        if app is None or app.metadata.deleted is not None:
            self._failures.pop(key, None)
            return None
        if await self._lags_behind(app):
            return Result(requeue_after=SHORTEST_WAIT)
        snapshot = self._take_snapshot(key.namespace)
        if snapshot is None:
            return Result(requeue_after=UNMEASURED_WAIT)
        decision = decide(app, snapshot)
        try:
            wait = await self._carry_out(app, decision, snapshot.now)
        except NotFound:
            return None
        self._chronicle.note(app, decision, snapshot)
        return Result(None if wait is None else max(wait.total_seconds(), SHORTEST_WAIT))

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

    async def _carry_out(self, app: Application, decision: Decision, now: datetime) -> timedelta | None:
        if decision.choice is not None:
            return await self._place(app, decision, decision.choice)
        bound = app.status.scheduled_to
        if bound is None or decision.ground is Ground.LOST:
            return await self._refuse(app, decision, now)
        # A cluster that does not fit any more is better than none.
        await self._explain(app, decision, bound)
        return self._settings.reschedule_after

    def _take_snapshot(self, namespace: str | None) -> Snapshot | None:
        candidates: list[Candidate] = []
        for cluster in self._clusters.lookup(NAMESPACE, namespace):
            measurement = self._measurement(cluster)
            if measurement is None:
                return None
            candidates.append(Candidate(cluster, measurement))
        return Snapshot(self._now(), tuple(candidates), self._settings)

    async def _place(self, app: Application, decision: Decision, choice: ResourceRef) -> timedelta | None:
        self._failures.pop(app.key, None)
        if _needs_binding(app, choice):
            log.info("%s goes to %s: %s", app.ref, choice, decision.ground.value)
            former = app.status.scheduled_to
            app = await self._client.act(Application, app.key, "binding", ClusterBinding(cluster=choice))
            self._apps.expect(app.key, app.metadata.resource_version)
            if former not in (None, choice):
                told = normal("Rescheduled", f"Bound to {choice} instead of {former}: {decision.ground.value}")
                self._recorder.record(app, told)
        if decision.concern is not None:
            await self._explain(app, decision, choice)
        elif _is_ours(app.status):
            status = replace(app.status, reason=None, retries=None, scheduled_retry=None)
            await patch_status(self._client, app, status, informer=self._apps)
        return decision.settled_for

    async def _explain(self, app: Application, decision: Decision, place: ResourceRef) -> None:
        """Say why an application stays where it had better not be. Reasons of others are left alone."""
        if app.status.reason is None:
            self._recorder.record(app, warning("FailedScheduling", explain_stay(decision, place)))
        elif not _is_ours(app.status):
            return
        status = replace(app.status, reason=reason_to_stay(decision, place))
        await patch_status(self._client, app, status, informer=self._apps)

    async def _refuse(self, app: Application, decision: Decision, now: datetime) -> timedelta | None:
        lost = app.status.scheduled_to
        if lost is None and (app.status.running_on or app.status.placed_on):
            return None  # it is being cleared away where it was, and comes here again after that
        failures = 0 if lost else self._count_failures(app)
        due = app.status.scheduled_retry
        if failures == 0 or due is None or due <= now:
            self._tell_of_refusal(app, decision)
            retry = plan_retry(app.spec, app.status.retries, now, failures=failures, longest=self._settings.reschedule_after)
            waits = lost is not None or _was_unbound(app.status)
            status = replace(
                app.status,
                state=ApplicationState.PENDING if waits else ApplicationState.FAILED,
                reason=reason_to_wait(decision),
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
        if not _is_ours(app.status):
            return 0
        generation, failures = self._failures.get(app.key, (None, 0))
        if generation is not None:
            return failures if generation == app.metadata.generation else 0
        limit, left = app.spec.backoff_limit, app.status.retries
        return max(limit - left, 1) if left is not None and limit >= 0 else 1


def _concerns(app: Application) -> object:
    """What of an application a decision may depend on; the rest changes often and must not lead to a new one."""
    status, metadata = app.status, app.metadata
    placement = (status.scheduled_to, status.scheduled, status.running_on, not status.placed_on)
    handed_over = (status.kube_controller_triggered, status.migration_timeout)
    finished = status.state is ApplicationState.COMPLETED
    return metadata.generation, metadata.modified, metadata.deleted, placement, handed_over, finished


def _offer(cluster: Cluster) -> object:
    """What of a cluster a decision may depend on, besides its metrics."""
    metadata, spec = cluster.metadata, cluster.spec
    access = (metadata.deleted, spec.unschedulable, spec.drain, spec.taints, cluster.status.state)
    return metadata.labels, spec.custom_resources, spec.metrics, access


def _needs_binding(app: Application, choice: ResourceRef) -> bool:
    triggered = app.status.kube_controller_triggered
    return app.status.scheduled_to != choice or triggered is None or app.metadata.modified > triggered


def _is_ours(status: ApplicationStatus) -> bool:
    return status.reason is not None and status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE


def _was_unbound(status: ApplicationStatus) -> bool:
    """Whether an application that is bound to no cluster was handed over to one before."""
    return status.state is ApplicationState.PENDING and status.kube_controller_triggered is not None


def build(config: SchedulerConfig, client: Client, *, connect: Connect | None = None) -> Parts:
    """Return the parts of the scheduler.

    :param connect: makes the source of metrics that a provider declares, instead of the usual one.
    """
    apps, clusters = Informer(client, Application), Informer(client, Cluster)
    recorder, chronicle = Recorder(client, "scheduler"), Chronicle(client)
    meter = Meter(Sight.of(client), connect or Sources().connect, recorder, config.metrics)
    reporter = Reporter(client, clusters, meter, recorder, lambda cluster: cluster.spec.metrics)

    async def place(key: Key) -> Result | None:
        return await scheduler.reconcile(key)

    def follow_metrics(changed: frozenset[Key]) -> None:
        for cluster in reporter.users(changed):
            scheduler.enqueue_applications(cluster)

    placing = Controller("scheduler", place, config.worker_count, reads=[apps], debounce=config.debounce)
    scheduler = Scheduler(
        client,
        recorder,
        chronicle,
        apps,
        clusters,
        enqueue=placing.enqueue,
        measurement=meter.measurement,
        settings=Settings(config.stickiness, timedelta(seconds=config.reschedule_after)),
    )
    meter.on_change(follow_metrics)
    return Parts(
        informers=[apps, clusters, *meter.informers],
        controllers=[*meter.controllers, reporter.controller, placing],
        resources=[recorder, chronicle],
    )
