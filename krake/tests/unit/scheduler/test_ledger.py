"""Who is where and what is taken, compared with what is counted anew, and with what really happens on clusters."""

import timeit
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.tenants import Distance, Tenant, matches
from krake.data import Key, ResourceRef
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import Cluster

NAMES = tuple("abcdef")
PLACES = tuple(Cluster.definition.ref(Key("red", name)) for name in ("east", "north", "west"))
WEB = (LabelConstraint.parse("app is web"),)
ALL: tuple[LabelConstraint, ...] = ()
SOME = (LabelConstraint.parse("app in (web, shop) or tier is front"), LabelConstraint.parse("tier not exists"))
GROUPS = (WEB, ALL, SOME)
LABELS: tuple[dict[str, str], ...] = ({}, {"app": "web"}, {"app": "shop", "tier": "front"}, {"app": "shop"})

tenants = st.builds(
    Tenant,
    key=st.builds(Key, st.sampled_from(["red", "blue"]), st.sampled_from(NAMES)),
    labels=st.sampled_from(LABELS),
    place=st.none() | st.sampled_from(PLACES),
    requests=st.dictionaries(st.sampled_from(["cpu", "memory"]), st.integers(1, 9)),
    running=st.booleans(),
    distances=st.lists(st.sampled_from([Distance(WEB, None), Distance(ALL, "zone"), Distance(SOME, None)]), unique=True).map(
        tuple
    ),
)
steps = st.lists(st.tuples(st.sampled_from(["put", "put", "drop", "ask", "tell"]), tenants), max_size=30)


def play(ledger: Ledger, known: dict[Key, Tenant], kind: str, tenant: Tenant) -> None:
    """Do the same to a ledger and to a plain mapping."""
    if kind == "put":
        ledger.put(tenant)
        known[tenant.key] = tenant
    elif kind == "drop":
        ledger.drop(tenant.key)
        known.pop(tenant.key, None)
    elif kind == "tell" and tenant.place is not None:
        ledger.observe(tenant.place, tenant.requests)
    else:
        ledger.count(tenant.key.namespace, WEB)


def add_up(found: list[Tenant]) -> dict[str, int]:
    total: dict[str, int] = {}
    for tenant in found:
        for name, amount in tenant.requests.items():
            total[name] = total.get(name, 0) + amount
    return total


def tally(found: list[Tenant]) -> dict[ResourceRef, int]:
    return {place: number for place in PLACES if (number := sum(each.place == place for each in found))}


def see(ledger: Ledger) -> dict[str, Any]:
    """Everything that a ledger tells."""
    seen: dict[str, Any] = {}
    for place in PLACES:
        seen[f"on {place}"] = dict(ledger.tenants_on(place))
        seen[f"used {place}"] = {name: each for name, each in ledger.used(place).items() if each}
        seen[f"taken {place}"] = [ledger.taken(place, name) for name in ("cpu", "memory")]
    for name in ("red", "blue"):
        seen[f"used in {name}"] = {resource: each for resource, each in ledger.used_in(name).items() if each}
        seen[f"placed in {name}"] = ledger.placed_in(name)
        seen[f"groups in {name}"] = [dict(ledger.count(name, selector)) for selector in GROUPS]
        for labels in LABELS:
            seen[f"minding {labels} in {name}"] = {each: dict(counts) for each, counts in ledger.minding(name, labels)}
    return seen


def expect(known: dict[Key, Tenant]) -> dict[str, Any]:
    """What there is to tell of tenants, counted anew."""
    seen: dict[str, Any] = {}
    for place in PLACES:
        there = [each for each in known.values() if each.place == place]
        seen[f"on {place}"] = {each.key: each for each in there}
        seen[f"used {place}"] = add_up(there)
    for name in ("red", "blue"):
        placed = [each for each in known.values() if each.key.namespace == name and each.place is not None]
        seen[f"used in {name}"], seen[f"placed in {name}"] = add_up(placed), len(placed)
        seen[f"groups in {name}"] = [tally([each for each in placed if matches(group, each.labels)]) for group in GROUPS]
        distances = {distance for each in placed for distance in each.distances}
        for labels in LABELS:
            minding = {each for each in distances if matches(each.labels, labels)}
            seen[f"minding {labels} in {name}"] = {
                each: tally([it for it in placed if each in it.distances]) for each in minding
            }
    return seen


@given(steps)
def test_what_is_kept_is_what_is_counted_anew(changes: list[tuple[str, Tenant]]) -> None:
    ledger, known = Ledger(), dict[Key, Tenant]()
    for kind, tenant in changes:
        play(ledger, known, kind, tenant)
        seen = see(ledger)
        assert {name: seen[name] for name in expect(known)} == expect(known)


@given(steps, steps, steps)
def test_a_fork_and_its_parent_leave_no_trace_in_each_other(
    before: list[tuple[str, Tenant]], ours: list[tuple[str, Tenant]], theirs: list[tuple[str, Tenant]]
) -> None:
    parent, known = Ledger(), dict[Key, Tenant]()
    for step in before:
        play(parent, known, *step)
    fork, forked = parent.fork(), dict(known)
    assert see(fork) == see(parent)
    was = see(parent)
    for step in theirs:
        play(fork, forked, *step)
    assert see(parent) == was
    was = see(fork)
    for step in ours:
        play(parent, known, *step)
    assert see(fork) == was


NORTH = PLACES[1]


@dataclass
class Truth:
    """A cluster as it is: Pods come late and go late, and are told of late."""

    others: int
    ledger: Ledger = field(default_factory=Ledger)
    bound: dict[str, int] = field(default_factory=dict)
    pods: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tell()

    def bind(self, name: str, size: int) -> None:
        if name not in self.bound and name not in self.pods:
            self.bound[name] = size
            self.ledger.put(Tenant(Key("red", name), place=NORTH, requests={"cpu": size}, assumed=True, running=False))

    def see(self, name: str) -> None:
        """The informer sees the application, which may run by now."""
        tenant = self.ledger.tenant(Key("red", name))
        if tenant is not None:
            self.ledger.put(replace(tenant, assumed=False, running=name in self.pods))

    def start(self, name: str) -> None:
        if name in self.bound:
            self.pods[name] = self.bound[name]

    def leave(self, name: str) -> None:
        if name in self.pods:  # what has yet to start never does
            self.see(name)
        self.bound.pop(name, None)
        self.ledger.drop(Key("red", name))

    def stop(self, name: str) -> None:
        if name not in self.bound:
            self.pods.pop(name, None)

    def tell(self, name: str = "") -> None:
        self.ledger.observe(NORTH, {"cpu": self.others + sum(self.pods.values())})

    @property
    def taken(self) -> int:
        return self.ledger.taken(NORTH, "cpu")


moments = st.lists(
    st.tuples(st.sampled_from(["bind", "see", "start", "leave", "stop", "tell"]), st.sampled_from(NAMES), st.integers(1, 5)),
    max_size=40,
)


@settings(max_examples=500)
@given(others=st.integers(0, 10), happened=moments)
def test_no_less_counts_as_taken_than_others_and_all_tenants_need(others: int, happened: list[tuple[str, str, int]]) -> None:
    truth = Truth(others)
    for what, name, size in happened:
        if what == "bind":
            truth.bind(name, size)
        else:
            getattr(truth, what)(name)
        assert truth.taken >= others + sum(truth.bound.values())


@given(others=st.integers(0, 10), happened=moments)
def test_once_all_has_settled_exactly_that_counts(others: int, happened: list[tuple[str, str, int]]) -> None:
    truth = Truth(others)
    for what, name, size in happened:
        if what == "bind":
            truth.bind(name, size)
        else:
            getattr(truth, what)(name)
    for name in NAMES:
        truth.start(name)
        truth.stop(name)
        truth.see(name)
    truth.tell()
    truth.tell()
    assert truth.taken == others + sum(truth.bound.values())


def test_a_cluster_that_comes_back_under_its_name_is_another_one() -> None:
    truth = Truth(others=4)
    truth.bind("a", 2)
    truth.ledger.forget(NORTH)
    assert truth.taken == 2
    truth.ledger.observe(NORTH, {"cpu": 7})
    assert truth.taken == 9


def test_in_a_plan_the_room_of_who_leaves_is_free_at_once() -> None:
    truth = Truth(others=4)
    for name in ("a", "b"):
        truth.bind(name, 2)
        truth.start(name)
        truth.see(name)
        truth.tell()
    plan = truth.ledger.fork(at_once=True)
    for ledger in (plan, truth.ledger):
        ledger.drop(Key("red", "a"))
    assert (plan.taken(NORTH, "cpu"), truth.taken) == (6, 8)


def test_many_tenants_take_no_longer_than_few() -> None:
    few, many = Ledger(), Ledger()
    for ledger, number in ((few, 10), (many, 20_000)):
        for each in range(number):
            ledger.put(Tenant(Key("red", f"app-{each}"), {"app": "web"}, PLACES[each % 3], {"cpu": 1}))
        ledger.count("red", WEB)
    tenant = Tenant(Key("red", "app-0"), {"app": "web"}, NORTH, {"cpu": 2})

    def measure(ledger: Ledger) -> float:
        def change() -> None:
            ledger.put(tenant)
            ledger.taken(NORTH, "cpu")
            ledger.count("red", WEB)
            ledger.drop(tenant.key)

        return min(timeit.repeat(change, number=200, repeat=5))

    assert measure(many) < 20 * measure(few)
