"""The application controller: looks at an application and its clusters, does what is next, and writes what came out."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from krake.adapters.kubernetes import connect
from krake.client import Client
from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.deploy import Deployment, deploy, remove, resolve
from krake.controller.kubernetes.application.desired import Declared, InvalidManifest
from krake.controller.kubernetes.application.events import tell, tell_of_drift
from krake.controller.kubernetes.application.health import assess
from krake.controller.kubernetes.application.lifecycle import Move, Outcome, Step
from krake.controller.kubernetes.application.observe import observe
from krake.controller.kubernetes.application.services import services_of
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.sites import Connect, Sites, fingerprint
from krake.controller.runtime import (
    Controller,
    Informer,
    Parts,
    Recorder,
    Result,
    add_finalizer,
    patch_status,
    remove_finalizer,
)
from krake.data.kubernetes import Application, ApplicationStatus, Cluster, ClusterBinding
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Key, Reason, ReasonCode, ResourceRef
from krake.data.secrets import without_secrets
from krake.lib.backoff import Backoff
from krake.ports.cluster import Rejected, Unreachable, Unsupported

log = logging.getLogger(__name__)

ATTEMPTS = Backoff(1.0, 60.0)
"""Between attempts at what a cluster refuses; whatever changes leads to another one at once."""
PENDING = 0.5
"""Seconds until another look at what Kubernetes is not done with."""
COALESCE = 0.02
"""Seconds in which the changes of several objects lead to one look."""
WORK_LIMIT = 120.0
"""Seconds that the work on one application may take at once."""
CLUSTER = "cluster"


class Away(Exception):
    """A cluster can not be worked on now; the application is called for as soon as it can be.

    :param problem: why; ``None`` if that is just being found out.
    """

    def __init__(self, problem: str | None) -> None:
        super().__init__(problem)
        self.problem = problem


class ApplicationController:
    """Reconciles applications; `parts` are what its process runs."""

    def __init__(
        self,
        client: Client,
        config: ApplicationControllerConfig,
        *,
        connect: Connect = connect,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._config = config
        self._clock = clock
        self._recorder = Recorder(client, "kubernetes-application")
        self._applications = Informer(client, Application)
        self._clusters = Informer(client, Cluster)
        self._controller: Controller[Key] = Controller(
            "application", self.reconcile, config.worker_count, reads=[self._applications], debounce=config.debounce
        )
        self._sites = Sites(connect, lambda key: self._controller.enqueue(key, COALESCE))
        self._attempts: dict[Key, int] = {}
        self._applications.index(CLUSTER, _clusters_of)
        self._applications.on_change(self._see_application)
        self._clusters.on_change(self._see_cluster)

    @property
    def parts(self) -> Parts:
        """What the process consists of."""
        return Parts([self._applications, self._clusters], [self._controller], resources=[self._recorder, self._sites])

    def _see_application(self, old: Application | None, new: Application | None) -> None:
        if new is None:
            if old is not None:
                self._sites.forget(old.metadata.uid)
                self._attempts.pop(old.key, None)
        elif lifecycle.concerns(old, new):
            self._controller.enqueue(new.key)

    def _see_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        cluster = new or old
        if cluster is None or (old is not None and new is not None and fingerprint(old) == fingerprint(new)):
            return
        self._sites.drop(cluster.key)
        for app in self._applications.lookup(CLUSTER, cluster.key):
            self._controller.enqueue(app.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Do what is next about an application."""
        app = self._applications.get(key)
        if app is None:
            return None
        match lifecycle.next_step(app):
            case Step.DELETE:
                return await self._delete(app)
            case Step.PLACE:
                return await self._place(app)
            case Step.MIGRATE:
                return await self._migrate(app)
        return None

    # -- placing -------------------------------------------------------------------------------------------------------

    async def _place(self, app: Application) -> Result | None:
        app, outcome, declared = await self._attempt(app)
        now = self._clock()
        if outcome is None:
            return None  # called again once the cluster is known to answer
        app = await self._write(app, lifecycle.conclude(app, outcome, declared, now))
        app = await self._write_owners(app)
        cleaned = await self._clean(app, declared)
        if outcome.problem is not None or not cleaned:
            return self._retry(app.key)
        self._attempts.pop(app.key, None)
        if not outcome.complete:
            return Result(PENDING)
        limit = lifecycle.start_limit(app, now)
        return Result(limit) if app.status.state in (lifecycle.State.CREATING, lifecycle.State.RECONCILING) else None

    async def _migrate(self, app: Application) -> Result | None:
        now = self._clock()
        if lifecycle.has_given_up(app, now):
            await self._bind_back(app)
            return None
        limit = timedelta(seconds=self._config.migration.timeout)
        app = await self._write(app, lifecycle.start_migration(app, now, limit))
        app, outcome, declared = await self._attempt(app)
        now = self._clock()
        outcome = outcome or Outcome()
        move = lifecycle.judge_migration(app, outcome, now)
        if move is Move.SWITCH:
            app = await self._write(app, lifecycle.switch(app, outcome, declared, now))
            app = await self._write_owners(app)
            return None if await self._clean(app, declared) else self._retry(app.key)
        if move is Move.GIVE_UP:
            pause = timedelta(seconds=self._config.migration.retry.timeout)
            app = await self._write(app, lifecycle.give_up_move(app, outcome, now, pause))
            await self._bind_back(app)
            return None
        app = await self._write(app, lifecycle.wait_to_move(app, outcome))
        return Result(max(0.0, min(lifecycle.migration_limit(app, now), PENDING if not outcome.complete else 60.0)))

    async def _bind_back(self, app: Application) -> None:
        assert app.status.running_on is not None
        bound = await self._client.act(Application, app.key, "binding", ClusterBinding(cluster=app.status.running_on))
        self._applications.expect(bound.key, bound.metadata.resource_version)

    async def _attempt(self, app: Application) -> tuple[Application, Outcome | None, list[Declared]]:
        """Make everything so on the cluster that the application is bound to.

        Returns no outcome if it is not known yet whether the cluster answers.
        """
        target = app.status.scheduled_to
        assert target is not None
        try:
            site = self._enter(target, app.key)
        except Away as away:
            return app, _unreachable(away.problem) if away.problem else None, []
        try:
            async with asyncio.timeout(WORK_LIMIT):
                return await self._work(app, site)
        except Unreachable as error:
            site.lose(error)
            await self._applications.catch_up(app.key)
            return self._applications.get(app.key) or app, _unreachable(str(error)), []
        finally:
            site.leave()

    async def _work(self, app: Application, site: Site) -> tuple[Application, Outcome, list[Declared]]:
        if not app.spec.manifest:
            message = "Applications of TOSCA templates and CSAR archives can not be created yet; declare a manifest."
            return app, _failure(ReasonCode.INVALID_TOSCA_MANIFEST, message), []
        try:
            declared = await resolve(app, app.spec.manifest, site)
        except InvalidManifest as error:
            return app, _failure(error.code, str(error)), []
        except Unsupported as error:
            return app, _failure(ReasonCode.UNSUPPORTED_RESOURCE, str(error)), []
        except Rejected as error:
            return app, _failure(ReasonCode.KUBERNETES_ERROR, str(error), passing=error.passing), []
        app = await add_finalizer(self._client, app, KUBERNETES_RESOURCES_DELETION, informer=self._applications)
        app = await self._write(app, lifecycle.begin(app, declared, [each.schema for each in declared]))
        site.follow(app.metadata.uid, app.key, {each.identity.type for each in declared})
        deployment = await deploy(app, site, declared)
        self._recorder.record(app, *tell_of_drift(app, deployment.corrected))
        return app, _judge(app, site, deployment), deployment.declared

    async def _clean(self, app: Application, declared: list[Declared]) -> bool:
        """Delete what is left on clusters that the application has nothing to do with any more; true once nothing is."""
        places = lifecycle.left_behind(app)
        gone = [place for place in places if not (await self._remove_from(place, app))[0]]
        if gone:
            await self._write(app, lifecycle.cleaned(app, gone, declared))
        return len(gone) == len(places)

    # -- deleting ------------------------------------------------------------------------------------------------------

    async def _delete(self, app: Application) -> Result | None:
        app = await self._write(app, lifecycle.deleting(app, app.status.reason))
        left, problem = False, None
        for place in lifecycle.places_of(app):
            remains, reason = await self._remove_from(place, app)
            left, problem = left or remains, problem or reason
        if not left:
            app = await self._write(app, lifecycle.deleted(app))
            await remove_finalizer(self._client, app, KUBERNETES_RESOURCES_DELETION, informer=self._applications)
            return None
        app = await self._write(app, lifecycle.deleting(app, problem))
        return self._retry(app.key) if problem else Result(PENDING)

    async def _remove_from(self, place: ResourceRef, app: Application) -> tuple[bool, Reason | None]:
        """Delete all objects of an application on a cluster; returns whether some are left, and why."""
        if self._find(place, app.key) is None:
            return False, None  # it was unregistered: there is no way to reach it any more
        try:
            site = self._enter(place, app.key)
        except Away as away:
            return True, _unreachable(away.problem).problem if away.problem else None
        try:
            async with asyncio.timeout(WORK_LIMIT):
                left, problems = await remove(site, lifecycle.recorded_of(app), app.metadata.uid)
        except Unreachable as error:
            site.lose(error)
            return True, _unreachable(str(error)).problem
        finally:
            site.leave()
        if not left:
            site.forget(app.metadata.uid)
        return bool(left), problems[0] if problems else None

    # -- both ----------------------------------------------------------------------------------------------------------

    def _enter(self, place: ResourceRef, key: Key) -> Site:
        """Begin to work on a cluster; `Site.leave` it after that. Raises `Away`."""
        cluster = self._find(place, key)
        if cluster is None:
            raise Away(f"There is no {place} (any more) in the namespace of the application.")
        if not cluster.spec.kubeconfig:
            raise Away(f"{place} can not be reached before it has a kubeconfig.")
        try:
            site = self._sites.open(cluster)
        except Unreachable as error:
            raise Away(str(error)) from None
        if not site.enter(key):
            raise Away(site.problem)
        return site

    def _find(self, place: ResourceRef, key: Key) -> Cluster | None:
        # A status can name any cluster, but nobody works by means of their applications on the clusters of others.
        return self._clusters.get(place.key) if place.namespace == key.namespace else None

    def _retry(self, key: Key) -> Result:
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return Result(ATTEMPTS.delay(self._attempts[key], random.uniform(0.2, 1.0)))

    async def _write(self, app: Application, status: ApplicationStatus) -> Application:
        if status.reason is not None and status.reason != app.status.reason:
            # Kubernetes quotes what it does not like.
            message = without_secrets(status.reason.message, app.spec)
            status = replace(status, reason=replace(status.reason, message=message))
        after = await patch_status(self._client, app, status, informer=self._applications)
        self._recorder.record(after, *tell(app, after))
        return after

    async def _write_owners(self, app: Application) -> Application:
        owners = lifecycle.owners_of(app)
        if owners == app.metadata.owners:
            return app
        metadata = {"owners": [owner.serialize() for owner in owners], "resource_version": app.metadata.resource_version}
        app = await self._client.patch(Application, app.key, {"metadata": metadata})
        self._applications.expect(app.key, app.metadata.resource_version)
        return app


def build(config: ApplicationControllerConfig, client: Client) -> Parts:
    """Return the parts of the process."""
    return ApplicationController(client, config).parts


def _judge(app: Application, site: Site, deployment: Deployment) -> Outcome:
    declared = deployment.declared
    live = [deployment.live[each.identity] for each in declared if each.identity in deployment.live]
    observed = [observe(each.schema, deployment.live[each.identity]) for each in declared if each.identity in deployment.live]
    problem = deployment.problem
    return Outcome(
        problem=problem,
        passing=not deployment.refused,
        complete=problem is None and not deployment.pending and len(live) == len(declared),
        health=assess(live, site.pods_of(app.metadata.uid)),
        services=services_of((each.identity for each in declared), deployment.live, site.connection.host),
        observed=observed,
    )


def _clusters_of(app: Application) -> Iterable[Key]:
    return {ref.key for ref in (*lifecycle.places_of(app), app.status.scheduled_to) if ref is not None}


def _unreachable(message: str) -> Outcome:
    return Outcome(problem=Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message=message), unreachable=True)


def _failure(code: ReasonCode, message: str, *, passing: bool = False) -> Outcome:
    return Outcome(problem=Reason(code=code, message=message), passing=passing)
