"""Rules about the others: whether an application finds room on a cluster, and company that it can stand. Pure.

Unlike those of ``filters`` they depend on where the others are, so their answers are good for one decision only; ``decide``
asks them last, and only of clusters that are worth choosing. They are for who comes: who is there stays, whatever they say.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

from krake.controller.scheduler.deciding.filters import RULES, Refusal, fitting
from krake.controller.scheduler.deciding.groups import Counts
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate, Snapshot
from krake.controller.scheduler.deciding.tenants import Distance, Selector, Tenant, matches, requests_on
from krake.data import ResourceRef
from krake.data.kubernetes import Application
from krake.data.quotas import Quota
from krake.data.requests import Amounts, write_amount
from krake.data.scheduling import Spread

_ALL_RESOURCES = 32
"""A cluster tells of no more resources than that: there may be others of which it does not."""

Check = Callable[[Candidate], str | None]


@dataclass(frozen=True)
class Objection:
    """What speaks against some clusters, by the company that is there.

    :param where: the set of these clusters.
    :param required: whether they are out of the question; else they are only to be avoided.
    :param explain: says why it is one of them.
    """

    rule: str
    where: int
    required: bool
    explain: Callable[[Candidate], str]


class Crowd:
    """The others, as one application finds them; what is the same for all clusters is worked out once."""

    def __init__(self, app: Application, snapshot: Snapshot) -> None:
        self._app, self._snapshot, self._ledger = app, snapshot, snapshot.ledger
        self._namespace = app.metadata.namespace
        self._self: Tenant | None = snapshot.ledger.tenant(app.key)

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """Return why the application does not find room on a cluster, or nothing."""
        status, ref = self._app.status, candidate.ref
        if ref in (status.scheduled_to, status.running_on) or (self._self is not None and self._self.place == ref):
            return None
        for name, check in self._checks:
            if (message := check(candidate)) is not None:
                return Refusal(name, message)
        position = self._snapshot.fleet.positions[ref]
        objection = next((each for each in self._objections if each.required and each.where >> position & 1), None)
        return None if objection is None else Refusal(objection.rule, objection.explain(candidate))

    @cached_property
    def forbidden(self) -> int:
        """The set of the clusters that are out of the question for their company."""
        return reduce(or_, (each.where for each in self._objections if each.required), 0)

    @cached_property
    def avoided(self) -> list[Objection]:
        """What speaks against clusters that are to be avoided, if there are others."""
        return [each for each in self._objections if not each.required]

    @cached_property
    def _checks(self) -> list[tuple[str, Check]]:
        """The rules that may refuse a cluster to the application, in the order in which they are asked."""
        checks: list[tuple[str, Check]] = []
        quotas = sorted(self._ledger.quotas(self._namespace), key=lambda each: each.metadata.name)
        if quotas:
            checks.append(("quota", lambda candidate: self._exceeds(quotas, candidate)))
        checks.append(("capacity", self._lacks_room))
        return checks

    @cached_property
    def _objections(self) -> list[Objection]:
        """What the company of clusters says against them, in the order in which it is asked."""
        constraints = self._app.spec.constraints
        return [
            *(self._keep_apart(Distance.of(each)) for each in constraints.anti_affinity),
            *(self._be_kept_apart(*each) for each in self._those_who_mind()),
            *(self._spread(each) for each in constraints.spread),
        ]

    def _exceeds(self, quotas: Iterable[Quota], candidate: Candidate) -> str | None:
        requests = requests_on(self._app, candidate.cluster)
        return next((message for quota in quotas if (message := self._exceeds_one(quota, requests))), None)

    def _exceeds_one(self, quota: Quota, requests: Amounts) -> str | None:
        placed = self._self if self._self is not None and self._self.place is not None else None
        limit, name = quota.spec.applications, quota.metadata.name
        if limit is not None and placed is None and (number := self._ledger.placed_in(self._namespace)) >= limit:
            return f"The quota {name} lets {limit} applications of the namespace be placed, and {number} are."
        used = self._ledger.used_in(self._namespace)
        for resource, most in quota.spec.amounts.items():
            ours = placed.requests.get(resource, 0) if placed is not None else 0
            others, wanted = used.get(resource, 0) - ours, requests.get(resource, 0)
            if wanted > ours and others + wanted > most:
                return (
                    f"The application asks for {write_amount(wanted)} of {resource}; of the {write_amount(most)} that the "
                    f"quota {name} lets the namespace have, {write_amount(others)} are taken."
                )
        return None

    def _lacks_room(self, candidate: Candidate) -> str | None:
        requests, room = requests_on(self._app, candidate.cluster), candidate.cluster.status.room
        resource = find_shortage(requests, candidate, self._ledger)
        if resource is None:
            return None
        asks = f"The application asks for {write_amount(requests[resource])} of {resource};"
        if resource not in room:
            return f"{asks} the cluster has none."
        taken = self._ledger.taken(candidate.ref, resource)
        return f"{asks} of the {write_amount(room[resource])} of the cluster, {write_amount(taken)} are taken."

    def _those_who_mind(self) -> Iterator[tuple[Distance, Counts]]:
        """Yield which others keep apart from this application, and where they are."""
        for distance, counts in self._ledger.minding(self._namespace, self._app.metadata.labels):
            ours = self._self is not None and distance in self._self.distances
            yield distance, self._without_self(counts) if ours else counts

    def _keep_apart(self, distance: Distance) -> Objection:
        whom = _write_selector(distance.labels)
        found: dict[Hashable, Tenant] = {}

        def explain(candidate: Candidate) -> str:
            if not found:
                found.update(self._find_those_there(distance))
            who = _write_who(found.get(_place_of(candidate, distance.over)), candidate)
            return f"The application keeps apart from {whom}, and {who}."

        where = self._locate(self._count(distance.labels), distance.over)
        return Objection("anti-affinity", where, distance.required, explain)

    def _be_kept_apart(self, distance: Distance, counts: Counts) -> Objection:
        whom = _write_selector(distance.labels)

        def explain(candidate: Candidate) -> str:
            return f"{_write_place(candidate, distance.over)} holds an application that keeps apart from {whom}."

        return Objection("anti-affinity", self._locate(counts, distance.over), distance.required, explain)

    def _spread(self, spread: Spread) -> Objection:
        selector = tuple(spread.labels)
        numbers = self._numbers(selector, spread.over)
        fewest = self._find_fewest(numbers, spread.over)
        crowded = [place for place, number in numbers.items() if number + 1 - fewest > spread.max_skew]

        def explain(candidate: Candidate) -> str:
            place = _place_of(candidate, spread.over)
            if spread.over is not None and place == candidate.ref:
                return f"The application is spread over the label {spread.over}; the cluster has no such label."
            where = _write_place(candidate, spread.over)
            return (
                f"The application is spread: {where} holds {numbers.get(place, 0)} of {_write_selector(selector)}, another "
                f"place only {fewest}, and the difference may be {spread.max_skew}."
            )

        unlabelled = 0 if spread.over is None else self._labelled(spread.over).get(None, 0)
        return Objection("spread", (self._set_of(crowded, spread.over) | unlabelled) & ~self._own, spread.required, explain)

    def _locate(self, counts: Counts, over: str | None) -> int:
        """Return the set of the clusters that are where some are, but for its own."""
        there = (each for ref in counts if (each := self._snapshot.fleet.find(ref)) is not None)
        return self._set_of({_place_of(each, over) for each in there}, over) & ~self._own

    def _set_of(self, places: Iterable[Hashable], over: str | None) -> int:
        """Return the set of the clusters that are in some places."""
        positions, labelled, found = self._snapshot.fleet.positions, {} if over is None else self._labelled(over), 0
        for place in places:
            found |= 1 << positions[place] if isinstance(place, ResourceRef) else labelled[place]
        return found

    def _labelled(self, over: str) -> Mapping[Hashable, int]:
        return self._snapshot.fleet.grouped(("label", over), lambda each: each.cluster.metadata.labels.get(over))

    @cached_property
    def _own(self) -> int:
        """The set of the cluster that it counts on, if it does: nothing speaks against that."""
        place = None if self._self is None or self._self.place is None else self._snapshot.fleet.positions.get(self._self.place)
        return 0 if place is None else 1 << place

    def _numbers(self, selector: Selector, over: str | None) -> dict[Hashable, int]:
        """Return how many others are in each place that holds some."""
        numbers: dict[Hashable, int] = {}
        for ref, number in self._count(selector).items():
            if (candidate := self._snapshot.fleet.find(ref)) is not None:
                place = _place_of(candidate, over)
                numbers[place] = numbers.get(place, 0) + number
        return numbers

    def _find_fewest(self, numbers: Mapping[Hashable, int], over: str | None) -> int:
        """Return how many others are where the fewest are, of the places that the application could go to, were there room.

        :param numbers: in each place that holds some.
        """
        fleet = self._snapshot.fleet
        found = fitting(RULES, self._app, fleet, self._snapshot.settings)
        if over is not None:
            places = self._labelled(over).items()
            return min((numbers.get(value, 0) for value, members in places if value is not None and members & found), default=0)
        held = [number for ref, number in numbers.items() if isinstance(ref, ResourceRef) and found >> fleet.positions[ref] & 1]
        return min(held) if held and len(held) == found.bit_count() else 0

    def _count(self, selector: Selector) -> Counts:
        """Return where the others are that a selector means."""
        counts = self._ledger.count(self._namespace, selector)
        return self._without_self(counts) if self._self is not None and matches(selector, self._self.labels) else counts

    def _without_self(self, counts: Counts) -> Counts:
        place = self._self.place if self._self is not None else None
        if place is None or place not in counts:
            return counts
        return {ref: number - (ref == place) for ref, number in counts.items() if number > (ref == place)}

    def _find_those_there(self, distance: Distance) -> dict[Hashable, Tenant]:
        """Return one of those whom a distance is about for each place that holds some."""
        found: dict[Hashable, Tenant] = {}
        for tenant in self._ledger.members(self._namespace, distance.labels):
            there = self._snapshot.fleet.find(tenant.place)
            if tenant.key != self._app.key and there is not None:
                found.setdefault(_place_of(there, distance.over), tenant)
        return found


def _place_of(candidate: Candidate, over: str | None) -> Hashable:
    """Return what is taken as one place: all clusters with the same label, or the cluster by itself."""
    value = None if over is None else candidate.cluster.metadata.labels.get(over)
    return candidate.ref if value is None else value


def _write_who(tenant: Tenant | None, candidate: Candidate) -> str:
    if tenant is None or tenant.place is None:
        return "one of them is there"
    return f"{tenant.key.name} is {'there' if tenant.place == candidate.ref else f'on {tenant.place.name}'}"


def _write_place(candidate: Candidate, over: str | None) -> str:
    value = None if over is None else candidate.cluster.metadata.labels.get(over)
    return "The cluster" if value is None else f"What has {over} {value}"


def _write_selector(selector: Selector) -> str:
    return " and ".join(f"'{each}'" for each in selector) or "all others"


def count_clusters(quotas: Iterable[Quota], created: int) -> str | None:
    """Return why no more clusters may be created in a namespace, or nothing.

    :param created: how many of its clusters are bound to clouds.
    """
    for quota in quotas:
        if quota.spec.clusters is not None and created >= quota.spec.clusters:
            limit, name = quota.spec.clusters, quota.metadata.name
            return f"The quota {name} lets {limit} clusters of the namespace be created, and {created} are."
    return None


def find_shortage(requests: Amounts, candidate: Candidate, ledger: Ledger) -> str | None:
    """Return the first resource of which a cluster has less left than is asked for, or nothing."""
    room = candidate.cluster.status.room
    if not room:
        return None  # nobody knows how large the cluster is
    for resource, wanted in requests.items():
        if resource not in room:
            if "/" in resource and len(room) < _ALL_RESOURCES:
                return resource
        elif wanted and ledger.taken(candidate.ref, resource) + wanted > room[resource]:
            return resource
    return None


Load = tuple[bool, float, int]
"""Whether the size of a cluster is unknown, the share of it that is taken, and the number of its tenants."""


def load_of(candidate: Candidate, ledger: Ledger) -> Load:
    """Return how loaded a cluster is; of clusters that suit equally well the one with the least gets a newcomer."""
    ref, room = candidate.ref, candidate.cluster.status.room
    tenants = len(ledger.tenants_on(ref))
    return (False, ledger.load(ref, room), tenants) if room else (True, 0.0, tenants)
