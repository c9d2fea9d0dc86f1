"""Has clusters created for applications that fit nowhere, or better on a cloud.

The name of the cluster is stored in the status of the application first, and whoever finds it there goes on from it: a crash
between any two steps neither makes a second cluster nor loses the first one. For which application a cluster was created makes
no difference afterwards: all that fit there wait for it, and any may use it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from krake.client import AlreadyExists, Client
from krake.controller.runtime import Informer, Recorder, Result, patch_status
from krake.controller.runtime.view import version_of
from krake.controller.scheduler.deciding.decide import Decision, Ground
from krake.controller.scheduler.deciding.hosts import CREATION_RULES, explain_refusals
from krake.controller.scheduler.deciding.snapshot import Candidate, Snapshot
from krake.controller.scheduler.provisioning.clouds import CREATED, PLURAL, CloudHosting
from krake.controller.scheduler.provisioning.creation import (
    Template,
    as_online,
    find_better,
    given_up_at,
    is_coming,
    is_new,
    make_cluster,
    name_of,
    stand_in,
)
from krake.controller.scheduler.provisioning.hosting import UNMEASURED_WAIT, Measure, offered
from krake.data import Key
from krake.data.events import normal
from krake.data.infrastructure import Cloud, GlobalCloud
from krake.data.kubernetes import Application, ApplicationState, Cluster

log = logging.getLogger(__name__)

AUTOMATIC = "automatic"
"""Index of the applications that ask for clusters to be created, by namespace."""
WAIT = 30.0
"""Seconds after which an application that waits for a cluster is looked at again, should nothing change."""

_HOLDING = frozenset({Ground.RECENT, Ground.COOLING, Ground.AWAITED})
"""The grounds on which an application stays for a while only."""


@dataclass(frozen=True)
class Outlook:
    """What there is to be done about an application besides what was decided.

    :param result: when to look at it again, as the decision is not to be carried out; ``None`` if it is.
    :param hindrance: why no cluster can be created for it, although it asks for that and fits nowhere.
    :param awaits: whether it waits for a cluster that is being created.
    :param rest: seconds after which that hindrance may be over.
    """

    result: Result | None = None
    hindrance: str | None = None
    awaits: bool = False
    rest: float | None = None


@dataclass(frozen=True)
class _Prospects:
    """The clusters that an application may wait for, as they will be, or why there is no new one among them."""

    clusters: Sequence[Candidate]
    hindrance: str | None = None


class Creator:
    """Knows which clusters are in the making, and has more of them made.

    :param hosting: chooses the clouds.
    :param enqueue: has an application reconciled.
    :param template: returns by what clusters are created; ``None`` if they are not.
    :param patience: for how long a created cluster that does not work is waited for.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        apps: Informer[Application],
        clusters: Informer[Cluster],
        hosting: CloudHosting,
        *,
        enqueue: Callable[[Key], None],
        measure: Measure,
        template: Callable[[], Template | None],
        patience: timedelta,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._apps = apps
        self._clusters = clusters
        self._hosting = hosting
        self._enqueue = enqueue
        self._measure = measure
        self._template = template
        self._patience = patience
        self._made: dict[Key, Cluster] = {}
        """Clusters that are being created, until they are seen, or seen to be gone."""
        apps.index(AUTOMATIC, lambda app: [app.key.namespace] if app.spec.auto_cluster_create else [])
        clusters.on_change(self._follow_cluster)

    async def consider(self, app: Application, decision: Decision, snapshot: Snapshot) -> Outlook:
        """Have an application wait for a cluster, and the cluster made, if that is better than what was decided.

        An application that is placed stays meanwhile, and decisions on it are carried out.
        """
        if app.status.scheduled_to is None and (app.status.running_on or app.status.placed_on):
            return Outlook()  # it is being cleared away where it was, and comes here again after that
        if not app.spec.auto_cluster_create:
            return Outlook(await self._forget(app))
        prospects = self._find_prospects(app, snapshot)
        if prospects is None:
            return Outlook(Result(UNMEASURED_WAIT))
        better = find_better(app, decision, snapshot, prospects.clusters)
        if better is None:
            keeps = _keeps_intent(app, decision)
            rest = self._hosting.rest(app.metadata.namespace) if prospects.hindrance else None
            return Outlook(None if keeps else await self._forget(app), prospects.hindrance, rest=rest)
        if is_new(better):
            return Outlook(await self._await_new(app), awaits=True)
        return Outlook(await self._await(app, better.name, self._wait_for(better.key, snapshot.now)), awaits=True)

    def follow_metrics(self, metrics: frozenset[Key]) -> None:
        """Have the applications reconciled to which some metrics may matter."""
        for namespace in {key.namespace for key in metrics}:
            self._enqueue_automatic(namespace)

    def follow_cloud(self, old: Cloud | GlobalCloud | None, new: Cloud | GlobalCloud | None) -> None:
        """Have the applications reconciled to which a cloud may matter."""
        obj = new or old
        assert obj is not None
        if old is None or new is None or offered(old) != offered(new):
            self._enqueue_automatic(obj.metadata.namespace)

    def _enqueue_automatic(self, namespace: str | None) -> None:
        namespaces = [namespace] if namespace else {key.namespace for key in self._apps.objects}
        for each in namespaces:
            for app in self._apps.lookup(AUTOMATIC, each):
                self._enqueue(app.key)

    def _follow_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        if new is not None:
            self._made.pop(new.key, None)

    def _find_prospects(self, app: Application, snapshot: Snapshot) -> _Prospects | None:
        """Return what there is to wait for; ``None`` if something has yet to be measured for that."""
        coming = self._find_coming(app.metadata.namespace, snapshot)
        prospects = [as_online(self._hosting.foresee(each)) for each in coming]
        hindrance = None
        # Who waits for a cluster already does not turn to another one on the way.
        if app.status.auto_cluster_create_started not in {each.metadata.name for each in coming}:
            new = self._imagine_new(app)
            if new is None:
                return None
            if isinstance(new, str):
                hindrance = f"No cluster can be created for it: {new}"
            else:
                prospects.append(new)
        candidates: list[Candidate] = []
        for cluster in prospects:
            measurement = self._measure(cluster.metadata.namespace, cluster.spec.metrics)
            if measurement is None:
                return None
            candidates.append(Candidate(cluster, measurement))
        return _Prospects(candidates, hindrance)

    def _find_coming(self, namespace: str | None, snapshot: Snapshot) -> list[Cluster]:
        self._forget_gone()
        known = {cluster.key: cluster for cluster in self._clusters.lookup(CREATED, namespace)}
        made = {key: cluster for key, cluster in self._made.items() if key.namespace == namespace}
        return [each for each in (made | known).values() if self._is_coming(each, snapshot.now)]

    def _is_coming(self, cluster: Cluster, now: datetime) -> bool:
        return is_coming(cluster, self._hosting.cloud_of(cluster), now, self._patience)

    def _forget_gone(self) -> None:
        """Forget clusters that were deleted before they were seen: while the watch was cut, nobody told of them."""
        for key, cluster in list(self._made.items()):
            stored_as = version_of(cluster.metadata.resource_version)
            if 0 < stored_as <= self._clusters.version:
                del self._made[key]

    def _imagine_new(self, app: Application) -> Cluster | str | None:
        """Return a new cluster as it would be, or why there can be none; ``None`` if clouds have yet to be measured."""
        template = self._template()
        if template is None:
            return "The scheduler has no template for it."
        choice = self._hosting.choose(CREATION_RULES, app, app.metadata.namespace)
        if choice is None:
            return None
        if choice.host is None:
            return explain_refusals(choice, PLURAL)
        assert isinstance(choice.host.resource, Cloud | GlobalCloud)
        return stand_in(app, choice.host.resource, template)

    async def _await_new(self, app: Application) -> Result | None:
        """Create a cluster, and wait for it."""
        template = self._template()
        assert template is not None
        key = Key(app.metadata.namespace, self._name_new(app))
        cluster = make_cluster(app, key.name, template)
        # Known from now on, so that those that come next wait for it, too, instead of having another one made.
        self._made[key] = cluster
        try:
            result = await self._await(app, key.name)
            await self._create(cluster)
        except BaseException:
            self._made.pop(key, None)
            raise
        return result

    def _wait_for(self, key: Key, now: datetime) -> float:
        cluster = self._clusters.get(key)
        given_up = None if cluster is None else given_up_at(cluster, self._hosting.cloud_of(cluster), self._patience)
        return WAIT if given_up is None else min((given_up - now).total_seconds(), WAIT)

    def _name_new(self, app: Application) -> str:
        taken = {
            key.name for known in (self._clusters.objects, self._made) for key in known if key.namespace == app.key.namespace
        }
        intended = app.status.auto_cluster_create_started
        return intended if intended is not None and intended not in taken else name_of(app, taken)

    async def _create(self, cluster: Cluster) -> None:
        try:
            stored = await self._client.create(cluster)
        except AlreadyExists:
            # Created before a crash, and not seen yet; should it be somebody else's, the next one gets another name.
            stored = await self._client.get(Cluster, cluster.key)
        else:
            log.info("%s is created for applications.", stored.ref)
        if stored.key in self._made:
            self._made[stored.key] = stored
        self._clusters.expect(stored.key, stored.metadata.resource_version)

    async def _await(self, app: Application, name: str, wait: float = WAIT) -> Result | None:
        """Have an application wait for a cluster; one that is placed goes on where it is.

        :param wait: seconds after which it is looked at again, should nothing change.
        """
        status = replace(app.status, auto_cluster_create_started=name)
        waits = status.scheduled_to is None
        if waits:
            waiting: dict[str, Any] = {"reason": None, "retries": None, "scheduled_retry": None}
            status = replace(status, state=ApplicationState.WAITING_FOR_CLUSTER_CREATION, **waiting)
        if status != app.status:
            if app.status.auto_cluster_create_started != name:
                self._recorder.record(
                    app, normal("AwaitsCluster", f"It is to run on the cluster {name}, which is being created.")
                )
            await patch_status(self._client, app, status, informer=self._apps)
            return Result(wait if waits else 0.0)
        return Result(wait) if waits else None

    async def _forget(self, app: Application) -> Result | None:
        """Take note that an application does not wait for a cluster any more."""
        status = app.status
        waits = status.state is ApplicationState.WAITING_FOR_CLUSTER_CREATION
        if status.auto_cluster_create_started is None and not waits:
            return None
        state = ApplicationState.PENDING if waits else status.state
        status = replace(status, auto_cluster_create_started=None, state=state)
        await patch_status(self._client, app, status, informer=self._apps)
        return Result(0.0)


def _keeps_intent(app: Application, decision: Decision) -> bool:
    """Whether the cluster that an application has waited for is to be kept for it until it is there."""
    intended, bound = app.status.auto_cluster_create_started, app.status.scheduled_to
    if intended is None or (bound is not None and bound.name == intended):
        return False
    return decision.ground in _HOLDING or (decision.choice is not None and decision.choice.name == intended)
