"""The cluster controller: keeps a watch on the nodes of each registered cluster, and writes how the cluster is."""

import asyncio
from functools import partial
from typing import Self

from krake.adapters import kubernetes
from krake.client import Client
from krake.controller.kubernetes.cluster.condition import conclude
from krake.controller.kubernetes.cluster.events import tell
from krake.controller.kubernetes.cluster.nodes import Connect, NodeWatch
from krake.controller.runtime import Controller, ControllerConfig, Informer, Parts, Recorder, Result, patch_status
from krake.data.kubernetes import Cluster
from krake.data.metadata import Key

TIMEOUT = 5.0
"""Seconds that a cluster may take to answer."""


class ClusterController:
    """Reconciles clusters; `parts` are what its process runs. Use it as an asynchronous context manager."""

    def __init__(self, client: Client, config: ControllerConfig, *, connect: Connect | None = None) -> None:
        self._client = client
        self._connect = connect or partial(kubernetes.connect, timeout=TIMEOUT)
        self._recorder = Recorder(client, "kubernetes-cluster")
        self._clusters = Informer(client, Cluster)
        self._controller: Controller[Key] = Controller(
            "cluster", self.reconcile, config.worker_count, reads=[self._clusters], debounce=config.debounce
        )
        self._watches: dict[Key, tuple[object, NodeWatch]] = {}
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

    def _watch(self, cluster: Cluster) -> NodeWatch:
        mark = cluster.metadata.uid, cluster.spec.kubeconfig
        known = self._watches.get(cluster.key)
        if known is not None and known[0] == mark:
            return known[1]
        self._stop(cluster.key)
        watch = NodeWatch(cluster.spec.kubeconfig, self._connect, partial(self._controller.enqueue, cluster.key))
        self._watches[cluster.key] = mark, watch
        return watch

    def _stop(self, key: Key) -> None:
        known = self._watches.pop(key, None)
        if known is not None:
            task = asyncio.create_task(known[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def build(config: ControllerConfig, client: Client) -> Parts:
    """Return the parts of the process."""
    return ClusterController(client, config).parts
