"""The cluster controller: keeps a watch on each registered cluster, and writes how it is."""

import asyncio
from functools import partial
from typing import Self

from krake.client import Client
from krake.controller.kubernetes.cluster.condition import Outage, conclude
from krake.controller.kubernetes.cluster.events import tell
from krake.controller.kubernetes.cluster.retrying import Retrying
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.kubernetes.cluster.watching import ClusterWatch, Connect, Pace
from krake.controller.kubernetes.destinations import connect_within
from krake.controller.runtime import Controller, Informer, Parts, Recorder, Result, patch_status
from krake.data.kubernetes import Cluster, ClusterState
from krake.data.metadata import Key

TIMEOUT = 5.0
"""Seconds that a cluster may take to answer."""


class ClusterController:
    """Reconciles clusters; `parts` are what its process runs. Use it as an asynchronous context manager."""

    def __init__(self, client: Client, config: ClusterControllerConfig, *, connect: Connect | None = None) -> None:
        self._client = client
        self._pace = Pace(config.patience, config.report_interval)
        self._connect = connect or connect_within(config.clusters, config, TIMEOUT)
        self._recorder = Recorder(client, "kubernetes-cluster")
        self._clusters = Informer(client, Cluster)
        self._controller: Controller[Key] = Controller(
            "cluster", self.reconcile, config.worker_count, reads=[self._clusters], debounce=config.debounce
        )
        self._watches: dict[Key, tuple[Cluster, ClusterWatch]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._clusters.on_change(self._see)

    @property
    def parts(self) -> Parts:
        """What the process consists of."""
        return Parts([self._clusters], [self._controller], resources=[self._recorder, self])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for key in list(self._watches):
            self._stop(key)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _see(self, old: Cluster | None, new: Cluster | None) -> None:
        for cluster in (old, new):
            if cluster is not None:
                self._controller.enqueue(cluster.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Watch a cluster as it is registered now, and write what was seen of it."""
        cluster = self._clusters.get(key)
        if cluster is None or not cluster.spec.kubeconfig:
            self._stop(key)
            return None
        watch = self._watch(cluster)
        if watch.seen is not None:
            after = await patch_status(self._client, cluster, conclude(cluster, watch.seen), informer=self._clusters)
            self._recorder.record(after, *tell(cluster, after))
        return None

    def _watch(self, cluster: Cluster) -> ClusterWatch:
        known = self._watches.get(cluster.key)
        if known is not None and not _must_begin_anew(*known, cluster):
            return known[1]
        self._stop(cluster.key)
        call = partial(self._controller.enqueue, cluster.key)
        retrying = _retrying_of(cluster, self._pace.patience)
        watch = ClusterWatch(cluster.spec.kubeconfig, self._connect, call, self._pace, retrying, cluster.status.state)
        self._watches[cluster.key] = cluster, watch
        return watch

    def _stop(self, key: Key) -> None:
        known = self._watches.pop(key, None)
        if known is not None:
            task = asyncio.create_task(known[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def build(config: ClusterControllerConfig, client: Client) -> Parts:
    """Return the parts of the process."""
    return ClusterController(client, config).parts


def _must_begin_anew(before: Cluster, watch: ClusterWatch, cluster: Cluster) -> bool:
    """Whether it is another cluster now, or its user has changed something about one that is in trouble."""
    if before.metadata.uid != cluster.metadata.uid or before.spec.kubeconfig != cluster.spec.kubeconfig:
        return True
    changed = before.metadata.generation != cluster.metadata.generation
    return _backoff_of(before) != _backoff_of(cluster) or (changed and isinstance(watch.seen, Outage))


def _backoff_of(cluster: Cluster) -> tuple[int, int, int]:
    return cluster.spec.backoff, cluster.spec.backoff_delay, cluster.spec.backoff_limit


def _retrying_of(cluster: Cluster, patience: float) -> Retrying:
    """Go on where another process has stopped, unless the cluster was changed since."""
    status, limit = cluster.status, cluster.spec.backoff_limit
    in_trouble = status.state in (ClusterState.DEGRADED, ClusterState.OFFLINE)
    goes_on = in_trouble and limit > 0 and status.observed_generation == cluster.metadata.generation
    used = max(limit - status.retries, 0) if goes_on else 0
    return Retrying(*_backoff_of(cluster), patience, used)
