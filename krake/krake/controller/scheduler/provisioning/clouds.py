"""Binds clusters that are to be created to clouds: those of their namespace first, then global ones."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from krake.client import Client
from krake.controller.runtime import Informer, Recorder, Result, patch_status
from krake.controller.runtime.retries import plan_retry
from krake.controller.scheduler.deciding.crowding import count_clusters
from krake.controller.scheduler.deciding.filters import Rule
from krake.controller.scheduler.deciding.hosts import CLOUD_RULES, Host, HostChoice, choose_host, reason_of
from krake.controller.scheduler.deciding.inheritance import inherit
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Settings
from krake.controller.scheduler.explaining.chronicle import Chronicle
from krake.controller.scheduler.provisioning.creation import is_created
from krake.controller.scheduler.provisioning.hosting import Hosting, Measure
from krake.controller.scheduler.provisioning.setbacks import Setbacks
from krake.data import Key, ReasonCode, ResourceRef
from krake.data.events import warning
from krake.data.infrastructure import Cloud, CloudBinding, GlobalCloud
from krake.data.kubernetes import Cluster, ClusterState, ClusterStatus
from krake.data.quotas import Quota

PLURAL = "clouds"
CREATED = "created"
"""Index of the clusters that were created for applications, by namespace."""
BOUND = "bound"
"""Index of the clusters that are bound to clouds, by namespace."""

S = TypeVar("S")


class CloudHosting(Hosting[Cluster]):
    """Reconciles clusters that are declared by a template: each is bound to a cloud once, or says why it is not.

    :param ledger: knows the quotas.
    """

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        chronicle: Chronicle,
        clusters: Informer[Cluster],
        clouds: Informer[Cloud],
        global_clouds: Informer[GlobalCloud],
        *,
        enqueue: Callable[[Key], None],
        measure: Measure,
        ledger: Ledger,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clouds = clouds
        self._global_clouds = global_clouds
        self._settings = settings
        self._ledger = ledger
        self._failures: dict[Key, tuple[int, int]] = {}
        """Of clusters that fit nowhere: their generation, and how many attempts have failed since it."""
        self._setbacks = Setbacks()
        clusters.index(BOUND, lambda cluster: [cluster.key.namespace] if cluster.status.scheduled_to else [])
        clusters.index(CREATED, lambda cluster: [cluster.key.namespace] if cluster.spec.auto_generated else [])
        super().__init__(
            client, recorder, chronicle, clusters, [clouds, global_clouds], enqueue=enqueue, measure=measure, now=now
        )

    def cloud_of(self, cluster: Cluster) -> Cloud | GlobalCloud | None:
        """Return the cloud that a cluster is on, or is to be created on, if there is one."""
        ref = self._assumed.get(cluster.key) or cluster.status.scheduled_to
        if ref is None:
            return None
        return self._clouds.get(ref.key) if ref.kind == Cloud.definition.name else self._global_clouds.get(ref.key)

    def effective(self, cluster: Cluster) -> Cluster:
        """Return a cluster with the labels and metrics that it inherits."""
        return inherit(cluster, self.cloud_of(cluster))

    def foresee(self, cluster: Cluster) -> Cluster:
        """Return a cluster with what it inherits, or will inherit once it is bound."""
        cloud = self.cloud_of(cluster)
        if cloud is None and self._is_waiting(cluster):
            choice = self._choose(cluster)
            found = choice.host.resource if choice and choice.host else None
            cloud = found if isinstance(found, Cloud | GlobalCloud) else None
        return inherit(cluster, cloud)

    def choose(self, rules: Iterable[Rule[S, Host]], guest: S, namespace: str | None) -> HostChoice | None:
        """Return the cloud for a cluster of a namespace; ``None`` if clouds have yet to be measured for it.

        :param guest: whom the rules are about: the cluster, or an application that a cluster may be created for.
        """
        if (exceeded := count_clusters(self._ledger.quotas(namespace), self._count_bound(namespace))) is not None:
            return HostChoice(None, None, (), hindrance=exceeded)
        failed, setbacks = self._find_failed(namespace), self._setbacks.hindrances(namespace, self._now())
        own = self._candidates(self._clouds, namespace, failed, setbacks)
        others = self._candidates(self._global_clouds, None, failed, setbacks)
        if own is None:
            return None
        choice = choose_host(rules, guest, self._settings, own, others or ())
        return None if choice.host is None and others is None else choice

    def rest(self, namespace: str | None) -> float | None:
        """Return in how many seconds clusters may be created again where some have come to nothing, if any have."""
        return self._setbacks.rest(namespace, self._now())

    def follow_quota(self, old: Quota | None, new: Quota | None) -> None:
        """Have the clusters reconciled to which a quota may matter."""
        obj = new or old
        assert obj is not None
        if old is None or new is None or old.spec != new.spec:
            self.enqueue_waiting(obj.key.namespace)

    def _follow_guest(self, old: Cluster | None, new: Cluster | None) -> None:
        if new is not None and is_created(new):
            self._setbacks.note(new, self._now())
        elif new is None and old is not None:
            self._setbacks.forget(old)
        super()._follow_guest(old, new)

    def _count_bound(self, namespace: str | None) -> int:
        bound = {cluster.key for cluster in self._guests.lookup(BOUND, namespace)}
        return len(bound | {key for key in self._assumed if key.namespace == namespace})

    def _find_failed(self, namespace: str | None) -> dict[ResourceRef, str]:
        """Return the clouds where a cluster that was created for applications has failed, each with the name of one."""
        return {
            cluster.status.scheduled_to: cluster.metadata.name
            for cluster in self._guests.lookup(CREATED, namespace)
            if cluster.status.state is ClusterState.FAILED and cluster.status.scheduled_to is not None
        }

    def _host_of(self, guest: Cluster) -> ResourceRef | None:
        return guest.status.scheduled_to

    def _is_waiting(self, guest: Cluster) -> bool:
        status = guest.status
        return not guest.spec.kubeconfig and status.scheduled_to is None and status.running_on is None

    def _choose(self, guest: Cluster) -> HostChoice | None:
        return self.choose(CLOUD_RULES, guest, guest.key.namespace)

    async def _bind(self, guest: Cluster, host: Host) -> Cluster:
        self._failures.pop(guest.key, None)
        # Before it is bound: the infrastructure controller leaves alone what has failed.
        if _is_ours(guest.status):
            status = replace(guest.status, state=ClusterState.PENDING, reason=None, retries=0, scheduled_retry=None)
            await patch_status(self._client, guest, status, informer=self._guests)
        return await self._client.act(Cluster, guest.key, "binding", CloudBinding(cloud=host.ref))

    async def _refuse(self, guest: Cluster, choice: HostChoice) -> Result | None:
        now, due = self._now(), guest.status.scheduled_retry
        failures = self._count_failures(guest)
        if failures and due is not None and due > now:
            return Result((due - now).total_seconds())
        reason, left = reason_of(choice, PLURAL), guest.status.retries if failures else None
        retry = plan_retry(guest.spec, left, now, failures=failures, longest=self._longest)
        if guest.status.reason != reason:
            self._recorder.record(guest, warning("FailedScheduling", reason.message))
        status = replace(
            guest.status,
            state=ClusterState.PENDING if choice.hindrance else ClusterState.FAILED,
            reason=reason,
            retries=retry.retries or 0,
            scheduled_retry=retry.due,
        )
        await patch_status(self._client, guest, status, informer=self._guests)
        self._failures[guest.key] = guest.metadata.generation, failures + 1
        return None if retry.due is None else Result((retry.due - now).total_seconds())

    @property
    def _longest(self) -> timedelta:
        return max(self._settings.reschedule_after, timedelta(seconds=1))

    def _count_failures(self, guest: Cluster) -> int:
        """How many attempts failed since the cluster was changed; after a restart, as far as its status tells."""
        if not _is_ours(guest.status):
            return 0
        generation, failures = self._failures.get(guest.key, (None, 0))
        if generation is not None:
            return failures if generation == guest.metadata.generation else 0
        limit = guest.spec.backoff_limit
        return max(limit - guest.status.retries, 1) if limit >= 0 else 1


def _is_ours(status: ClusterStatus) -> bool:
    return status.reason is not None and status.reason.code is ReasonCode.NO_SUITABLE_RESOURCE
