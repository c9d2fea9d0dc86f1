"""The connection to a cluster: the port `krake.ports.cluster.KubernetesCluster` over HTTP."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from krake.adapters.kubernetes.access import Access
from krake.adapters.kubernetes.apply import as_sent, belongs, check_owner, is_leaving
from krake.adapters.kubernetes.discovery import Discovery, Nameless
from krake.adapters.kubernetes.transport import APPLY_PATCH, MERGE_PATCH, NotFound, Transport, garbage
from krake.adapters.kubernetes.watch import Watch
from krake.adapters.reaching import Guard
from krake.ports.cluster import (
    FIELD_MANAGER,
    OWNER_LABEL,
    POD,
    ClusterError,
    Conflict,
    Identity,
    Object,
    ObjectType,
    Unsupported,
    WatchEvent,
    identify,
    owner_of,
)

NODE = ObjectType("v1", "Node")
CHANGES = "krake-changes"
"""Fields that are changed beside what is declared are not Krake's declared ones: else the next apply would take them away."""


def connect(
    kubeconfig: Mapping[str, Any], *, timeout: float = 10.0, node_interval: int = 5, guard: Guard | None = None
) -> "Connection":
    """Return a connection by the current context of a kubeconfig; nothing is sent before the first call.

    :param timeout: seconds that any answer may take.
    :param node_interval: seconds after which a watch on nodes proves that the server is alive.
    :param guard: knows where the server may be; without, it may be anywhere.
    :raises Unreachable: the kubeconfig can not be used.
    """
    return Connection(Transport(Access.of(kubeconfig), timeout, guard), node_interval)


class Connection:
    """See `krake.ports.cluster.KubernetesCluster`."""

    def __init__(self, transport: Transport, node_interval: int) -> None:
        self._transport = transport
        self._discovery = Discovery(transport)
        self._node_interval = node_interval

    @property
    def default_namespace(self) -> str:
        return self._transport.access.namespace

    @property
    def host(self) -> str:
        return self._transport.access.host

    async def version(self) -> str:
        body = await self._transport.call("GET", "/version")
        version = body.get("gitVersion")
        if not isinstance(version, str):
            raise garbage(self._transport.access.address)
        return version

    async def is_namespaced(self, type_: ObjectType) -> bool:
        return (await self._discovery.find(type_)).namespaced

    async def apply(self, obj: Object) -> Object:
        if owner_of(obj) is None:
            raise ValueError(f"The object lacks the label {OWNER_LABEL}.")
        identity = identify(obj)
        path = (await self._discovery.find(identity.type)).path(identity)
        existing = await self._read(path)
        if existing is not None:
            check_owner(existing, obj)
        # The fields of an own object are taken back from whoever changed them. One that appears only now is not an own one.
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if existing is not None else "false"}
        body = as_sent(obj)
        try:
            return self._checked(await self._transport.call("PATCH", path, query, body, APPLY_PATCH))
        except NotFound as error:
            if error.missing != "namespaces" or identity.namespace is None:
                raise
        await self._create_namespace(identity.namespace)
        return self._checked(await self._transport.call("PATCH", path, query, body, APPLY_PATCH))

    async def replace(self, obj: Object) -> Object:
        identity = identify(obj)
        path = (await self._discovery.find(identity.type)).path(identity)
        try:
            return self._checked(await self._transport.call("PUT", path, {"fieldManager": FIELD_MANAGER}, obj))
        except NotFound as error:
            raise Conflict(409, "Conflict", f"{identity} is gone.") from error

    async def get(self, identity: Identity) -> Object | None:
        try:
            path = (await self._discovery.find(identity.type)).path(identity)
        except (Unsupported, Nameless):
            return None
        return await self._read(path)

    async def change(self, identity: Identity, patch: Mapping[str, Any]) -> Object | None:
        path = (await self._discovery.find(identity.type)).path(identity)
        try:
            return self._checked(await self._transport.call("PATCH", path, {"fieldManager": CHANGES}, patch, MERGE_PATCH))
        except NotFound:
            return None

    async def last_report(self, pod: Identity) -> Object:
        path = (await self._discovery.find(pod.type)).path(pod)
        try:
            return await self._transport.call("GET", f"{path}/log", {"tailLines": "1"})
        except ClusterError:
            return {}

    async def delete(self, identity: Identity, owner: str) -> bool:
        existing = await self.get(identity)
        if existing is None or not belongs(existing, owner):
            return True
        if is_leaving(existing):
            return False
        path = (await self._discovery.find(identity.type)).path(identity)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": existing["metadata"].get("uid")},
        }
        try:
            await self._transport.call("DELETE", path, None, options)
        except NotFound:
            return True
        except Conflict:
            return False
        return await self._read(path) is None

    async def watch(self, type_: ObjectType) -> AsyncGenerator[WatchEvent, None]:
        place = await self._discovery.find(type_)
        watch = Watch(self._transport, place.everywhere, type_, OWNER_LABEL, interval=30)
        async with contextlib.aclosing(watch.events()) as events:
            async for event in events:
                yield event

    def watch_nodes(self) -> AsyncGenerator[WatchEvent, None]:
        return Watch(self._transport, "/api/v1/nodes", NODE, None, self._node_interval).events()

    def watch_pods(self) -> AsyncGenerator[WatchEvent, None]:
        return Watch(self._transport, "/api/v1/pods", POD, None, interval=60).events()

    async def close(self) -> None:
        await self._transport.close()

    async def _read(self, path: str) -> Object | None:
        try:
            return self._checked(await self._transport.call("GET", path))
        except NotFound:
            return None

    def _checked(self, body: Mapping[str, Any]) -> Object:
        metadata = body.get("metadata")
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str) or "kind" not in body:
            raise garbage(self._transport.access.address)
        return body

    async def _create_namespace(self, name: str) -> None:
        """Create a namespace that stays: others may use it by the time the application goes."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            await self._transport.call("POST", "/api/v1/namespaces", {"fieldManager": FIELD_MANAGER}, body)
        except Conflict:
            return
