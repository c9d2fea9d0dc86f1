"""What is known at the moment, kept up change by change: snapshots to decide from, and who is where.

Nothing is worked out before somebody asks, so that a burst of changes costs as much as one; and only what has changed is worked
out anew. All of it can be rebuilt from the API: a process that is killed loses nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from krake.controller.runtime import Informer
from krake.controller.scheduler.applications.failover import USABLE, Failover, Reports, Standing, count, judge, outage_of
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Settings, Snapshot
from krake.controller.scheduler.deciding.tenants import Tenant
from krake.controller.scheduler.metrics.measuring import metric_key
from krake.data import Key, Reason, ReasonCode, ResourceRef
from krake.data.kubernetes import Application, Cluster
from krake.data.quotas import Quota

log = logging.getLogger(__name__)

NAMESPACE = "namespace"
"""Index of the applications and of the clusters."""

PATIENCE = 2.0
"""Seconds for which nobody is placed because a cluster has yet to be measured; after that it counts as failing."""
GATHERING = 0.25
"""Seconds for which reports about a cluster in trouble are gathered before they are looked at."""
SHARE = 0.25
"""If a larger share of the clusters has changed, it is cheaper to prepare all of them anew."""


@dataclass
class _Realm:
    """What is known of a namespace.

    :ivar changed: the clusters that the snapshot shows as they were before.
    :ivar unmeasured: those of them that are waited for, as their metrics are not known yet.
    :ivar waited: since when the metrics of clusters are not known that are, or were, waited for: once only.
    """

    snapshot: Snapshot
    changed: set[Key] = field(default_factory=set)
    unmeasured: set[Key] = field(default_factory=set)
    waited: dict[Key, float] = field(default_factory=dict)


Handler = Callable[[str | None, bool], None]


class World:
    """Keeps snapshots and the ledger in line with what the informers tell.

    :param describe: what an application is to others.
    :param effective: a cluster with what it inherits.
    :param measure: what is known of the metrics of such a cluster; ``None`` if it has yet to be measured.
    """

    def __init__(
        self,
        apps: Informer[Application],
        clusters: Informer[Cluster],
        *,
        describe: Callable[[Application], Tenant],
        effective: Callable[[Cluster], Cluster],
        measure: Callable[[Cluster], Measurement | None],
        settings: Settings,
        failover: Failover,
        now: Callable[[], datetime],
    ) -> None:
        self.ledger = Ledger()
        self.settings = settings
        self._apps = apps
        self._clusters = clusters
        self._describe = describe
        self._effective = effective
        self._measure = measure
        self._failover = failover
        self._now = now
        self._realms: dict[str | None, _Realm] = {}
        self._standings: dict[Key, Standing] = {}
        self._outages: dict[Key, tuple[datetime, datetime]] = {}
        """Since when clusters are out of use: by the clock of the API, and by ours."""
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._metrics: dict[Key, frozenset[Key]] = {}
        """The metrics of each cluster."""
        self._users: dict[Key, set[Key]] = {}
        """The clusters that have each metric."""
        self._assumed: dict[Key, int] = {}
        """Applications that were just bound, and the version as which that is stored; 0 until that is known."""
        self._moving: set[Key] = set()
        self._closed: set[ResourceRef] = set()
        """Clusters that are about to be deleted: what is seen of them does not say so yet."""
        self._handlers: list[Handler] = []
        apps.index(NAMESPACE, lambda app: [app.key.namespace])
        clusters.index(NAMESPACE, lambda cluster: [cluster.key.namespace])
        apps.on_change(self._follow_app)
        clusters.on_change(self._follow_cluster)

    def on_change(self, handler: Handler) -> None:
        """Have *handler* told, from now on, of changes of what decisions in a namespace depend on.

        Its second argument is whether that concerns only those who wait for a place.
        """
        self._handlers.append(handler)

    def moving(self, namespace: str | None) -> int:
        """Return how many applications of a namespace are on their way from a cluster that is of use."""
        return sum(key.namespace == namespace for key in self._moving)

    def look(self, namespace: str | None) -> Snapshot | None:
        """Return the snapshot of a namespace; ``None`` if some of its clusters have yet to be measured."""
        realm = self._realms.get(namespace)
        if realm is None:
            realm = _Realm(Snapshot(self._now(), (), self.settings, self.ledger))
            realm.changed.update(cluster.key for cluster in self._clusters.lookup(NAMESPACE, namespace))
            self._realms[namespace] = realm
        if realm.changed:
            self._catch_up(realm)
        if realm.unmeasured:
            return None
        realm.snapshot = realm.snapshot.at(self._now())
        return realm.snapshot

    def standing(self, cluster: Key) -> Standing:
        """Return what is thought of a cluster."""
        return self._standings.get(cluster, Standing())

    def close(self, cluster: ResourceRef) -> bool:
        """Give nobody a place on a cluster any more, until it is gone; false if somebody has one there, or is given one."""
        if self.ledger.tenants_on(cluster):
            return False
        self._closed.add(cluster)
        return True

    def reopen(self, cluster: ResourceRef) -> None:
        """Give places on a cluster again."""
        self._closed.discard(cluster)
        self.touch([cluster.key])

    def is_closed(self, cluster: ResourceRef | None) -> bool:
        """Whether nobody is given a place on a cluster any more."""
        return cluster in self._closed

    def assume(self, app: Application, place: ResourceRef) -> None:
        """Count an application on a cluster that it is about to be bound to: nobody else is to be given its room."""
        self._assumed[app.key] = 0
        bound = replace(app, status=replace(app.status, scheduled_to=place))
        self.ledger.put(replace(self._describe(bound), assumed=True))
        if app.status.running_on not in (None, place) and self._is_usable(app.status.running_on):
            self._moving.add(app.key)

    def confirm(self, app: Application) -> None:
        """Take in that an assumed application is stored as it is now."""
        self._assumed[app.key] = version = int(app.metadata.resource_version or 0)
        seen = self._apps.get(app.key)
        if seen is None or int(seen.metadata.resource_version or 0) >= version:
            self.retract(app.key)

    def retract(self, key: Key) -> None:
        """Count an application where it is seen, whatever was assumed of it."""
        self._assumed.pop(key, None)
        app = self._apps.get(key)
        if app is None:
            self.ledger.drop(key)
            self._moving.discard(key)
        else:
            self._enter(app)

    def touch(self, clusters: Iterable[Key], *, waiting_only: bool = False) -> None:
        """Look at some clusters anew, as soon as somebody asks."""
        namespaces = set()
        for key in clusters:
            namespaces.add(key.namespace)
            if (realm := self._realms.get(key.namespace)) is not None:
                realm.changed.add(key)
        for namespace in namespaces:
            self._tell(namespace, waiting_only)

    def follow_metrics(self, metrics: frozenset[Key]) -> None:
        """Take in that other values are known of some metrics."""
        self.touch({cluster for metric in metrics for cluster in self._users.get(metric, ())})

    def follow_quota(self, old: Quota | None, new: Quota | None) -> None:
        """Take in a quota, or that it is gone."""
        obj = new or old
        assert obj is not None
        self.ledger.set_quota(obj.key, new)
        self._tell(obj.key.namespace, True)

    def _tell(self, namespace: str | None, waiting_only: bool) -> None:
        for handler in self._handlers:
            handler(namespace, waiting_only)

    def _follow_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        obj = new or old
        assert obj is not None
        self._count_pods(old, new)
        if old is None or new is None or _offer(old) != _offer(new):
            self.touch([obj.key])
        elif _size(old) != _size(new):
            self.touch([obj.key], waiting_only=True)

    def _count_pods(self, old: Cluster | None, new: Cluster | None) -> None:
        """Have the ledger know what is taken of a cluster, and what those ask for who are there."""
        if new is None:
            if old is not None:
                self._closed.discard(old.ref)
                self.ledger.forget(old.ref)
            return
        if old is None or old.status.requested != new.status.requested:
            self.ledger.observe(new.ref, new.status.taken)
        if old is None or _shape(old) != _shape(new):
            for key in list(self.ledger.tenants_on(new.ref)):
                if key not in self._assumed and (app := self._apps.get(key)) is not None:
                    self.ledger.put(self._describe(app))

    def _follow_app(self, old: Application | None, new: Application | None) -> None:
        obj = new or old
        assert obj is not None
        if new is None:
            self._assumed.pop(obj.key, None)
            self.ledger.drop(obj.key)
            self._moving.discard(obj.key)
        elif not self._is_older_than_assumed(new):
            assumed = self._assumed.pop(obj.key, None) is not None
            if assumed or old is None or (_footprint(old), old.status.state) != (_footprint(new), new.status.state):
                self._enter(new)
        if old is not None and (new is None or _footprint(old) != _footprint(new)):
            self._tell(obj.key.namespace, True)  # there may be room now for somebody else
        for place in {app.status.scheduled_to for app in (old, new) if app is not None}:
            if place is not None and self._standings.get(place.key, _SOUND).awaited and _says_more(old, new):
                self._look_again(place.key, GATHERING)

    def _is_older_than_assumed(self, app: Application) -> bool:
        version = self._assumed.get(app.key)
        return version is not None and (version == 0 or int(app.metadata.resource_version or 0) < version)

    def _enter(self, app: Application) -> None:
        self.ledger.put(self._describe(app))
        here, there = app.status.running_on, app.status.scheduled_to
        if None not in (here, there) and here != there and app.metadata.deleted is None and self._is_usable(here):
            self._moving.add(app.key)
        else:
            self._moving.discard(app.key)

    def _is_usable(self, place: ResourceRef | None) -> bool:
        cluster = None if place is None else self._clusters.get(place.key)
        return cluster is not None and cluster.status.state in USABLE

    def _catch_up(self, realm: _Realm) -> None:
        news: list[Candidate] = []
        gone: list[ResourceRef] = []
        for key in realm.changed:
            cluster = self._clusters.get(key)
            if cluster is None:
                gone.append(Cluster.definition.ref(key))
                self._forget(key)
                realm.unmeasured.discard(key)
                realm.waited.pop(key, None)
            elif (candidate := self._prepare(cluster, realm)) is not None:
                news.append(candidate)
        realm.changed = set(realm.unmeasured)
        if len(news) > SHARE * len(realm.snapshot.candidates):
            known = {each.ref: each for each in realm.snapshot.candidates} | {each.ref: each for each in news}
            kept = tuple(each for ref, each in known.items() if ref not in gone)
            realm.snapshot = Snapshot(self._now(), kept, self.settings, self.ledger)
        elif news or gone:
            realm.snapshot = realm.snapshot.changed(news, gone)

    def _prepare(self, cluster: Cluster, realm: _Realm) -> Candidate | None:
        """Return a cluster as a candidate; ``None`` if it has yet to be measured."""
        effective = self._effective(cluster)
        self._remember_metrics(effective)
        measurement: Measurement | None = Measurement()
        if effective.metadata.deleted is None and effective.status.state in USABLE and effective.spec.metrics:
            measurement = self._measure(effective)
        if measurement is not None:
            realm.waited.pop(cluster.key, None)
        elif (measurement := self._give_up_waiting(effective, realm)) is None:
            realm.unmeasured.add(cluster.key)
            return None
        realm.unmeasured.discard(cluster.key)
        standing = self._judge(cluster)
        return Candidate(effective, measurement, awaited=standing.awaited, steady_from=standing.steady_from)

    def _give_up_waiting(self, cluster: Cluster, realm: _Realm) -> Measurement | None:
        """Return that the metrics of a cluster could not be read, if they have been waited for long enough."""
        now = asyncio.get_running_loop().time()
        since = realm.waited.setdefault(cluster.key, now)
        if now < since + PATIENCE:
            self._look_again(cluster.key, since + PATIENCE - now)
            return None
        waiting = Reason(code=ReasonCode.UNREACHABLE_METRICS_PROVIDER, message="Its provider has yet to answer.")
        return Measurement(failures={metric.name: waiting for metric in cluster.spec.metrics})

    def _remember_metrics(self, cluster: Cluster) -> None:
        metrics = frozenset(metric_key(cluster.key.namespace, ref) for ref in cluster.spec.metrics)
        before = self._metrics.get(cluster.key, frozenset())
        for metric in before - metrics:
            self._users[metric].discard(cluster.key)
        for metric in metrics - before:
            self._users.setdefault(metric, set()).add(cluster.key)
        self._metrics[cluster.key] = metrics

    def _forget(self, key: Key) -> None:
        for metric in self._metrics.pop(key, ()):
            self._users[metric].discard(key)
        self._standings.pop(key, None)
        self._outages.pop(key, None)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def _judge(self, cluster: Cluster) -> Standing:
        reports, state = Reports(), cluster.status.state
        if state not in USABLE:
            tenants = self.ledger.tenants_on(cluster.ref)
            reports = count((app for key in tenants if (app := self._apps.get(key)) is not None), state)
        now = self._now()
        standing = judge(cluster, reports, self._failover, now, self._find_outage(cluster, now))
        # What could not be created, and has no kubeconfig, was never there.
        if standing.lost and not self.standing(cluster.key).lost and cluster.spec.kubeconfig:
            log.warning("%s is lost: it is %s since %s.", cluster.ref, state.name, cluster.status.out_of_use)
        self._standings[cluster.key] = standing
        if standing.until is not None:
            self._look_again(cluster.key, (standing.until - now).total_seconds())
        return standing

    def _find_outage(self, cluster: Cluster, now: datetime) -> datetime | None:
        """Return since when a cluster is out of use, by our clock: that of the API may be ahead of it, or behind.

        Whoever has seen the cluster in use takes the time from when it was told of the outage. Otherwise the API is believed,
        as far as what it says can be.
        """
        if cluster.status.state in USABLE:
            self._outages.pop(cluster.key, None)
            return None
        told = outage_of(cluster)
        known = self._outages.get(cluster.key)
        if known is None or known[0] != told:
            known = told, now if cluster.key in self._standings else min(told, now)
            self._outages[cluster.key] = known
        return known[1]

    def _look_again(self, key: Key, delay: float) -> None:
        """Look at a cluster anew after a while, or earlier, if that was planned before."""
        loop = asyncio.get_running_loop()
        due, planned = loop.time() + delay, self._timers.get(key)
        if planned is not None and loop.time() < planned.when() <= due and not planned.cancelled():
            return
        if planned is not None:
            planned.cancel()
        self._timers[key] = loop.call_at(due, self._awake, key)

    def _awake(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.touch([key])


_SOUND = Standing()


def _offer(cluster: Cluster) -> object:
    """What of a cluster decisions may depend on, besides its metrics and its size."""
    metadata, spec, status = cluster.metadata, cluster.spec, cluster.status
    access = (metadata.deleted, spec.unschedulable, spec.drain, spec.taints, status.state, status.out_of_use, status.recovered)
    inherited = (metadata.inherit_labels, spec.inherit_metrics, spec.constraints, status.scheduled_to)
    return metadata.uid, metadata.labels, spec.custom_resources, spec.metrics, access, inherited


def _shape(cluster: Cluster) -> object:
    """What of a cluster the requests of an application depend on."""
    return cluster.metadata.labels, len(cluster.status.nodes)


def _size(cluster: Cluster) -> object:
    return cluster.status.allocatable, cluster.status.requested


def _footprint(app: Application) -> object:
    """What of an application others may depend on."""
    return app.status.scheduled_to, app.status.running_on, app.metadata.labels, app.metadata.generation, app.metadata.deleted


def _says_more(old: Application | None, new: Application | None) -> bool:
    """Whether something else is said of the cluster of an application."""
    return old is None or new is None or (old.status.state, old.status.reason) != (new.status.state, new.status.reason)
