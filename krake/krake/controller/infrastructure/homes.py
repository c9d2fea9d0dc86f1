"""Where clusters are created: their clouds and providers, as declared now, and for how long these must stay."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from krake.client import Client, NotFound
from krake.controller.infrastructure.checking.assembly import PROVIDER, provider_key
from krake.controller.infrastructure.steps import AnyCloud, AnyProvider, Home
from krake.controller.runtime import Controller, Informer, Recorder, add_finalizer, remove_finalizer
from krake.data import Key, ResourceRef
from krake.data.events import normal
from krake.data.infrastructure import Cloud, GlobalCloud, GlobalInfrastructureProvider, InfrastructureProvider
from krake.data.kinds import Resource
from krake.data.kubernetes import Cluster
from krake.data.metadata import INFRASTRUCTURE_RESOURCES_DELETION

USES = "uses"
"""Index of the clusters by the clouds and the providers that they are, or are to be, created by."""
FINALIZER = INFRASTRUCTURE_RESOURCES_DELETION
LISTED = 5
"""So many clusters are named in an event."""


@dataclass(frozen=True)
class Sight:
    """The informers by which the infrastructure controller sees the world."""

    clusters: Informer[Cluster]
    clouds: Informer[Cloud]
    global_clouds: Informer[GlobalCloud]
    providers: Informer[InfrastructureProvider]
    global_providers: Informer[GlobalInfrastructureProvider]

    @classmethod
    def of(cls, client: Client) -> Self:
        """Return the sight that a client has."""
        return cls(
            Informer(client, Cluster),
            Informer(client, Cloud),
            Informer(client, GlobalCloud),
            Informer(client, InfrastructureProvider),
            Informer(client, GlobalInfrastructureProvider),
        )

    @property
    def hosts(self) -> tuple[Informer[Any], ...]:
        """What clusters are created by."""
        return self.clouds, self.global_clouds, self.providers, self.global_providers


class Homes:
    """Finds the home of a cluster, and keeps it from going while a cluster is there.

    :param enqueue: has a cluster reconciled.
    """

    def __init__(self, client: Client, sight: Sight, recorder: Recorder, enqueue: Callable[[Key], None]) -> None:
        self._client = client
        self._recorder = recorder
        self._sight = sight
        self._enqueue = enqueue
        self._informers = {(each.kind.definition.api, each.kind.definition.name): each for each in sight.hosts}
        self._controllers = {
            each: Controller[Key](f"hold {each.kind.definition.plural}", partial(self._let_go, each), 1, reads=[each])
            for each in sight.hosts
        }
        sight.clusters.index(USES, _uses)
        sight.clusters.on_change(self._follow_cluster)
        for clouds in (sight.clouds, sight.global_clouds):
            clouds.index(PROVIDER, lambda cloud: [provider_key(cloud)])
        for informer in sight.hosts:
            informer.on_change(partial(self._follow_host, informer))

    @property
    def controllers(self) -> list[Controller[Key]]:
        """What works here."""
        return list(self._controllers.values())

    def find(self, cluster: Cluster) -> Home | str:
        """Return where a cluster is, or is to be, created; or why that can not be said."""
        status = cluster.status
        infrastructure = status.infrastructure
        exists = status.cluster_id is not None or (infrastructure is not None and infrastructure.unseen > 0)
        ref = (status.running_on if exists else None) or status.scheduled_to or status.running_on
        if ref is None:
            return "It is bound to no cloud."
        namespace = cluster.metadata.namespace
        if ref.namespace not in (namespace, None):
            return f"It can not be created on {ref}, which is not for this namespace."
        cloud = self._get(ref)
        if not isinstance(cloud, Cloud | GlobalCloud):
            return f"There is no {ref}, which it is bound to: register it again."
        # What was created by a provider is in its hands, whichever the cloud names by now.
        recorded = infrastructure.provider if infrastructure is not None and exists else None
        # Whoever may write the status must not have the credentials of a cloud sent to a provider of his own.
        if recorded and recorded.namespace not in (cloud.metadata.namespace, None):
            return f"It can not be created by {recorded}, which is not for {cloud.ref}."
        provider = self._get(recorded) if recorded else self._provider_of(cloud)
        if not isinstance(provider, InfrastructureProvider | GlobalInfrastructureProvider):
            key = recorded.key if recorded else provider_key(cloud)
            kind = "infrastructure provider" if key.namespace else "global infrastructure provider"
            return f"There is no {kind} '{key.name}', which creates the clusters on {cloud.ref}: register it again."
        return Home(cloud, provider)

    async def hold(self, cluster: Cluster, home: Home) -> None:
        """Keep a cluster, its cloud and its provider from going before its infrastructure is gone."""
        await add_finalizer(self._client, cluster, FINALIZER, informer=self._sight.clusters)
        for obj in (home.cloud, home.provider):
            if obj.metadata.deleted is None:
                await self._hold(obj)

    async def _hold(self, obj: AnyCloud | AnyProvider) -> None:
        informer = self._informers[obj.ref.api, obj.ref.kind]
        await add_finalizer(self._client, obj, FINALIZER, informer=informer)
        await informer.catch_up(obj.key)

    def _get(self, ref: ResourceRef) -> Resource | None:
        informer = self._informers.get((ref.api, ref.kind))
        return None if informer is None else informer.get(ref.key)

    def _provider_of(self, cloud: AnyCloud) -> AnyProvider | None:
        key = provider_key(cloud)
        return self._sight.providers.get(key) if key.namespace else self._sight.global_providers.get(key)

    async def _let_go(self, informer: Informer[Any], key: Key) -> None:
        """Take the finalizer from what is being deleted and has no cluster any more."""
        obj = informer.get(key)
        if obj is None or obj.metadata.deleted is None or obj.metadata.finalizers[-1:] != [FINALIZER]:
            return
        if held := sorted(cluster.metadata.name for cluster in self._sight.clusters.lookup(USES, obj.ref) if _is_held(cluster)):
            self._recorder.record(obj, normal("WaitingForClusters", _wait_for(held)))
            return
        try:
            await remove_finalizer(self._client, obj, FINALIZER, informer=informer)
        except NotFound:
            return

    def _follow_cluster(self, old: Cluster | None, new: Cluster | None) -> None:
        if old is None or (new is not None and _uses_set(old) == _uses_set(new) and _is_held(old) == _is_held(new)):
            return
        for ref in _uses(old):
            if (informer := self._informers.get((ref.api, ref.kind))) is not None:
                self._controllers[informer].enqueue(ref.key)

    def _follow_host(self, informer: Informer[Any], old: Resource | None, new: Resource | None) -> None:
        obj = new or old
        assert obj is not None
        if new is not None and new.metadata.deleted is not None:
            self._controllers[informer].enqueue(obj.key)
        if old is not None and new is not None and _matters(old) == _matters(new):
            return
        for ref in (obj.ref, *(cloud.ref for cloud in self._clouds_of(obj))):
            for cluster in self._sight.clusters.lookup(USES, ref):
                self._enqueue(cluster.key)

    def _clouds_of(self, obj: Resource) -> Iterator[AnyCloud]:
        if isinstance(obj, InfrastructureProvider | GlobalInfrastructureProvider):
            for informer in (self._sight.clouds, self._sight.global_clouds):
                yield from informer.lookup(PROVIDER, obj.key)


def _wait_for(names: list[str]) -> str:
    """Return why something stays though its deletion was asked for."""
    listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    return f"It stays until the clusters are gone that were created by it: {listed}."


def _uses(cluster: Cluster) -> Iterator[ResourceRef]:
    status = cluster.status
    provider = status.infrastructure.provider if status.infrastructure is not None else None
    for each in {status.scheduled_to, status.running_on, provider}:
        if each is not None and each.namespace in (cluster.metadata.namespace, None):
            yield each


def _uses_set(cluster: Cluster) -> frozenset[ResourceRef]:
    return frozenset(_uses(cluster))


def _is_held(cluster: Cluster) -> bool:
    return FINALIZER in cluster.metadata.finalizers


def _matters(obj: Resource) -> object:
    status: Any = getattr(obj, "status")  # noqa: B009 (not every kind has one)
    return obj.metadata.uid, obj.metadata.generation, obj.metadata.deleted, status.checked
