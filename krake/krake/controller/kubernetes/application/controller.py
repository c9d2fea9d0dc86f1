"""The application controller: has done what is next about each application, whenever it or one of its clusters changes."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from krake.adapters.fetching import Fetcher
from krake.adapters.tosca.sandbox import Sandbox
from krake.client import Client
from krake.controller.kubernetes.application import lifecycle, translation
from krake.controller.kubernetes.application.asking import Asking
from krake.controller.kubernetes.application.hooks import Materials, ShutdownCalls
from krake.controller.kubernetes.application.leaving import Leaving
from krake.controller.kubernetes.application.lifecycle import Step
from krake.controller.kubernetes.application.moving import Moving
from krake.controller.kubernetes.application.placing import Placing
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.application.sites import Connect, Sites, fingerprint
from krake.controller.kubernetes.application.translating import Translating
from krake.controller.kubernetes.application.workplace import Workplace
from krake.controller.kubernetes.destinations import connect_within
from krake.controller.runtime import Controller, Informer, Parts, Recorder, Result
from krake.data.kubernetes import Application, Cluster, ClusterState
from krake.data.metadata import Key

TIMEOUT = 10.0
"""Seconds that a cluster may take to answer."""
TRANSLATION_LIMIT = 90.0
"""Seconds that it may take to make a manifest of a template, with all that has to be fetched for it."""
COALESCE = 0.02
"""Seconds in which the changes of several objects lead to one look."""
CLUSTER = "cluster"
_SILENT = frozenset({ClusterState.DEGRADED, ClusterState.OFFLINE})
"""The states in which the cluster controller gets no answer of a cluster."""


class ApplicationController:
    """Reconciles applications; `parts` are what its process runs."""

    def __init__(
        self,
        client: Client,
        config: ApplicationControllerConfig,
        *,
        connect: Connect | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        recorder = Recorder(client, "kubernetes-application")
        self._applications = Informer(client, Application)
        self._clusters = Informer(client, Cluster)
        self._controller: Controller[Key] = Controller(
            "application", self.reconcile, config.worker_count, reads=[self._applications], debounce=config.debounce
        )
        connect = connect or connect_within(config.clusters, config, TIMEOUT)
        self._sites = Sites(connect, lambda key: self._controller.enqueue(key, COALESCE))
        self._workplace = Workplace(client, config, clock, recorder, self._applications, self._clusters, self._sites)
        self._calls = ShutdownCalls(lambda key: self._controller.enqueue(key, COALESCE), clock)
        asking = Asking(self._workplace, self._calls)
        self._leaving = Leaving(self._workplace, asking)
        self._placing = Placing(self._workplace, self._leaving, Materials(config))
        self._moving = Moving(self._workplace, self._placing, self._leaving, asking)
        self._fetcher = Fetcher(
            config.fetching.destinations,
            timeout=config.fetching.timeout,
            size_limit=config.fetching.max_size,
            forbidden=config.api_endpoint,
        )
        sandbox = Sandbox(self._fetcher, timeout=TRANSLATION_LIMIT, size_limit=config.fetching.max_size)
        self._translating = Translating(self._workplace, sandbox)
        self._applications.index(CLUSTER, _clusters_of)
        self._applications.on_change(self._see_application)
        self._clusters.on_change(self._see_cluster)

    @property
    def parts(self) -> Parts:
        """What the process consists of."""
        return Parts(
            [self._applications, self._clusters],
            [self._controller, self._translating.controller],
            resources=[self._workplace.recorder, self._sites, self._calls, self._fetcher],
        )

    def _see_application(self, old: Application | None, new: Application | None) -> None:
        if new is None:
            if old is not None:
                self._sites.forget(old.metadata.uid)
                self._workplace.attempts.pop(old.key, None)
                self._workplace.unanswered.discard(old.key)
                self._workplace.calm.forget(old.key)
                self._calls.forget(old.metadata.uid)
                self._translating.forget(old.key)
        elif lifecycle.concerns(old, new) or new.key in self._workplace.unanswered:
            self._controller.enqueue(new.key)
            self._translating.see(new)

    def _see_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        cluster = new or old
        if cluster is None:
            return
        if old is None or new is None or fingerprint(old) != fingerprint(new):
            self._sites.drop(cluster.key)
        else:
            if new.status.state in _SILENT and old.status.state is not new.status.state:
                self._sites.doubt(new)
            if old.metadata.labels == new.metadata.labels:  # overrides go by them
                return
        for app in self._applications.lookup(CLUSTER, cluster.key):
            self._controller.enqueue(app.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Do what is next about an application."""
        app = self._applications.get(key)
        if app is None:
            return None
        if translation.is_due(app):
            return None  # its manifest is being made
        app = await self._leaving.let_go(app)
        match lifecycle.next_step(app):
            case Step.DELETE:
                return await self._leaving.delete(app)
            case Step.UNBIND:
                return await self._leaving.unbind(app)
            case Step.PLACE:
                return await self._placing.place(app)
            case Step.MIGRATE:
                return await self._moving.migrate(app)
        return None


def build(config: ApplicationControllerConfig, client: Client) -> Parts:
    """Return the parts of the process."""
    return ApplicationController(client, config).parts


def _matters(cluster: Cluster) -> object:
    """What of a cluster leads to another look at the applications there, besides how it is reached."""
    return cluster.metadata.labels, cluster.metadata.deleted


def _clusters_of(app: Application) -> Iterable[Key]:
    return {ref.key for ref in (*lifecycle.places_of(app), app.status.scheduled_to) if ref is not None}
