"""The Magnum controller: brings clusters at Magnum to what is declared, one short round at a time."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from krake.adapters.openstack.magnum import MagnumConnector
from krake.adapters.outgoing import Outgoing
from krake.client import Client
from krake.controller.infrastructure.checking import Checker, Pace
from krake.controller.magnum import lifecycle
from krake.controller.magnum.events import tell, tell_of_login
from krake.controller.magnum.lifecycle import (
    Action,
    Create,
    Delete,
    Hold,
    Look,
    Publish,
    Release,
    Resize,
    Settings,
    Step,
    Withdraw,
)
from krake.controller.magnum.naming import name_cluster
from krake.controller.magnum.outages import Outages
from krake.controller.magnum.publishing import Publisher
from krake.controller.magnum.settings import MagnumConfig
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
from krake.data.kubernetes import ClusterState
from krake.data.metadata import MAGNUM_CLUSTER_DELETION, Key, Reason, ReasonCode
from krake.data.openstack import MagnumCluster, MagnumClusterState, MagnumClusterStatus, Project
from krake.ports import infrastructure as errors
from krake.ports.infrastructure import InfrastructureError
from krake.ports.magnum import Connector, Magnum, Sight

PROJECT = "project"
"""Index of the Magnum clusters by their project."""


class MagnumController:
    """Reconciles Magnum clusters; `parts` are what its process runs."""

    def __init__(
        self,
        client: Client,
        config: MagnumConfig,
        *,
        connector: Connector | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._config = config
        self._settings = Settings(
            config.poll_interval,
            config.observe_interval,
            config.creation_timeout,
            config.creation_attempts,
            config.settle_time,
        )
        self._connector = connector or _connect(config)
        self._now = now
        self._recorder = Recorder(client, "magnum")
        self._publisher = Publisher(client, now)
        self._outages = Outages(config.poll_interval, config.openstack.timeout)
        self._clusters = Informer(client, MagnumCluster)
        self._projects = Informer(client, Project)
        self._controller: Controller[Key] = Controller(
            "magnum",
            self.reconcile,
            config.worker_count,
            reads=[self._clusters],
            debounce=config.debounce,
            share=self._project_of,
        )
        pace = Pace(config.check_interval, 2 * config.openstack.timeout)
        self._checker = Checker(client, self._projects, self._recorder, self._check_project, pace)
        self._clusters.index(PROJECT, lambda each: filter(None, [each.status.project]))
        self._clusters.on_change(self._follow_cluster)
        self._projects.on_change(self._follow_project)

    @property
    def parts(self) -> Parts:
        """What the process consists of."""
        controllers = [self._controller, *self._checker.controllers]
        return Parts([self._clusters, self._projects], controllers, resources=[self._recorder, self._connector])

    async def _check_project(self, project: Project) -> None:
        await self._connector.check(project.key, project.spec)

    def _project_of(self, key: Key) -> Key | None:
        cluster = self._clusters.get(key)
        project = None if cluster is None else cluster.status.project
        return None if project is None else project.key

    def _follow_cluster(self, old: MagnumCluster | None, new: MagnumCluster | None) -> None:
        # What this controller has written itself is no news; it knows when to look again.
        if new is None or old is None or _declared(old) != _declared(new):
            cluster = new or old
            assert cluster is not None
            self._outages.forget(cluster.key)
            self._controller.enqueue(cluster.key)

    def _follow_project(self, old: Project | None, new: Project | None) -> None:
        project = new or old
        assert project is not None
        if old is None or new is None or old.spec != new.spec:
            self._outages.reopen(project.key)
            for cluster in self._clusters.lookup(PROJECT, project.ref):
                self._outages.forget(cluster.key)
                self._controller.enqueue(cluster.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Look at a cluster, and take the next step."""
        cluster = self._clusters.get(key)
        if cluster is None or cluster.status.project is None:
            if cluster is not None and cluster.metadata.deleted is not None:
                await self._take(cluster, None, lifecycle.plan(cluster, Look(), self._now(), self._settings))
            return None
        project = self._projects.get(cluster.status.project.key)
        # Those of other namespaces are not for it, whoever has written its status.
        if project is None or project.metadata.namespace != cluster.metadata.namespace:
            return await self._miss_project(cluster)
        if (known := self._outages.of(project.key)) is not None:
            return await self._postpone(cluster, known)
        try:
            magnum = self._connector.connect(project.key, project.spec)
            look = replace(await self._look(cluster, magnum), project_modified=project.metadata.modified)
        except InfrastructureError as error:
            self._outages.note(project.key, error)
            return await self._postpone(cluster, error)
        self._outages.recover(project.key)
        step = lifecycle.plan(cluster, look, self._now(), self._settings)
        return await self._take(cluster, magnum, step)

    async def _miss_project(self, cluster: MagnumCluster) -> Result:
        if cluster.metadata.deleted is not None and cluster.status.state is MagnumClusterState.PENDING:
            step = lifecycle.plan(cluster, Look(), self._now(), self._settings)
            return await self._take(cluster, None, step) or Result()
        told = f"{cluster.status.project} is gone: declare it again, so that what is in OpenStack can be reached."
        reason = Reason(code=ReasonCode.OPENSTACK_ERROR, message=told)
        await self._store(cluster, replace(cluster.status, reason=reason))
        return Result()

    async def _look(self, cluster: MagnumCluster, magnum: Magnum) -> Look:
        status, found = cluster.status, list[Sight]()
        if status.state is MagnumClusterState.PENDING and cluster.metadata.deleted is None:
            return Look()
        if lifecycle.seeks_by_name(cluster):
            found += await magnum.find(name_cluster(cluster))
        if status.cluster_id is not None and status.cluster_id not in {each.id for each in found}:
            with suppress(errors.NotFound):
                seen = await magnum.observe(status.cluster_id)
                # Nobody gets the keys of another cluster by writing its id into a status.
                found += [seen] if seen.name in (None, name_cluster(cluster)) else []
        if found and cluster.metadata.deleted is None:
            return Look(found)
        resource = await self._publisher.find(cluster)
        lost = resource is None or resource.status.state in (ClusterState.OFFLINE, ClusterState.PENDING)
        return Look(found, answers=not lost, resource=resource is not None)

    async def _take(self, cluster: MagnumCluster, magnum: Magnum | None, step: Step) -> Result | None:
        """Store the intent, act, store the outcome."""
        cluster = await self._store(cluster, step.status)
        if step.action is None:
            return _again(step.again)
        try:
            status = await self._act(cluster, magnum, step.action)
        except InfrastructureError as error:
            settled = lifecycle.settle(cluster.status, step.action, error, self._now())
            await self._store(cluster, settled)
            if settled.state is not MagnumClusterState.FAILED:
                return Result(self._outages.delay(cluster.key))
            return _again(step.again)
        if status is not None:
            await self._store(cluster, status)
        self._outages.forget(cluster.key)
        return _again(step.again)

    async def _act(self, cluster: MagnumCluster, magnum: Magnum | None, action: Action) -> MagnumClusterStatus | None:
        """Do what a step says; returns the status that comes of it, if it is not as it was."""
        match action:
            case Hold():
                await add_finalizer(self._client, cluster, MAGNUM_CLUSTER_DELETION, informer=self._clusters)
            case Release():
                await remove_finalizer(self._client, cluster, MAGNUM_CLUSTER_DELETION, informer=self._clusters)
            case Withdraw():
                await self._publisher.withdraw(cluster)
            case _:
                assert magnum is not None
                return await self._ask(cluster, magnum, action)
        return None

    async def _ask(self, cluster: MagnumCluster, magnum: Magnum, action: Action) -> MagnumClusterStatus | None:
        match action:
            case Create(order):
                found = await magnum.orchestrator(order.template)
                if found != "kubernetes":
                    return lifecycle.refuse_template(cluster.status, found, self._now())
                return lifecycle.settle(cluster.status, action, await magnum.create(order), self._now())
            case Resize(id, node_count):
                await magnum.resize(id, node_count)
            case Delete(ids):
                for id in ids:
                    await magnum.delete(id)
            case Publish(sight):
                if await self._publisher.publish(cluster, magnum, str(sight.api_address)):
                    self._recorder.record(cluster, tell_of_login(cluster))
        return None

    async def _postpone(self, cluster: MagnumCluster, error: InfrastructureError) -> Result:
        await self._store(cluster, lifecycle.trouble(cluster.status, error))
        return Result(self._outages.delay(cluster.key))

    async def _store(self, cluster: MagnumCluster, status: MagnumClusterStatus) -> MagnumCluster:
        after = await patch_status(self._client, cluster, status, informer=self._clusters)
        self._recorder.record(after, *tell(cluster, after))
        return after


def _again(seconds: float | None) -> Result:
    # Those that began together need not be looked at together for ever.
    return Result(None if seconds is None else seconds * random.uniform(0.9, 1.1))


def _declared(cluster: MagnumCluster) -> object:
    metadata, status = cluster.metadata, cluster.status
    pending = status.state is MagnumClusterState.PENDING
    return metadata.generation, metadata.labels, metadata.deleted, metadata.finalizers, status.project, pending


def _connect(config: MagnumConfig) -> Connector:
    openstack = config.openstack
    outgoing = Outgoing(openstack.destinations, "openstack.allow", openstack.timeout, config.api_endpoint)
    return MagnumConnector(outgoing)


def build(config: MagnumConfig, client: Client) -> Parts:
    """Return the parts of the process."""
    return MagnumController(client, config).parts
