"""What is taken of a cluster: by its tenants, and by others that it tells of. Pure."""

from collections.abc import Mapping
from copy import copy
from typing import Self

from krake.controller.scheduler.deciding.tenants import Tenant
from krake.data import Key
from krake.data.requests import Amounts

_NOTHING: Amounts = {}


class Account:
    """Some tenants, and what they ask for together.

    :ivar tenants: by key.
    :ivar used: what they ask for, in thousandths by resource.
    """

    def __init__(self) -> None:
        self.tenants: dict[Key, Tenant] = {}
        self.used: dict[str, int] = {}

    def enter(self, tenant: Tenant) -> None:
        """Count a tenant in place of what was known of it."""
        if (before := self.tenants.get(tenant.key)) is not None:
            _add(self.used, before.requests, -1)
        self.tenants[tenant.key] = tenant
        _add(self.used, tenant.requests)

    def leave(self, key: Key) -> None:
        """Count a tenant no more."""
        _add(self.used, self.tenants.pop(key).requests, -1)

    def copy(self) -> Self:
        """Return an account that can be changed without a trace in this one."""
        account = copy(self)
        account.tenants, account.used = dict(self.tenants), dict(self.used)
        return account


class ClusterAccount(Account):
    """The tenants of a cluster, and what is taken of it.

    What a cluster tells is late: Pods of a tenant that was just bound are not in it yet, and those of one that has left still
    are. Whose Pods come and go is not told either. So what is told of additionally is taken for the tenants whose Pods have yet
    to come, as far as there are such, and what is told of no more for those that have left; the rest are others. In doubt, more
    counts as taken, until all tenants have settled.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: Amounts | None = None
        """What the cluster last told of: all its Pods."""
        self._come: dict[str, int] = {}
        """How much of that are Pods of tenants."""
        self._going: dict[str, int] = {}
        """How much of that are Pods of those that have left."""
        self._settled: dict[str, int] = {}
        """What those tenants ask for of whom it is known that they run there."""
        self._settled_then: dict[str, int] = {}
        """The same, when the cluster told last."""
        self._load: tuple[Amounts, float] | None = None

    def enter(self, tenant: Tenant) -> None:
        """Count a tenant in place of what was known of it."""
        before = self.tenants.get(tenant.key)
        if before is not None:
            self._settle(before, -1)
            if before.settled:
                self._recede({name: each - tenant.requests.get(name, 0) for name, each in before.requests.items()})
        elif tenant.settled:
            _add(self._come, tenant.requests)
        self._settle(tenant, 1)
        super().enter(tenant)
        self._load = None

    def leave(self, key: Key) -> None:
        """Count a tenant no more, though its Pods may still be there."""
        tenant = self.tenants[key]
        self._settle(tenant, -1)
        if not tenant.assumed:
            self._recede(tenant.requests)
        super().leave(key)
        self._load = None

    def _settle(self, tenant: Tenant, sign: int) -> None:
        if tenant.settled:
            _add(self._settled, tenant.requests, sign)

    def _recede(self, amounts: Amounts) -> None:
        """Take in that Pods are no more those of a tenant, as far as they have come."""
        for name, amount in amounts.items():
            receding = max(min(amount, self._come.get(name, 0)), 0)
            _add(self._come, {name: -receding})
            _add(self._going, {name: receding})

    def observe(self, told: Amounts) -> None:
        """Take in what all Pods on the cluster have asked for."""
        before = told if self._told is None else self._told
        for name in {*before, *told, *self._settled_then}:
            change = told.get(name, 0) - before.get(name, 0)
            come, used = self._come.get(name, 0), self.used.get(name, 0)
            if change > 0:
                come += min(change, max(used - come, 0))
            else:
                self._going[name] = max(self._going.get(name, 0) + change, 0)
            # Who was there already when the cluster told before is in what it tells by now.
            known = min(self._settled_then.get(name, 0), self._settled.get(name, 0))
            self._come[name] = max(come, known)
        self._told, self._settled_then = told, dict(self._settled)
        self._load = None

    def taken(self, name: str, *, at_once: bool = False) -> int:
        """Return how much of a resource is taken, by tenants and by others.

        :param at_once: whether what a tenant leaves is free as soon as it is bound elsewhere, not only when its Pods are gone.
        """
        used, told, come = self.used.get(name, 0), (self._told or _NOTHING).get(name, 0), self._come.get(name, 0)
        if at_once:
            told -= self._going.get(name, 0)
        return max(used, told + max(used - come, 0))

    def load(self, room: Amounts) -> float:
        """Return the share of a cluster that is taken, by the resource of which the largest is.

        :param room: what there is; not empty.
        """
        if self._load is None or self._load[0] is not room:
            share = max((self.taken(name) / amount for name, amount in room.items() if amount), default=1.0)
            self._load = room, share
        return self._load[1]

    def copy(self) -> Self:
        """Return an account that can be changed without a trace in this one."""
        account = super().copy()
        account._come, account._going = dict(self._come), dict(self._going)
        account._settled, account._settled_then = dict(self._settled), dict(self._settled_then)
        return account


def _add(total: dict[str, int], amounts: Mapping[str, int], sign: int = 1) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0) + sign * amount
