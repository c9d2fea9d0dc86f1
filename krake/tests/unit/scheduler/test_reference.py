"""Decisions are those of a naive reference, in a hundred thousand random worlds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from random import Random
from typing import TypeVar

import pytest
from unit.scheduler.reference import Apart, AppFacts, ClusterFacts, Rank, TenantFacts, World, answer
from unit.scheduler.worlds import NOW, make_app, make_cluster

from krake.controller.scheduler.deciding.decide import Decision, decide
from krake.controller.scheduler.deciding.filters import Refusal
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Settings, Snapshot
from krake.controller.scheduler.deciding.tenants import Distance, Tenant, tenant_of
from krake.data import Key, Metadata, ResourceRef
from krake.data.constraints import LabelConstraint
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState
from krake.data.quotas import Quota, QuotaSpec
from krake.data.scheduling import AntiAffinity, Spread

WORLDS, PARTS = 100_000, 10
NAMES = ("a", "b", "c", "d", "e")
VARIANTS = 300
KEYS, VALUES = ("zone", "rack"), ("1", "2", "3")
METRICS = ("load", "cost", "heat")
RESOURCES = ("crontabs.example.com", "queues.example.com")
TAINTS = [
    (key, value, effect)
    for key in ("x", "y")
    for value in ("", "1")
    for effect in ("NoSchedule", "PreferNoSchedule", "NoExecute")
]
TEAMS = ("web", "data")
HIGHEST = 16
"""Raw values are whole numbers up to this one. Sums of such shares are exact as floats, so that equal scores are equal."""

TEAM_CONSTRAINTS = {team: LabelConstraint.parse(f"team is {team}") for team in TEAMS}

T = TypeVar("T")


def some(random: Random, things: Sequence[T], most: int) -> list[T]:
    return random.sample(things, random.randint(0, min(most, len(things))))


def seldom(random: Random, share: float = 0.1) -> bool:
    return random.random() < share


def draw_cluster(random: Random, name: str) -> ClusterFacts:
    raws = {metric: random.randint(0, HIGHEST) for metric in some(random, METRICS, 3)}
    return ClusterFacts(
        name=name,
        ours=not seldom(random, 0.05),
        labels={key: random.choice(VALUES) for key in some(random, KEYS, 2)},
        resources=tuple(some(random, RESOURCES, 2)),
        readings={
            metric: (Fraction(raw, HIGHEST), Fraction(random.choice([0, 1, 1, 2, 3, -1])), raw) for metric, raw in raws.items()
        },
        excluded=seldom(random, 0.05),
        state=random.choice(["ONLINE"] * 12 + ["FAILING_METRICS", "OFFLINE", "DEGRADED", "PENDING", "NOTREADY"]),
        deleted=seldom(random, 0.05),
        cordoned=seldom(random),
        drained=seldom(random, 0.05),
        taints=tuple(some(random, TAINTS, 2)) if seldom(random, 0.3) else (),
        awaited=seldom(random, 0.05),
        steady_in=random.choice([0, 0, 0, 0, 9]),
        room=random.choice([None, None, 4, 8, 16]),
        taken=random.choice([0, 0, 1, 4]),
    )


def draw_app(random: Random) -> AppFacts:
    operations = ["in", "in", "not in", "exists", "not exists"]
    return AppFacts(
        bound=random.choice([None, *NAMES]),
        running=random.choice([None, *NAMES]),
        placed=random.choice([None, 10, -1, -59, -60, -61, -1000]),
        tolerations=tuple(some(random, ["x", "y"], 2)) if seldom(random, 0.5) else (),
        labels=tuple(
            (key, random.choice(operations), tuple(random.sample(VALUES, 2)))
            for key in some(random, KEYS, 2)
            if seldom(random, 0.4)
        ),
        resources=tuple(some(random, RESOURCES, 1)) if seldom(random, 0.2) else (),
        metrics=tuple(
            (metric, random.choice(["<", "<=", ">", ">=", "==", "!="]), random.randint(0, 16))
            for metric in some(random, METRICS, 2)
            if seldom(random, 0.2)
        ),
        may_move=not seldom(random),
        state=random.choice(["RUNNING", "RUNNING", "MIGRATING", "COMPLETED"]),
        timeout=random.choice([-1_000_000, -1_000_000, -100, -30, 0, 30]),
        changed_since=random.choice([None, True, False, False]),
        team=random.choice(TEAMS),
        cores=random.randint(0, 3),
        apart=draw_distances(random),
        spread=((random.choice(TEAMS), random.choice([None, "zone"]), random.choice([1, 1, 2]), not seldom(random, 0.5)),)
        if seldom(random, 0.2)
        else (),
    )


def draw_distances(random: Random) -> tuple[Apart, ...]:
    return tuple(
        (random.choice(TEAMS), random.choice([None, "zone"]), not seldom(random, 0.5))
        for _ in range(random.choice([0, 0, 0, 0, 0, 0, 1, 2]))
    )


def draw_tenants(random: Random) -> list[TenantFacts]:
    places = [random.choice(NAMES) for _ in range(random.choice([0, 1, 2, 4, 8]))]
    return [TenantFacts(place, random.choice(TEAMS), random.randint(0, 3), draw_distances(random)) for place in places]


def build_cluster(facts: ClusterFacts) -> Candidate:
    readings = tuple(
        Reading(metric, float(raw), float(value), float(weight), high=float(HIGHEST))
        for metric, (value, weight, raw) in facts.readings.items()
    )
    cluster = make_cluster(
        facts.name,
        labels=facts.labels,
        namespace="red" if facts.ours else "blue",
        custom_resources=list(facts.resources),
        state=ClusterState[facts.state],
        deleted=NOW if facts.deleted else None,
        unschedulable=facts.cordoned,
        drain=facts.drained,
        taints=[f"{key}={value}:{effect}" for key, value, effect in facts.taints],
    )
    room = {} if facts.room is None else {"cpu": str(facts.room)}
    cluster = replace(cluster, status=replace(cluster.status, allocatable=room))
    steady_from = NOW + timedelta(seconds=facts.steady_in)
    return Candidate(cluster, Measurement(readings, excluded=facts.excluded), facts.awaited, steady_from)


def write_label(key: str, operation: str, values: Sequence[str]) -> str:
    return f"{key} {operation} ({', '.join(values)})" if operation in ("in", "not in") else f"{key} {operation}"


def build_app(facts: AppFacts) -> Application:
    triggered = None if facts.changed_since is None else NOW - timedelta(seconds=1 if facts.changed_since else 0)
    app = make_app(
        current=facts.bound,
        running_on=facts.running,
        age=None if facts.placed is None else -facts.placed,
        tolerations=[{"key": key, "operator": "Exists"} for key in facts.tolerations],
        labels=[write_label(*ask) for ask in facts.labels],
        custom_resources=list(facts.resources),
        metrics=[f"{metric} {operation} {number}" for metric, operation, number in facts.metrics],
        migration=facts.may_move,
        state=ApplicationState[facts.state],
        migration_timeout=int(NOW.timestamp()) + facts.timeout,
        triggered=triggered,
    )
    apart = [AntiAffinity(labels=select_team(team), over=over, required=required) for team, over, required in facts.apart]
    spread = [
        Spread(labels=select_team(team), over=over, max_skew=most, required=required)
        for team, over, most, required in facts.spread
    ]
    constraints = replace(app.spec.constraints, anti_affinity=apart, spread=spread)
    pod = {"containers": [{"resources": {"requests": {"cpu": str(facts.cores)}}}]}
    spec = replace(
        app.spec,
        constraints=constraints,
        manifest=[{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}],
    )
    return replace(app, metadata=replace(app.metadata, labels={"team": facts.team}), spec=spec)


def select_team(team: str) -> list[LabelConstraint]:
    return [TEAM_CONSTRAINTS[team]]


def keep_ledger(world: World, app: Application, bound: Candidate | None) -> Ledger:
    ledger = Ledger()
    for cluster in world.clusters:
        if cluster.ours:
            ledger.observe(refer(cluster.name), {"cpu": 1000 * cluster.taken})
    for number, each in enumerate(world.tenants):
        distances = tuple(Distance(tuple(select_team(team)), over, required) for team, over, required in set(each.apart))
        key, requests = Key("red", f"tenant-{number}"), {"cpu": 1000 * each.cores}
        ledger.put(Tenant(key, {"team": each.team}, refer(each.place), requests, assumed=True, distances=distances))
    if world.app.bound is not None:
        ledger.put(replace(tenant_of(app, bound and bound.cluster), assumed=True))
    if world.quota is not None:
        number, cores = world.quota
        spec = QuotaSpec(applications=number, requests={"cpu": cores})
        ledger.set_quota(Key("red", "quota"), Quota(metadata=Metadata(name="quota", namespace="red"), spec=spec))
    return ledger


def refer(name: str) -> ResourceRef:
    return Cluster.definition.ref(Key("red", name))


def findings_of(decision: Decision) -> dict[str, str | Rank]:
    found: dict[str, str | Rank] = {}
    for each in decision.verdicts:
        finding = each.finding
        found[each.cluster.name] = (
            finding.rule if isinstance(finding, Refusal) else (finding.rank[0], finding.rank[1], Fraction(finding.total))
        )
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_decisions_are_those_of_the_reference(part: int) -> None:
    random = Random(part)
    clusters = {name: [(facts := draw_cluster(random, name), build_cluster(facts)) for _ in range(VARIANTS)] for name in NAMES}
    apps = [(facts := draw_app(random), build_app(facts)) for _ in range(VARIANTS * 5)]
    for _ in range(WORLDS // PARTS):
        chosen = [random.choice(clusters[name]) for name in some(random, NAMES, 5)]
        app, subject = random.choice(apps)
        quota = (random.randint(1, 6), random.randint(2, 12)) if seldom(random) else None
        stickiness = random.choice([Fraction(0), Fraction(1, 8), Fraction(1)])
        tenants = draw_tenants(random)
        world = World(app, [facts for facts, _ in chosen], tenants, quota, stickiness, weighted=seldom(random))
        settings = Settings(float(stickiness), timedelta(seconds=world.recent), world.weighted)
        bound = next((candidate for facts, candidate in chosen if facts.ours and facts.name == app.bound), None)
        candidates = tuple(candidate for _, candidate in chosen)
        decision = decide(subject, Snapshot(NOW, candidates, settings, keep_ledger(world, subject, bound)))
        expected = answer(world)
        choice = decision.choice and decision.choice.name
        assert (choice, decision.ground.name) == (expected.choice, expected.ground), world
        assert findings_of(decision) == {name: rounded(finding) for name, finding in expected.findings.items()}, world


def rounded(finding: str | Rank) -> str | Rank:
    """A rank, as exact as a float is."""
    return finding if isinstance(finding, str) else (finding[0], finding[1], Fraction(float(finding[2])))
