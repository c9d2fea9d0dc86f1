"""Who is where: all tenants, by the cluster that they are bound to. Pure: the shell puts them in, decisions only read."""

from collections.abc import Mapping
from types import MappingProxyType

from krake.controller.scheduler.tenants import Tenant
from krake.data import Key, ResourceRef

_NOBODY: Mapping[Key, Tenant] = MappingProxyType({})


class Ledger:
    """All tenants, and the sums of what they ask for on each cluster."""

    def __init__(self) -> None:
        self._tenants: dict[Key, Tenant] = {}
        self._places: dict[ResourceRef, dict[Key, Tenant]] = {}

    def put(self, tenant: Tenant) -> None:
        """Take in a tenant in place of what was known of it before."""
        self.drop(tenant.key)
        self._tenants[tenant.key] = tenant
        if tenant.place is not None:
            self._places.setdefault(tenant.place, {})[tenant.key] = tenant

    def drop(self, key: Key) -> None:
        """Forget a tenant, if it is known."""
        tenant = self._tenants.pop(key, None)
        if tenant is not None and tenant.place is not None:
            del self._places[tenant.place][key]

    def tenant(self, key: Key) -> Tenant | None:
        """Return what is known of a tenant."""
        return self._tenants.get(key)

    def tenants_on(self, ref: ResourceRef) -> Mapping[Key, Tenant]:
        """Return the tenants that are bound to a cluster, by key."""
        return self._places.get(ref, _NOBODY)

    def used(self, ref: ResourceRef) -> dict[str, float]:
        """Return what the tenants of a cluster ask for together, by resource."""
        used: dict[str, float] = {}
        for tenant in self.tenants_on(ref).values():
            for name, amount in tenant.requests.items():
                used[name] = used.get(name, 0.0) + amount
        return used

    def fork(self) -> "Ledger":
        """Return a copy that can be changed without a trace in this one."""
        fork = Ledger()
        fork._tenants = dict(self._tenants)
        fork._places = {ref: dict(tenants) for ref, tenants in self._places.items()}
        return fork
