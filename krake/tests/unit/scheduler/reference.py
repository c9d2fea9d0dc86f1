"""What the scheduler ought to decide, written down once more, as naively as can be, from how it is documented.

It shares no code with the scheduler: it reads plain facts instead of resources, looks at every cluster by every rule, and
reckons with fractions.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

Taint = tuple[str, str, str]
"""Key, value and effect."""


Apart = tuple[str, str | None, bool]
"""A team to keep apart from, the label of clusters that are one place, and whether that is required."""
Spread = tuple[str, str | None, int, bool]
"""A team to spread, the label of clusters to spread over, the difference that may be, and whether that is required."""


@dataclass
class ClusterFacts:
    """A cluster.

    :param readings: value, weight, and the raw value, by the name of a metric.
    :param steady_in: seconds until it counts as steady.
    :param room: cores in all; ``None`` if that is not known.
    :param taken: cores that are taken by others than tenants.
    """

    name: str
    ours: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    resources: tuple[str, ...] = ()
    readings: dict[str, tuple[Fraction, Fraction, int]] = field(default_factory=dict)
    excluded: bool = False
    state: str = "ONLINE"
    deleted: bool = False
    cordoned: bool = False
    drained: bool = False
    taints: tuple[Taint, ...] = ()
    awaited: bool = False
    steady_in: int = 0
    room: int | None = None
    taken: int = 0


@dataclass
class AppFacts:
    """An application. Times are in seconds from now: those in the past are negative.

    :param bound: the name of the cluster it is bound to.
    :param running: the name of the cluster it runs on.
    :param placed: when it was bound.
    :param tolerations: keys of taints that are tolerated whatever their value and effect are.
    :param labels: what labels must be, as key, operation and values.
    :param metrics: what raw values must be, as metric, operation and number.
    :param timeout: when its migration takes too long, or the wait after a failed one ends.
    :param changed_since: whether its user has changed it since the scheduler handed it over; ``None`` if it never was.
    :param team: that it belongs to.
    :param cores: that it asks for.
    """

    bound: str | None = None
    running: str | None = None
    placed: int | None = None
    tolerations: tuple[str, ...] = ()
    labels: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    resources: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str, int], ...] = ()
    may_move: bool = True
    state: str = "RUNNING"
    timeout: int = -1_000_000
    changed_since: bool | None = None
    team: str = ""
    cores: int = 0
    apart: tuple[Apart, ...] = ()
    spread: tuple[Spread, ...] = ()


@dataclass
class TenantFacts:
    """Another application, that is bound to a cluster."""

    place: str
    team: str = ""
    cores: int = 0
    apart: tuple[Apart, ...] = ()


@dataclass
class World:
    """All that a decision is made from.

    :param tenants: all others.
    :param quota: how many applications may be placed, and how many cores they may ask for together.
    :param recent: seconds for which a placement stands.
    """

    app: AppFacts
    clusters: list[ClusterFacts]
    tenants: list[TenantFacts] = field(default_factory=list)
    quota: tuple[int, int] | None = None
    stickiness: Fraction = Fraction(1, 8)
    recent: int = 60
    weighted: bool = False


Rank = tuple[int, bool, Fraction]


@dataclass
class Answer:
    """What is decided.

    :param findings: by cluster, the name of the rule that refuses it, or its rank.
    """

    choice: str | None
    ground: str
    findings: dict[str, str | Rank]


def answer(world: World) -> Answer:
    """Return what the scheduler ought to decide."""
    home, vain = _home(world), _in_vain(world)
    findings = {each.name: _find(world, each, home, vain) for each in world.clusters}
    good_home = home is not None and isinstance(findings[home], tuple)
    for each in world.clusters:
        if not _there(world.app, each) and isinstance(findings[each.name], tuple):
            rules = [("recovery", good_home and each.steady_in > 0), *_crowded(world, each)]
            avoided, measured, total = findings[each.name]
            rank = avoided - _shunned(world, each), measured, total
            findings[each.name] = next((rule for rule, refuses in rules if refuses), rank)
    ground = _held(world, home) if vain is None else None
    if ground is not None:
        return Answer(home, ground, findings)
    if vain is None and _stands(world, findings):
        return Answer(world.app.bound, "RECENT", findings)
    best = _best(world, home, findings)
    if best is not None:
        return Answer(best, "BEST", findings)
    if home == world.app.bound:
        return Answer(None, "NOTHING", findings)
    return Answer(home, "LOST" if home is None else "HOME", findings)


def _held(world: World, home: str | None) -> str | None:
    app, cluster = world.app, _cluster(world, home)
    if cluster is None:
        return None
    if not app.may_move:
        return "PINNED"
    if home != app.bound:
        return None
    if app.state == "COMPLETED" and app.changed_since is False:
        return "FINISHED"
    if cluster.awaited:
        return "AWAITED"
    cooling = app.timeout > 0 and app.changed_since is not True
    return "COOLING" if cooling and cluster.state != "OFFLINE" else None


def _stands(world: World, findings: dict[str, str | Rank]) -> bool:
    app = world.app
    if app.bound is None or app.placed is None or _cluster(world, app.bound) is None:
        return False
    return isinstance(findings[app.bound], tuple) and min(app.placed, 0) + world.recent > 0


def _best(world: World, home: str | None, findings: dict[str, str | Rank]) -> str | None:
    ranks = {name: found for name, found in findings.items() if isinstance(found, tuple)}
    if not ranks:
        return None
    best = sorted(name for name, rank in ranks.items() if rank == max(ranks.values()))
    if home in best:
        return home
    return min(best, key=lambda name: (*_load(world, name), name))


def _load(world: World, name: str) -> tuple[bool, Fraction, int]:
    cluster = _cluster(world, name)
    assert cluster is not None
    number = sum(each.place == name for each in world.tenants) + (world.app.bound == name)
    if cluster.room is None:
        return True, Fraction(), number
    return False, Fraction(_taken(world, cluster, itself=True), cluster.room), number


def _taken(world: World, cluster: ClusterFacts, *, itself: bool) -> int:
    taken = cluster.taken + sum(each.cores for each in world.tenants if each.place == cluster.name)
    return taken + (_asked(world.app) if itself and world.app.bound == cluster.name else 0)


def _asked(app: AppFacts) -> int:
    return 0 if app.state == "COMPLETED" else app.cores


def _cluster(world: World, name: str | None) -> ClusterFacts | None:
    return next((each for each in world.clusters if each.ours and each.name == name), None)


def _there(app: AppFacts, cluster: ClusterFacts) -> bool:
    return cluster.ours and cluster.name in (app.bound, app.running)


def _home(world: World) -> str | None:
    if world.app.bound is None:
        return None
    for name in (world.app.bound, world.app.running):
        cluster = _cluster(world, name)
        if cluster is not None and not cluster.deleted:
            return name
    return None


def _in_vain(world: World) -> str | None:
    app = world.app
    if app.state != "MIGRATING" or app.timeout > 0:
        return None
    if app.placed is not None and app.placed >= app.timeout:
        return None
    origin = _cluster(world, app.running)
    return None if origin is not None and not origin.deleted else app.bound


def _find(world: World, cluster: ClusterFacts, home: str | None, vain: str | None) -> str | Rank:
    app = world.app
    for rule, refuses in _refusals(world, cluster, there=_there(app, cluster)):
        if refuses:
            return rule
    avoided = 0 if _there(app, cluster) else sum(effect == "PreferNoSchedule" for _, _, effect in _minded(app, cluster))
    if cluster.ours and cluster.name == vain:
        avoided += 1
    sticky = world.stickiness if cluster.ours and cluster.name == home else Fraction()
    weights = sum((weight for _, weight, _ in cluster.readings.values()), Fraction()) + sticky
    if cluster.readings and weights > 0:
        total = sum((value * weight for value, weight, _ in cluster.readings.values()), Fraction()) + sticky
        return -avoided, True, total / weights
    return -avoided, False, sticky


def _minded(app: AppFacts, cluster: ClusterFacts) -> list[Taint]:
    return [taint for taint in cluster.taints if taint[0] not in app.tolerations]


def _refusals(world: World, cluster: ClusterFacts, *, there: bool) -> Iterable[tuple[str, bool]]:
    app = world.app
    yield "namespace", not cluster.ours
    yield "deleted", cluster.deleted
    yield "drain", cluster.drained
    yield "cordon", cluster.cordoned and not there
    effects = {effect for _, _, effect in _minded(app, cluster)}
    yield "taint", "NoExecute" in effects or ("NoSchedule" in effects and not there)
    kept = there and (cluster.awaited or cluster.state == "DEGRADED")
    yield "state", cluster.state not in ("ONLINE", "FAILING_METRICS") and not kept
    yield "excluded", cluster.excluded
    yield "label", not all(_has_label(cluster, *ask) for ask in app.labels)
    yield "custom resource", not all(each in cluster.resources for each in app.resources)
    yield "metric", not all(_has_metric(cluster, *ask, weighted=world.weighted) for ask in app.metrics)


def _has_label(cluster: ClusterFacts, key: str, operation: str, values: tuple[str, ...]) -> bool:
    value = cluster.labels.get(key)
    if operation == "not exists":
        return value is None
    if value is None:
        return False
    return {"in": value in values, "not in": value not in values, "exists": True}[operation]


def _has_metric(cluster: ClusterFacts, metric: str, operation: str, number: int, *, weighted: bool) -> bool:
    if metric not in cluster.readings:
        return False
    value, weight, raw = cluster.readings[metric]
    compared = value * weight if weighted else Fraction(raw)
    return {
        "<": compared < number,
        "<=": compared <= number,
        ">": compared > number,
        ">=": compared >= number,
        "==": compared == number,
        "!=": compared != number,
    }[operation]


def _crowded(world: World, cluster: ClusterFacts) -> Iterable[tuple[str, bool]]:
    app = world.app
    asked = _asked(app)
    if world.quota is not None:
        number, cores = world.quota
        yield "quota", app.bound is None and len(world.tenants) >= number
        more = app.bound is None and asked > 0
        yield "quota", more and sum(each.cores for each in world.tenants) + asked > cores
    if cluster.room is not None:
        yield "capacity", asked > 0 and _taken(world, cluster, itself=False) + asked > cluster.room
    yield from ((rule, refuses) for rule, refuses, required in _company(world, cluster) if required)


def _shunned(world: World, cluster: ClusterFacts) -> int:
    """How many wishes, that are not required, the company of a cluster is against."""
    return sum(against for _, against, required in _company(world, cluster) if not required)


def _company(world: World, cluster: ClusterFacts) -> Iterable[tuple[str, bool, bool]]:
    app = world.app
    for team, over, required in app.apart:
        there = any(each.team == team and _same_place(world, each.place, cluster, over) for each in world.tenants)
        yield "anti-affinity", there, required
    for team, over, required in {each for tenant in world.tenants for each in tenant.apart}:
        minding = [each for each in world.tenants if (team, over, required) in each.apart]
        there = any(_same_place(world, each.place, cluster, over) for each in minding)
        yield "anti-affinity", app.team == team and there, required
    for team, over, most, required in app.spread:
        open_ones = [each for each in world.clusters if not any(no for _, no in _refusals(world, each, there=False))]
        open_ones = [each for each in open_ones if over is None or over in each.labels]
        numbers = [_number_at(world, each, team, over) for each in open_ones]
        skewed = _number_at(world, cluster, team, over) + 1 - min(numbers, default=0) > most
        yield "spread", skewed or (over is not None and over not in cluster.labels), required


def _same_place(world: World, name: str, cluster: ClusterFacts, over: str | None) -> bool:
    """Whether a tenant that is bound to *name* is where *cluster* is."""
    other = _cluster(world, name)
    if other is None or over is None or over not in other.labels or over not in cluster.labels:
        return name == cluster.name and cluster.ours
    return other.labels[over] == cluster.labels[over]


def _number_at(world: World, cluster: ClusterFacts, team: str, over: str | None) -> int:
    return sum(each.team == team and _same_place(world, each.place, cluster, over) for each in world.tenants)
