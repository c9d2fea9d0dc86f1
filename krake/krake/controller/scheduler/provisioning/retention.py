"""Deletes clusters that were created for applications, some time after the last one has left."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from krake.client import Client, NotFound
from krake.controller.runtime import Informer, Recorder, Result, patch_status
from krake.controller.scheduler.provisioning.creation import is_created, remaining
from krake.data import Key, ResourceRef
from krake.data.events import normal
from krake.data.kubernetes import Application, Cluster

log = logging.getLogger(__name__)

OCCUPIED_WAIT = 1.0
"""Seconds after which it is looked again whether somebody who was about to come to a cluster is seen there."""
USES = "uses"
"""Index of the applications by the clusters that they use."""


class Places(Protocol):
    """Gives applications their places on clusters."""

    def close(self, cluster: ResourceRef) -> bool:
        """Give nobody a place on a cluster any more; false if somebody has one already, and nothing is closed."""

    def reopen(self, cluster: ResourceRef) -> None:
        """Give places there again."""


def clusters_of(app: Application) -> Iterator[ResourceRef]:
    """Yield the clusters that an application is bound to, has something on, or waits for."""
    status = app.status
    yield from (each for each in (status.scheduled_to, status.running_on, *status.placed_on) if each is not None)
    if status.auto_cluster_create_started is not None and app.metadata.deleted is None:
        yield Cluster.definition.ref(Key(app.metadata.namespace, status.auto_cluster_create_started))


class Retention:
    """Reconciles clusters: those that were created for applications go when nobody has used them for a while.

    Since when a cluster is idle stands in its status, so that a restart of the scheduler does not prolong its life.

    :param enqueue: has a cluster reconciled.
    :param places: is told of clusters that are about to go, so that nobody is given a place there any more.
    :param retention: for how long an idle cluster is kept.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        apps: Informer[Application],
        clusters: Informer[Cluster],
        *,
        enqueue: Callable[[Key], None],
        places: Places,
        retention: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._apps = apps
        self._clusters = clusters
        self._enqueue = enqueue
        self._places = places
        self._retention = retention
        self._now = now
        apps.index(USES, clusters_of)
        apps.on_change(self._follow_app)
        clusters.on_change(self._follow_cluster)

    async def reconcile(self, key: Key) -> Result | None:
        """Note whether a cluster is used, and delete it if it has not been for long enough."""
        cluster = self._clusters.get(key)
        if cluster is None or cluster.metadata.deleted is not None or not is_created(cluster):
            return None
        if self._apps.lookup(USES, cluster.ref):
            await self._note(cluster, None)
            return None
        now = self._now()
        rest = remaining(cluster, now, self._retention)
        if rest is None:
            await self._note(cluster, now)
            return Result(0.0)
        if rest > timedelta():
            return Result(rest.total_seconds())
        return await self._delete(cluster)

    async def _note(self, cluster: Cluster, idle_since: datetime | None) -> None:
        status = replace(cluster.status, idle_since=idle_since)
        await patch_status(self._client, cluster, status, informer=self._clusters)

    async def _delete(self, cluster: Cluster) -> Result | None:
        if not self._places.close(cluster.ref):
            return Result(OCCUPIED_WAIT)
        deleted = False
        try:
            # Those that others have bound may not be seen yet. Should one come after this, it is moved before the cluster goes.
            apps = await self._client.list(Application, cluster.metadata.namespace)
            if any(cluster.ref in clusters_of(app) for app in apps.items):
                await self._note(cluster, None)
                return None
            log.info("%s is deleted: no application uses it since %s.", cluster.ref, cluster.status.idle_since)
            told = normal("Idle", f"No application has used it for {self._retention.total_seconds():g} s; it is deleted.")
            self._recorder.record(cluster, told)
            with contextlib.suppress(NotFound):
                await self._client.delete(Cluster, cluster.key)
            deleted = True
        finally:
            if not deleted:
                self._places.reopen(cluster.ref)
        return None

    def _follow_app(self, old: Application | None, new: Application | None) -> None:
        before, after = (frozenset(clusters_of(app)) if app is not None else frozenset() for app in (old, new))
        for ref in before ^ after:
            self._enqueue(ref.key)

    def _follow_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        if new is not None and is_created(new):
            self._enqueue(new.key)
