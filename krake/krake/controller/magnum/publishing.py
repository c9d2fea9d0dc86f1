"""Registers the Kubernetes cluster that came of a Magnum cluster, and keeps its kubeconfig good."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from krake.client import AlreadyExists, Client, NotFound
from krake.controller.magnum.credentials import Credentials, authority_of, is_good, make_kubeconfig, make_request, validity_of
from krake.controller.runtime import difference
from krake.data.core import MetricRef
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints, ClusterSpec, ClusterState
from krake.data.metadata import Metadata, ReasonCode
from krake.data.openstack import MagnumCluster
from krake.ports.infrastructure import Rejected
from krake.ports.magnum import Magnum

_TRIAL = timedelta(minutes=10)
"""How long new credentials count as good whatever the cluster says: it may not be up yet, and each certificate stays valid."""
_LOST = (ClusterState.OFFLINE, ClusterState.DEGRADED)


class Publisher:
    """Keeps the resources of Kubernetes clusters in Krake as they should be."""

    def __init__(self, client: Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    async def find(self, cluster: MagnumCluster) -> Cluster | None:
        """Return the resource of the Kubernetes cluster that came of a Magnum cluster, if there is one."""
        if cluster.status.cluster is None or not _is_near(cluster):
            return None
        try:
            found = await self._client.get(Cluster, cluster.status.cluster.key)
        except NotFound:
            return None
        return found if cluster.ref in found.metadata.owners else None

    async def publish(self, cluster: MagnumCluster, magnum: Magnum, address: str) -> bool:
        """Have the Kubernetes cluster registered, with credentials that are good; returns whether there are new ones.

        :param address: URL of its Kubernetes API.
        :raises InfrastructureError: there are no credentials.
        """
        if not address.startswith(("https://", "http://")):
            raise Rejected(f"Magnum tells an address of the Kubernetes API that can not be used: {address[:100]!r}.")
        resource = await self.find(cluster)
        if resource is not None and resource.metadata.deleted is not None:
            return False
        if resource is not None and await self._is_good(resource, cluster, magnum, address):
            await self._patch(resource, cluster, {})
            return False
        kubeconfig = await self._log_in(cluster, magnum, address)
        if resource is not None:
            await self._patch(resource, cluster, {"kubeconfig": kubeconfig})
        elif (await self._client.get(MagnumCluster, cluster.key)).metadata.deleted is None:
            await self._register(cluster, kubeconfig)
        return True

    async def withdraw(self, cluster: MagnumCluster) -> None:
        """Ask for the deletion of the resource."""
        if cluster.status.cluster is not None and _is_near(cluster):
            with suppress(NotFound):
                await self._client.delete(Cluster, cluster.status.cluster.key)

    async def _is_good(self, resource: Cluster, cluster: MagnumCluster, magnum: Magnum, address: str) -> bool:
        kubeconfig, now = resource.spec.kubeconfig, self._now()
        if not is_good(kubeconfig, address, now):
            return False
        validity = validity_of(kubeconfig)
        tried = validity is not None and now - validity[0] > _TRIAL
        if resource.status.state not in _LOST or not tried:
            return True
        if resource.status.reason is not None and resource.status.reason.code is ReasonCode.KUBERNETES_ERROR:
            return False  # it answers, but does not let in
        return authority_of(kubeconfig) == await magnum.authority(str(cluster.status.cluster_id))

    async def _log_in(self, cluster: MagnumCluster, magnum: Magnum, address: str) -> dict[str, Any]:
        id, name = str(cluster.status.cluster_id), cluster.metadata.name
        if not address.startswith("https://"):
            return make_kubeconfig(name, address)
        authority = await magnum.authority(id)
        request = await asyncio.to_thread(make_request)
        return make_kubeconfig(name, address, Credentials(authority, await magnum.sign(id, request.csr), request.key))

    async def _register(self, cluster: MagnumCluster, kubeconfig: dict[str, Any]) -> None:
        assert cluster.status.cluster is not None
        if not _is_near(cluster):
            raise Rejected(f"{cluster.status.cluster} is not of this namespace, and is not registered there.")
        key = cluster.status.cluster.key
        resource = Cluster(
            metadata=Metadata(
                name=key.name, namespace=key.namespace, labels=dict(cluster.metadata.labels), owners=[cluster.ref]
            ),
            spec=ClusterSpec(
                kubeconfig=kubeconfig,
                constraints=ClusterCloudConstraints(cloud=CloudConstraints()),
                metrics=list(cluster.spec.metrics),
            ),
        )
        try:
            await self._client.create(resource)
        except AlreadyExists:
            told = f"There is another cluster called {key.name} in Krake: delete that one, or choose another name."
            raise Rejected(told) from None

    async def _patch(self, resource: Cluster, cluster: MagnumCluster, spec: dict[str, Any]) -> None:
        """Hand on the labels and metrics of a Magnum cluster, and what else is to be changed."""
        labels = {**resource.metadata.labels, **cluster.metadata.labels}
        metrics = _join(cluster.spec.metrics, resource.spec.metrics)
        if metrics != resource.spec.metrics:
            spec["metrics"] = [metric.serialize() for metric in metrics]
        changed = difference(resource.metadata.labels, labels)
        if not spec and not changed:
            return
        metadata = {"resource_version": resource.metadata.resource_version, **({"labels": changed} if changed else {})}
        await self._client.patch(Cluster, resource.key, {"metadata": metadata, **({"spec": spec} if spec else {})})


def _is_near(cluster: MagnumCluster) -> bool:
    """Whether the Kubernetes cluster is of the same namespace; others must not be given one, whoever has written the status."""
    return cluster.status.cluster is not None and cluster.status.cluster.namespace == cluster.metadata.namespace


def _join(own: Sequence[MetricRef], others: Sequence[MetricRef]) -> list[MetricRef]:
    """Return the metrics of a cluster in their order there, those of the Magnum cluster with the weight that it gives them."""
    given = {metric.name: metric for metric in own}
    kept = [given.pop(metric.name, metric) for metric in others]
    return [*kept, *given.values()]
