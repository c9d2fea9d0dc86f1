"""Everything by which clusters come to be and go: binding to clouds and projects, creation for applications, and retention."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from krake.client import Client
from krake.controller.runtime import Controller, Informer, Recorder
from krake.controller.scheduler.deciding.decide import Decision
from krake.controller.scheduler.deciding.inheritance import metrics_of
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Settings, Snapshot
from krake.controller.scheduler.explaining.chronicle import Chronicle
from krake.controller.scheduler.metrics.measuring import metric_key
from krake.controller.scheduler.metrics.meter import Meter
from krake.controller.scheduler.metrics.reporting import Reporter
from krake.controller.scheduler.provisioning.clouds import CloudHosting
from krake.controller.scheduler.provisioning.creator import Creator, Outlook
from krake.controller.scheduler.provisioning.hosting import HOST, declared
from krake.controller.scheduler.provisioning.projects import ProjectHosting
from krake.controller.scheduler.provisioning.retention import Places, Retention
from krake.controller.scheduler.provisioning.template import TemplateFile
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key
from krake.data.infrastructure import Cloud, GlobalCloud
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster, Project


class Provisioning:
    """Runs beside the placing of applications, and is asked by it.

    :param ledger: knows the quotas.
    :param places: is told of clusters that are about to go.
    :param enqueue: has an application reconciled.
    :param changed: is told of a cluster that inherits something else than before.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        chronicle: Chronicle,
        meter: Meter,
        apps: Informer[Application],
        clusters: Informer[Cluster],
        *,
        config: SchedulerConfig,
        ledger: Ledger,
        places: Places,
        settings: Settings,
        enqueue: Callable[[Key], None],
        changed: Callable[[Key], None],
    ) -> None:
        self._clusters = clusters
        self._changed = changed
        self._clouds, self._global_clouds = Informer(client, Cloud), Informer(client, GlobalCloud)
        self._projects, self._magnum = Informer(client, Project), Informer(client, MagnumCluster)
        self._template = TemplateFile(config.automatic_cluster_creation)
        retention = timedelta(seconds=config.automatic_cluster_creation.deletion_retention)
        workers = config.worker_count

        def controller(name: str, work: Callable[[Key], Any], reads: Informer[Any]) -> Controller[Key]:
            return Controller(name, work, workers, reads=[reads], debounce=config.debounce)

        in_clouds = controller("clouds", lambda key: self.hosting.reconcile(key), clusters)
        in_projects = controller("projects", lambda key: projects.reconcile(key), self._magnum)
        leaving = controller("retention", lambda key: keeper.reconcile(key), clusters)
        self.hosting = CloudHosting(
            client,
            recorder,
            chronicle,
            clusters,
            self._clouds,
            self._global_clouds,
            enqueue=in_clouds.enqueue,
            measure=meter.measure,
            ledger=ledger,
            settings=settings,
        )
        projects = ProjectHosting(
            client,
            recorder,
            chronicle,
            self._magnum,
            self._projects,
            enqueue=in_projects.enqueue,
            measure=meter.measure,
            settings=settings,
        )
        self._creator = Creator(
            client,
            recorder,
            apps,
            clusters,
            self.hosting,
            enqueue=enqueue,
            measure=meter.measure,
            template=lambda: self._template.template,
            patience=retention,
        )
        keeper = Retention(client, recorder, apps, clusters, enqueue=leaving.enqueue, places=places, retention=retention)
        hosts: list[Informer[Any]] = [self._clouds, self._global_clouds, self._projects]
        self._reporters = [Reporter(client, each, meter, recorder, metrics_of, workers=1) for each in hosts]
        self._controllers = [in_clouds, in_projects, leaving, *(each.controller for each in self._reporters)]
        for clouds in hosts[:2]:
            clouds.on_change(self._creator.follow_cloud)
            clouds.on_change(self._follow_cloud)
        for follow in (self.hosting.follow_metrics, projects.follow_metrics, self._creator.follow_metrics):
            meter.on_change(follow)
        meter.on_change(self._follow_metrics)

    @property
    def informers(self) -> Sequence[Informer[Any]]:
        """What it sees the world by, besides applications and clusters."""
        return self._clouds, self._global_clouds, self._projects, self._magnum

    @property
    def controllers(self) -> Sequence[Controller[Key]]:
        """What works for it."""
        return self._controllers

    @property
    def resources(self) -> Sequence[AbstractAsyncContextManager[Any]]:
        """What must be entered before."""
        return (self._template,)

    def effective(self, cluster: Cluster) -> Cluster:
        """Return a cluster with the labels and metrics that it inherits from its cloud."""
        return self.hosting.effective(cluster)

    async def consider(self, app: Application, decision: Decision, snapshot: Snapshot) -> Outlook:
        """Have a cluster created for an application if that is better than what was decided; see `Creator.consider`."""
        return await self._creator.consider(app, decision, snapshot)

    def _follow_cloud(self, old: Cloud | GlobalCloud | None, new: Cloud | GlobalCloud | None) -> None:
        obj = new or old
        assert obj is not None
        if old is None or new is None or declared(old) != declared(new):
            self._tell_heirs(obj)

    def _follow_metrics(self, metrics: frozenset[Key]) -> None:
        for informer in (self._clouds, self._global_clouds):
            for cloud in informer.objects.values():
                if any(metric_key(cloud.metadata.namespace, ref) in metrics for ref in metrics_of(cloud)):
                    self._tell_heirs(cloud)

    def _tell_heirs(self, cloud: Cloud | GlobalCloud) -> None:
        for cluster in self._clusters.lookup(HOST, cloud.ref):
            self._changed(cluster.key)
