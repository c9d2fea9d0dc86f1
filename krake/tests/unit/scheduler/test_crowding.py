"""Room and company: nothing is given away twice, and nobody gets whom it can not stand, in any sequence of decisions."""

import re
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.scheduler.worlds import NOW, make_app, make_cluster

from krake.controller.scheduler.applications.budgets import Held, exceed
from krake.controller.scheduler.deciding.crowding import count_clusters
from krake.controller.scheduler.deciding.decide import Decision, decide
from krake.controller.scheduler.deciding.filters import Refusal
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Candidate, Settings, Snapshot
from krake.controller.scheduler.deciding.tenants import Tenant, tenant_of
from krake.data import Key, Metadata
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import Application, ApplicationState, Cluster
from krake.data.overrides import Override
from krake.data.quotas import Quota, QuotaSpec
from krake.data.scheduling import AntiAffinity, DisruptionBudget, Spread

WEB = [LabelConstraint.parse("app is web")]
RED = "red"


def offer(name: str, *, cpu: int | None = None, requested: int = 0, **more: Any) -> Candidate:
    """A cluster with so many thousandths of a processor, of which some are taken by others."""
    cluster = make_cluster(name, **more)
    told = {"requested": {"cpu": f"{requested}m"}, "allocatable": {} if cpu is None else {"cpu": f"{cpu}m", "pods": "110"}}
    return Candidate(replace(cluster, status=replace(cluster.status, **told)))


def pod(cpu: int, name: str = "main") -> dict[str, Any]:
    containers = [{"name": "main", "resources": {"requests": {"cpu": f"{cpu}m"}}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}


def make(
    name: str, cpu: int = 0, *, web: bool = False, overrides: list[Override] | None = None, **constraints: Any
) -> Application:
    app = make_app()
    spec = replace(app.spec, manifest=[pod(cpu)] if cpu else [], overrides=overrides or [])
    spec = replace(spec, constraints=replace(spec.constraints, **constraints))
    return replace(app, metadata=Metadata(name=name, namespace=RED, labels={"app": "web"} if web else {}), spec=spec)


def quota(name: str = "all", **limits: Any) -> Quota:
    return Quota(metadata=Metadata(name=name, namespace=RED), spec=QuotaSpec(**limits))


@dataclass
class Realm:
    """A namespace: decisions are carried out at once, and Pods come whenever they are told to."""

    candidates: tuple[Candidate, ...]
    quotas: tuple[Quota, ...] = ()
    apps: dict[str, Application] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        for each in self.candidates:
            self.ledger.observe(each.ref, each.cluster.status.taken)
        for quota in self.quotas:
            self.ledger.set_quota(quota.key, quota)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(NOW, self.candidates, Settings(), self.ledger)

    def decide(self, app: Application) -> Decision:
        """Decide on an application, and bind it."""
        decision = decide(app, self.snapshot)
        if decision.choice is not None:
            app = replace(app, status=replace(app.status, scheduled_to=decision.choice, scheduled=None))
            self.ledger.put(replace(tenant_of(app, self.cluster(decision.choice.name)), assumed=True))
        self.apps[app.metadata.name] = app
        return decision

    def place(self, app: Application) -> str | None:
        choice = self.decide(app).choice
        return choice.name if choice else None

    def run(self, name: str) -> None:
        """The application has come to where it was bound to."""
        app = self.apps[name]
        if (bound := app.status.scheduled_to) is not None:
            status = replace(app.status, running_on=bound, state=ApplicationState.RUNNING)
            self.apps[name] = app = replace(app, status=status)
            self.ledger.put(tenant_of(app, self.cluster(bound.name)))

    def delete(self, name: str) -> None:
        self.apps.pop(name, None)
        self.ledger.drop(Key(RED, name))

    def cluster(self, name: str) -> Cluster:
        return next(each.cluster for each in self.candidates if each.cluster.metadata.name == name)

    def on(self, name: str) -> list[Application]:
        bound = [(app, app.status.scheduled_to) for app in self.apps.values()]
        return [app for app, place in bound if place is not None and place.name == name]


def refusals(decision: Decision) -> dict[str, tuple[str, str]]:
    found = {each.cluster.name: each.finding for each in decision.verdicts}
    return {name: (each.rule, each.message) for name, each in found.items() if isinstance(each, Refusal)}


sizes = st.integers(0, 6).map(lambda each: each * 250)
clusters = st.lists(
    st.builds(
        lambda cpu, others, zone: (cpu, others, zone),
        st.none() | st.integers(0, 4).map(lambda each: each * 500),
        st.integers(0, 4).map(lambda each: each * 250),
        st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}]),
    ),
    min_size=1,
    max_size=4,
).map(
    lambda found: tuple(
        offer(f"c{index}", cpu=cpu, requested=others, labels=labels) for index, (cpu, others, labels) in enumerate(found)
    )
)
steps = st.lists(
    st.tuples(st.sampled_from(["decide", "decide", "decide", "run", "delete"]), st.integers(0, 9), sizes, st.booleans()),
    max_size=40,
)


def cpu_of(app: Application) -> int:
    return app.spec.demand.on("", {}, 1).get("cpu", 0)


@settings(max_examples=300)
@given(candidates=clusters, happened=steps)
def test_no_cluster_is_ever_given_more_than_it_has(
    candidates: tuple[Candidate, ...], happened: list[tuple[str, int, int, bool]]
) -> None:
    realm = Realm(candidates)
    for what, number, cpu, _ in happened:
        name = f"app-{number}"
        if what == "decide":
            realm.decide(realm.apps.get(name) or make(name, cpu))
        elif name in realm.apps:
            getattr(realm, what)(name)
        for each in candidates:
            room, mine = each.cluster.status.room, [cpu_of(app) for app in realm.on(each.ref.name)]
            assert not room or sum(mine) == 0 or sum(mine) + each.cluster.status.taken.get("cpu", 0) <= room["cpu"]


@settings(max_examples=300)
@given(limit=st.none() | st.integers(0, 4), cpu=st.integers(0, 12), happened=steps)
def test_no_quota_is_ever_exceeded(limit: int | None, cpu: int, happened: list[tuple[str, int, int, bool]]) -> None:
    amounts = quota("sums", requests={"cpu": f"{cpu * 250}m"})
    realm = Realm((offer("a"), offer("b", cpu=2000)), (quota("number", applications=limit), amounts))
    for what, number, wanted, _ in happened:
        name = f"app-{number}"
        if what == "decide":
            realm.decide(realm.apps.get(name) or make(name, wanted))
        elif name in realm.apps:
            getattr(realm, what)(name)
        placed = [app for app in realm.apps.values() if app.status.scheduled_to]
        assert limit is None or len(placed) <= limit
        assert sum(map(cpu_of, placed)) <= cpu * 250


def place_of(realm: Realm, app: Application, over: str | None) -> str:
    assert app.status.scheduled_to is not None
    name = app.status.scheduled_to.name
    return realm.cluster(name).metadata.labels.get(over or "", f"cluster {name}")


@settings(max_examples=300)
@given(candidates=clusters, over=st.sampled_from([None, "zone"]), happened=steps)
def test_who_keeps_apart_is_never_together(
    candidates: tuple[Candidate, ...], over: str | None, happened: list[tuple[str, int, int, bool]]
) -> None:
    """Some of them ask for it, and it holds for the others as well."""
    realm = Realm(candidates)
    for what, number, _, asks in happened:
        name = f"app-{number}"
        rules = [AntiAffinity(labels=WEB, over=over)] if asks else []
        if what == "decide":
            realm.decide(realm.apps.get(name) or make(name, web=bool(number % 2), anti_affinity=rules))
        elif name in realm.apps:
            getattr(realm, what)(name)
        placed = [app for app in realm.apps.values() if app.status.scheduled_to]
        for shy in (app for app in placed if app.spec.constraints.anti_affinity):
            others = [app for app in placed if app is not shy and app.metadata.labels]
            assert place_of(realm, shy, over) not in {place_of(realm, app, over) for app in others}


@settings(max_examples=300)
@given(candidates=clusters, over=st.sampled_from([None, "zone"]), skew=st.integers(1, 2), number=st.integers(0, 9))
def test_a_burst_is_spread_evenly(candidates: tuple[Candidate, ...], over: str | None, skew: int, number: int) -> None:
    candidates = tuple(
        replace(each, cluster=offer(each.ref.name, labels=each.cluster.metadata.labels).cluster) for each in candidates
    )
    realm = Realm(candidates)
    places = {each.cluster.metadata.labels.get(over) if over else each.ref.name for each in candidates} - {None}
    for each in range(number):
        placed = realm.place(make(f"app-{each}", web=True, spread=[Spread(labels=WEB, over=over, max_skew=skew)]))
        assert (placed is None) == (not places)
        numbers = dict.fromkeys(places, 0)
        for app in realm.apps.values():
            if app.status.scheduled_to:
                cluster = realm.cluster(app.status.scheduled_to.name)
                numbers[cluster.metadata.labels[over] if over else cluster.metadata.name] += 1
        assert not places or max(numbers.values()) - min(numbers.values()) <= skew


def test_a_burst_goes_where_there_is_most_room_and_then_waits() -> None:
    realm = Realm((offer("small", cpu=1000), offer("large", cpu=2000, requested=500)))
    assert [realm.place(make(f"app-{each}", 500)) for each in range(6)] == ["small", "large", "large", "small", "large", None]


def test_who_is_there_stays_even_if_there_is_no_room() -> None:
    realm = Realm((offer("north", cpu=1000), offer("south", cpu=8000)), (quota(applications=0),))
    app = make("app", 4000, anti_affinity=[AntiAffinity()])
    here = Cluster.definition.ref(Key(RED, "north"))
    app = replace(app, status=replace(app.status, scheduled_to=here, running_on=here))
    realm.ledger.put(tenant_of(app, realm.cluster("north")))
    assert realm.place(app) == "north"


def test_what_an_override_asks_for_counts_where_it_is_meant() -> None:
    more = Override(cluster="north", patches=[pod(1500)])
    realm = Realm((offer("north", cpu=1000), offer("south", cpu=1000)))
    decision = realm.decide(make("app", 500, overrides=[more]))
    assert decision.choice is not None
    assert decision.choice.name == "south"
    assert realm.ledger.used(decision.choice)["cpu"] == 500


@pytest.mark.parametrize(
    ("reason", "realm", "app", "rule", "words"),
    [
        (
            "there is no room",
            Realm((offer("north", cpu=1000, requested=800),)),
            make("app", 500),
            "capacity",
            "asks for 500m of cpu; of the 1 of the cluster, 800m are taken",
        ),
        (
            "there are too many",
            Realm((offer("north"),), (quota(applications=0),)),
            make("app"),
            "quota",
            "The quota all lets 0 applications of the namespace be placed, and 0 are",
        ),
        (
            "it asks for too much",
            Realm((offer("north"),), (quota(requests={"cpu": "1"}),)),
            make("app", 1500),
            "quota",
            "asks for 1500m of cpu; of the 1 that the quota all lets the namespace have, 0 are taken",
        ),
        (
            "it can not be spread there",
            Realm((offer("north"),)),
            make("app", spread=[Spread(over="zone")]),
            "spread",
            "spread over the label zone; the cluster has no such label",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals_say_the_values(reason: str, realm: Realm, app: Application, rule: str, words: str) -> None:
    found = refusals(realm.decide(app))["north"]
    assert found[0] == rule
    assert words in found[1]


def test_company_is_named() -> None:
    realm = Realm((offer("east", labels={"zone": "a"}), offer("north", labels={"zone": "a"})))
    realm.place(make("first", web=True))
    shy = refusals(realm.decide(make("second", anti_affinity=[AntiAffinity(labels=WEB, over="zone")])))
    assert shy == {
        "east": ("anti-affinity", "The application keeps apart from 'app is web', and first is there."),
        "north": ("anti-affinity", "The application keeps apart from 'app is web', and first is on east."),
    }
    realm = Realm((offer("north"),))
    realm.place(make("first", anti_affinity=[AntiAffinity(labels=WEB)]))
    shunned = refusals(realm.decide(make("second", web=True)))
    assert shunned == {"north": ("anti-affinity", "The cluster holds an application that keeps apart from 'app is web'.")}


SHY = {"anti_affinity": [AntiAffinity(labels=WEB, required=False)]}
EVEN = {"spread": [Spread(labels=WEB, required=False)]}


@pytest.mark.parametrize(("first", "second"), [({}, SHY), ({}, EVEN), (SHY, {})], ids=["shy", "even", "both ways"])
def test_company_that_is_not_wanted_is_put_up_with_where_nothing_else_fits(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    realm = Realm((offer("east"), offer("north")))
    assert realm.place(make("first", web=True, **first)) == "east"
    for number in range(3):  # or else it would go to north because of the load
        realm.ledger.put(Tenant(Key(RED, f"other-{number}"), place=realm.cluster("north").ref))
    assert realm.place(make("second", web=True, **second)) == "north"
    alone = Realm((offer("east"),))
    for name in ("a", "b"):
        alone.place(make(name, web=True, **first))
    assert alone.place(make("second", web=True, **second)) == "east"
    (there,) = alone.decide(alone.apps["second"]).verdicts
    assert isinstance(there.finding, Score)
    assert there.finding.avoided == 0  # who is there stays


def test_what_a_cluster_does_not_have_is_not_given() -> None:
    gpu = {"name": "main", "resources": {"limits": {"example.com/gpu": 1}}}
    app = make("app")
    item = {**pod(0), "spec": {"containers": [gpu]}}
    app = replace(app, spec=replace(app.spec, manifest=[item]))
    found = refusals(Realm((offer("north", cpu=1000), offer("unknown"))).decide(app))
    assert list(found) == ["north"]
    assert re.search(r"asks for 1 of example.com/gpu; the cluster has none", found["north"][1])


def test_who_has_run_to_its_end_takes_up_nothing() -> None:
    realm = Realm((offer("north", cpu=1000),))
    realm.place(make("job", 1000))
    job = realm.apps["job"]
    assert realm.place(make("next", 1000)) is None
    done = replace(job, status=replace(job.status, state=ApplicationState.COMPLETED))
    realm.ledger.put(tenant_of(done, realm.cluster("north")))
    assert realm.place(make("next", 1000)) == "north"


def test_a_budget_lets_so_many_be_moved_as_others_are_well() -> None:
    realm = Realm((offer("north"),))
    names = ("a", "b", "c")
    for name in names:
        realm.place(make(name, web=True))
    app = make("a", web=True, disruption_budget=DisruptionBudget(labels=WEB))
    assert exceed(app, realm.ledger) == "Its disruption budget lets 1 be unavailable at once, and 2 are: b, c."
    for name in ("b", "c"):
        realm.run(name)
    assert exceed(app, realm.ledger) is None
    assert exceed(make("a", web=True), realm.ledger) is None
    never = make("a", disruption_budget=DisruptionBudget(labels=WEB, max_unavailable=0))
    realm.run("a")
    assert exceed(never, realm.ledger) == "Its disruption budget lets it not be moved at all."


def test_whom_a_budget_holds_goes_when_others_have_arrived_by_priority() -> None:
    realm, held = Realm((offer("north"),)), Held()
    budget = DisruptionBudget(labels=WEB, max_unavailable=2)
    for name, priority in (("a", 0), ("b", 0), ("c", 1), ("d", 2)):
        app = make(name, web=True, disruption_budget=budget)
        realm.place(replace(app, spec=replace(app.spec, priority=priority)))
    for name in ("c", "d", "b"):
        held.hold(realm.apps[name])

    def release(labels: dict[str, str]) -> list[str]:
        return [key.name for key in held.release("red", labels, realm.ledger)]

    web = realm.apps["a"].metadata.labels
    assert release(web) == []  # none of them is well
    for name in ("b", "c", "d"):
        realm.run(name)
    assert release({"app": "other"}) == []
    assert release(web) == ["d"]  # beside a, one more may go
    realm.run("a")
    held.leave(realm.apps["c"].key)
    assert release(web) == ["b"]
    assert release(web) == []


@pytest.mark.parametrize(("created", "allowed"), [(0, True), (1, True), (2, False), (3, False)])
def test_so_many_clusters_are_created_as_the_quota_lets(created: int, allowed: bool) -> None:
    assert (count_clusters([quota(applications=1), quota(clusters=2)], created) is None) == allowed


def test_a_budget_is_asked_of_thousands_in_no_time() -> None:
    """All of them are to leave a cluster, and each asks again and again."""
    ledger = Ledger()
    budget = DisruptionBudget(labels=WEB)
    apps = [make(f"a{number}", web=True, disruption_budget=budget) for number in range(3000)]
    for app in apps:
        ledger.put(replace(tenant_of(app, None, make_cluster("east").ref), available=True))
    started = time.process_time()
    assert {exceed(app, ledger) for app in apps} == {None}
    ledger.put(replace(tenant_of(apps[0], None, make_cluster("east").ref), available=False))
    assert sum(exceed(app, ledger) is not None for app in apps) == len(apps) - 1
    assert time.process_time() - started < 2
