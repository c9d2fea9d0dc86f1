"""Who is meant by labels: the tenants of a namespace, found and counted by what selectors say. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from krake.controller.scheduler.deciding.accounts import Account
from krake.controller.scheduler.deciding.tenants import Distance, Selector, Tenant, matches
from krake.data import Key, ResourceRef

REMEMBERED = 256
"""So many groups are counted at most; beyond that all are counted anew, as they are asked for."""

K = TypeVar("K")
Label = tuple[str, str]
Counts = Mapping[ResourceRef, int]
"""How many tenants are on each cluster that has some."""


def anchors_of(selector: Selector) -> frozenset[Label] | None:
    """Return labels of which everybody has one whom a selector means; ``None`` if there are none."""
    for constraint in selector:
        terms = constraint.alternatives
        if all(term.operation == "in" for term in terms):
            return frozenset((term.key, value) for term in terms for value in getattr(term, "values", ()))
    return None


class Register(Generic[K]):
    """Counts by selectors, in which those are found quickly that mean somebody: one by one they may be many."""

    def __init__(self) -> None:
        self._counts: dict[K, dict[ResourceRef, int]] = {}
        self._by_label: dict[Label | None, dict[K, Selector]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def get(self, key: K) -> dict[ResourceRef, int] | None:
        """Return the counts of what is registered."""
        return self._counts.get(key)

    def add(self, key: K, selector: Selector) -> dict[ResourceRef, int]:
        """Register something, unless it is, and return its counts."""
        if key not in self._counts:
            self._counts[key] = {}
            for label in self._labels(selector):
                self._by_label.setdefault(label, {})[key] = selector
        return self._counts[key]

    def remove(self, key: K, selector: Selector) -> None:
        """Forget something."""
        del self._counts[key]
        for label in self._labels(selector):
            del self._by_label[label][key]
            if not self._by_label[label]:
                del self._by_label[label]

    def meaning(self, labels: Mapping[str, str]) -> Iterator[tuple[K, dict[ResourceRef, int]]]:
        """Yield what is registered whose selector means who has these labels, with its counts."""
        found = {key: each for label in (None, *labels.items()) for key, each in self._by_label.get(label, {}).items()}
        return ((key, self._counts[key]) for key, selector in found.items() if matches(selector, labels))

    def copy(self) -> "Register[K]":
        """Return a register that can be changed without a trace in this one."""
        register = Register[K]()
        register._counts = {key: dict(counts) for key, counts in self._counts.items()}
        register._by_label = {label: dict(found) for label, found in self._by_label.items()}
        return register

    @staticmethod
    def _labels(selector: Selector) -> Iterable[Label | None]:
        anchors = anchors_of(selector)
        return (None,) if anchors is None else anchors


class Namespace:
    """The tenants of a namespace that are bound to clusters.

    :ivar account: what they ask for together.
    """

    def __init__(self) -> None:
        self.account = Account()
        self._by_label: dict[Label, dict[Key, Tenant]] = {}
        self._unavailable: dict[Key, Tenant] = {}
        self._groups: Register[Selector] = Register()
        self._distances: Register[Distance] = Register()

    def enter(self, tenant: Tenant) -> None:
        """Count a tenant that is not counted yet."""
        self.account.enter(tenant)
        if not tenant.available:
            self._unavailable[tenant.key] = tenant
        for label in tenant.labels.items():
            self._by_label.setdefault(label, {})[tenant.key] = tenant
        self._count(tenant, 1)

    def leave(self, tenant: Tenant) -> None:
        """Count a tenant no more."""
        self.account.leave(tenant.key)
        self._unavailable.pop(tenant.key, None)
        for label in tenant.labels.items():
            del self._by_label[label][tenant.key]
            if not self._by_label[label]:
                del self._by_label[label]
        self._count(tenant, -1)

    def _count(self, tenant: Tenant, change: int) -> None:
        assert tenant.place is not None
        for _, counts in self._groups.meaning(tenant.labels):
            _change(counts, tenant.place, change)
        for distance in tenant.distances:
            counts = self._distances.add(distance, distance.labels)
            _change(counts, tenant.place, change)
            if not counts:
                self._distances.remove(distance, distance.labels)

    def count(self, selector: Selector) -> Counts:
        """Return on which clusters those are that a selector means, and how many."""
        if (counts := self._groups.get(selector)) is None:
            if len(self._groups) >= REMEMBERED:
                self._groups = Register()
            counts = self._groups.add(selector, selector)
            for tenant in self.members(selector):
                assert tenant.place is not None
                _change(counts, tenant.place, 1)
        return counts

    def members(self, selector: Selector) -> Iterator[Tenant]:
        """Yield those that a selector means."""
        anchors = anchors_of(selector)
        if anchors is None:
            found = self.account.tenants
        else:
            found = {key: each for label in anchors for key, each in self._by_label.get(label, {}).items()}
        return (tenant for tenant in found.values() if matches(selector, tenant.labels))

    def unavailable(self, selector: Selector) -> Iterator[Tenant]:
        """Yield those that a selector means and that are on their way, or out of order."""
        return (tenant for tenant in self._unavailable.values() if matches(selector, tenant.labels))

    def minding(self, labels: Mapping[str, str]) -> Iterator[tuple[Distance, Counts]]:
        """Yield the distances that are kept from who has these labels, each with where those are who keep it."""
        return self._distances.meaning(labels)

    def copy(self) -> "Namespace":
        """Return the same, to be changed without a trace in this one."""
        namespace = Namespace()
        namespace.account = self.account.copy()
        namespace._unavailable = dict(self._unavailable)
        namespace._by_label = {label: dict(found) for label, found in self._by_label.items()}
        namespace._distances = self._distances.copy()
        return namespace


def _change(counts: dict[ResourceRef, int], place: ResourceRef, change: int) -> None:
    number = counts.get(place, 0) + change
    if number:
        counts[place] = number
    else:
        counts.pop(place, None)
