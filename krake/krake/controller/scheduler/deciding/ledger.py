"""Who is where: all tenants, by the cluster that they are bound to. Pure: the shell puts them in, decisions only read."""

from collections.abc import Iterable, Mapping, Sequence

from krake.controller.scheduler.deciding.accounts import ClusterAccount
from krake.controller.scheduler.deciding.groups import Counts, Namespace
from krake.controller.scheduler.deciding.tenants import Distance, Selector, Tenant
from krake.data import Key, ResourceRef
from krake.data.quotas import Quota
from krake.data.requests import Amounts

JOURNAL = 4096
"""So many changes are kept at most, for those who look now and then."""
_NOBODY = Namespace()
_EMPTY = ClusterAccount()


class Ledger:
    """All tenants, and the sums of what they ask for on each cluster and in each namespace.

    To put in, to drop and to ask takes no longer with many tenants than with few. Only the members of a group that nobody has
    asked for before are counted one by one.

    :ivar changes: counts how often anything was put in or dropped.
    :param at_once: whether the room of who leaves a cluster is free at once, as plans have it, and not only when the cluster
        tells that it is.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.changes = 0
        self._at_once = at_once
        self._tenants: dict[Key, Tenant] = {}
        self._accounts: dict[ResourceRef, ClusterAccount] = {}
        self._namespaces: dict[str | None, Namespace] = {}
        self._quotas: dict[str | None, dict[str, Quota]] = {}
        self._journal: list[ResourceRef] = []
        """The clusters on which something has changed, the latest last."""
        self._forgotten = 0
        """The number of those that are not in the journal any more."""

    def put(self, tenant: Tenant) -> None:
        """Take in a tenant in place of what was known of it before."""
        self.changes += 1
        before = self._tenants.get(tenant.key)
        if before is not None and before.place is not None and before.place == tenant.place:
            self._namespaces[tenant.key.namespace].leave(before)
        else:
            self.drop(tenant.key)
        self._tenants[tenant.key] = tenant
        if tenant.place is not None:
            self._accounts.setdefault(tenant.place, ClusterAccount()).enter(tenant)
            self._enter_in_journal(tenant.place)
            self._namespaces.setdefault(tenant.key.namespace, Namespace()).enter(tenant)

    def drop(self, key: Key) -> None:
        """Forget a tenant, if it is known."""
        self.changes += 1
        tenant = self._tenants.pop(key, None)
        if tenant is not None and tenant.place is not None:
            self._accounts[tenant.place].leave(key)
            self._enter_in_journal(tenant.place)
            self._namespaces[key.namespace].leave(tenant)

    def observe(self, ref: ResourceRef, told: Amounts) -> None:
        """Take in what all Pods on a cluster have asked for, those of its tenants included, as its status tells."""
        self._accounts.setdefault(ref, ClusterAccount()).observe(told)
        self._enter_in_journal(ref)

    def forget(self, ref: ResourceRef) -> None:
        """Take in that a cluster is gone. Who is bound to it still is."""
        if (before := self._accounts.pop(ref, None)) is not None and before.tenants:
            self._accounts[ref] = account = ClusterAccount()
            for tenant in before.tenants.values():
                account.enter(tenant)
        self._enter_in_journal(ref)

    def _enter_in_journal(self, ref: ResourceRef) -> None:
        if len(self._journal) >= JOURNAL:
            self._forgotten += len(self._journal)
            self._journal.clear()
        self._journal.append(ref)

    def changes_since(self, seen: int) -> tuple[int, Sequence[ResourceRef] | None]:
        """Return on which clusters something has changed since the last look; ``None`` if that may be any.

        :param seen: what this method returned first then; -1 if it was never asked.
        """
        end = self._forgotten + len(self._journal)
        return end, None if seen < self._forgotten else self._journal[seen - self._forgotten :]

    def set_quota(self, key: Key, quota: Quota | None) -> None:
        """Take in a quota, or that it is gone."""
        quotas = self._quotas.setdefault(key.namespace, {})
        quotas.pop(key.name, None)
        if quota is not None:
            quotas[key.name] = quota

    def quotas(self, namespace: str | None) -> Iterable[Quota]:
        """Return the quotas of a namespace."""
        return self._quotas.get(namespace, {}).values()

    def tenant(self, key: Key) -> Tenant | None:
        """Return what is known of a tenant."""
        return self._tenants.get(key)

    def tenants_on(self, ref: ResourceRef) -> Mapping[Key, Tenant]:
        """Return the tenants that are bound to a cluster, by key."""
        return self._accounts.get(ref, _EMPTY).tenants

    def used(self, ref: ResourceRef) -> Amounts:
        """Return what the tenants of a cluster ask for together, in thousandths by resource."""
        return self._accounts.get(ref, _EMPTY).used

    def taken(self, ref: ResourceRef, name: str) -> int:
        """Return how much of a resource of a cluster is taken by its tenants and by others, in thousandths."""
        return self._accounts.get(ref, _EMPTY).taken(name, at_once=self._at_once)

    def load(self, ref: ResourceRef, room: Amounts) -> float:
        """Return the share of a cluster that is taken, by the resource of which the largest is.

        :param room: what there is, by resource; not empty.
        """
        account = self._accounts.get(ref)
        return 0.0 if account is None else account.load(room)

    def placed_in(self, namespace: str | None) -> int:
        """Return how many tenants of a namespace are bound to clusters."""
        return len(self._namespaces.get(namespace, _NOBODY).account.tenants)

    def used_in(self, namespace: str | None) -> Amounts:
        """Return what the tenants of a namespace ask for together, in thousandths by resource."""
        return self._namespaces.get(namespace, _NOBODY).account.used

    def count(self, namespace: str | None, selector: Selector) -> Counts:
        """Return on which clusters tenants of a namespace are that a selector means, and how many."""
        found = self._namespaces.get(namespace)
        return {} if found is None else found.count(selector)

    def members(self, namespace: str | None, selector: Selector) -> Iterable[Tenant]:
        """Yield the tenants of a namespace that a selector means."""
        return self._namespaces.get(namespace, _NOBODY).members(selector)

    def unavailable(self, namespace: str | None, selector: Selector) -> Iterable[Tenant]:
        """Yield the tenants of a namespace that a selector means and that are on their way, or out of order."""
        return self._namespaces.get(namespace, _NOBODY).unavailable(selector)

    def minding(self, namespace: str | None, labels: Mapping[str, str]) -> Iterable[tuple[Distance, Counts]]:
        """Yield what distances tenants of a namespace keep from who has some labels, each with where those are who do."""
        return self._namespaces.get(namespace, _NOBODY).minding(labels)

    def fork(self, *, at_once: bool | None = None) -> "Ledger":
        """Return a copy that can be changed without a trace in this one, and this one without a trace in it.

        :param at_once: as for a new ledger; by default as it is here.
        """
        fork = Ledger(at_once=self._at_once if at_once is None else at_once)
        fork._tenants = dict(self._tenants)
        fork._accounts = {ref: account.copy() for ref, account in self._accounts.items()}
        fork._namespaces = {name: namespace.copy() for name, namespace in self._namespaces.items()}
        fork._quotas = {name: dict(quotas) for name, quotas in self._quotas.items()}
        return fork
