"""A cluster in the memory of a test: the port on the objects of a simulated one, without any HTTP."""

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from krake.adapters.kubernetes.apply import as_sent, belongs, check_owner
from krake.ports.cluster import (
    FIELD_MANAGER,
    Conflict,
    Identity,
    Object,
    ObjectType,
    Rejected,
    Unsupported,
    WatchEvent,
    identify,
    owner_of,
)
from krake.simulator.kubernetes.addresses import Addresses, NodePorts
from krake.simulator.kubernetes.kinds import Kind, Registry
from krake.simulator.kubernetes.patch.apply import Manager
from krake.simulator.kubernetes.resources import Deletion, Resources
from krake.simulator.kubernetes.status import ApiStatus
from krake.simulator.kubernetes.storage import Storage


class NumbersOfPorts(NodePorts):
    """Node ports that nobody listens on, and that are therefore not bound."""

    def take(self, port: int) -> None:
        self._sockets[port] = None

    def take_any(self) -> int | None:
        port = next((each for each in range(self.first, self.last + 1) if each not in self), None)
        if port is not None:
            self.take(port)
        return port


class MemoryCluster:
    """See `krake.ports.cluster.KubernetesCluster`; nothing but what is asked for happens on it."""

    default_namespace = "default"
    host = "127.0.0.1"

    def __init__(self) -> None:
        seconds = count()
        clock = lambda: datetime.fromtimestamp(1_800_000_000 + next(seconds), UTC)  # noqa: E731
        addresses = Addresses(NumbersOfPorts(30000, 32767, start=0))
        self.resources = Resources(Storage(1000), Registry(), addresses, clock)
        self.resources.create(self._kind(ObjectType("v1", "Namespace")), {"metadata": {"name": "default"}}, None)

    async def version(self) -> str:
        return "v1.31.0"

    async def is_namespaced(self, type_: ObjectType) -> bool:
        return self._kind(type_).namespaced

    async def apply(self, obj: Object) -> Object:
        existing = await self.get(identify(obj))
        if existing is not None:
            check_owner(existing, obj)
        return self._apply(obj, Manager(FIELD_MANAGER, "Apply", obj["apiVersion"]), force=existing is not None)

    def apply_as_somebody_else(self, obj: Object) -> Object:
        """What another one declares, who does not ask who else does."""
        return self._apply(obj, Manager("somebody-else", "Apply", obj["apiVersion"]), force=True)

    def _apply(self, obj: Object, manager: Manager, *, force: bool) -> Object:
        kind, key = self._place(identify(obj))
        try:
            return self.resources.apply(kind, key, as_sent(obj), manager, force=force, dry_run=False)[0]
        except ApiStatus as error:
            raise _rejected(error) from None

    async def replace(self, obj: Object) -> Object:
        kind, key = self._place(identify(obj))
        try:
            return self.resources.update(kind, key, dict(obj), Manager(FIELD_MANAGER, "Update", obj["apiVersion"]))
        except ApiStatus as error:
            raise _rejected(error) from None

    async def get(self, identity: Identity) -> Object | None:
        try:
            kind, key = self._place(identity)
        except Unsupported:
            return None
        return self.resources.storage.get(kind.resource, key)

    async def delete(self, identity: Identity, owner: str) -> bool:
        existing = await self.get(identity)
        if existing is None or not belongs(existing, owner):
            return True
        kind, key = self._place(identity)
        self.resources.delete(kind, key, Deletion())
        return await self.get(identity) is None

    async def change(self, identity: Identity, patch: Mapping[str, Any]) -> Object | None:
        raise NotImplementedError

    async def last_report(self, pod: Identity) -> Object:
        return {}

    async def watch(self, type_: ObjectType) -> AsyncGenerator[WatchEvent, None]:
        raise Rejected(405, "MethodNotAllowed", "Nothing is watched here.")
        yield

    watch_nodes = watch_pods = watch

    async def close(self) -> None:
        return

    def owned(self, owner: str) -> list[Object]:
        """All objects of an application."""
        return [obj for _, obj in self.resources.storage.everything() if owner_of(obj) == owner]

    @property
    def versions(self) -> dict[Identity, str]:
        """The version of each object; none changes unless something is written."""
        return {identify(obj): obj["metadata"]["resourceVersion"] for _, obj in self.resources.storage.everything()}

    def _kind(self, type_: ObjectType) -> Kind:
        for kind in self.resources.registry:
            if (kind.api_version, kind.kind) == type_:
                return kind
        raise Unsupported(type_)

    def _place(self, identity: Identity) -> tuple[Kind, Any]:
        return self._kind(identity.type), (identity.namespace or "", identity.name)


def _rejected(error: ApiStatus) -> Rejected:
    return (Conflict if error.code == 409 else Rejected)(error.code, error.reason, str(error))
