"""Decisions: what holds in every world, and the rules one by one."""

import dataclasses
from datetime import datetime, timedelta
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.worlds import NO_COST, NOW, apps, make_app, make_candidate, read_taint, snapshots

from krake.controller.scheduler.deciding.decide import Decision, Ground, decide
from krake.controller.scheduler.deciding.filters import Refusal
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Candidate, Settings, Snapshot
from krake.controller.scheduler.explaining.explanation import reason_to_stay, reason_to_wait
from krake.data import ResourceRef
from krake.data.kubernetes import Application, ApplicationState, ClusterSpec, ClusterState
from krake.data.taints import Toleration


def snapshot_of(*candidates: Candidate, stickiness: float = 0.1) -> Snapshot:
    return Snapshot(NOW, candidates, Settings(stickiness, timedelta(seconds=60)))


def chosen(decision: Decision) -> str | None:
    return decision.choice and decision.choice.name


def findings(decision: Decision) -> dict[str, Refusal | Score]:
    return {verdict.cluster.name: verdict.finding for verdict in decision.verdicts}


def fitting(decision: Decision) -> dict[str, Score]:
    return {name: finding for name, finding in findings(decision).items() if isinstance(finding, Score)}


@given(apps(), snapshots())
def test_each_candidate_gets_one_verdict(app: Application, snapshot: Snapshot) -> None:
    judged = [verdict.cluster for verdict in decide(app, snapshot).verdicts]
    assert sorted(map(str, judged)) == sorted(str(candidate.ref) for candidate in snapshot.candidates)


@given(apps(), snapshots())
def test_there_is_a_choice_if_and_only_if_a_cluster_fits_or_it_may_not_move(app: Application, snapshot: Snapshot) -> None:
    decision = decide(app, snapshot)
    held = decision.ground in (Ground.PINNED, Ground.COOLING, Ground.HOME, Ground.AWAITED)
    assert (decision.choice is not None) == (bool(fitting(decision)) or held)
    if held:
        assert decision.choice in (app.status.scheduled_to, app.status.running_on)
    elif decision.choice:
        assert decision.choice.name in fitting(decision)


@given(apps(), snapshots(), st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(app: Application, snapshot: Snapshot, random: Random) -> None:
    shuffled = list(snapshot.candidates)
    random.shuffle(shuffled)
    one, other = decide(app, dataclasses.replace(snapshot, candidates=tuple(shuffled))), decide(app, snapshot)
    assert (one, one.verdicts) == (other, other.verdicts)


@given(apps(), snapshots())
def test_stickiness_never_refuses(app: Application, snapshot: Snapshot) -> None:
    without = dataclasses.replace(snapshot, settings=Settings(0.0, snapshot.settings.reschedule_after))
    assert set(fitting(decide(app, snapshot))) == set(fitting(decide(app, without)))


@given(apps(), snapshots())
def test_it_moves_only_to_a_strictly_better_score(app: Application, snapshot: Snapshot) -> None:
    decision = decide(app, snapshot)
    scores = fitting(decision)
    current = app.status.scheduled_to
    if current and current.name in scores and chosen(decision) != current.name:
        assert scores[chosen(decision) or ""].rank > scores[current.name].rank


@given(apps(), snapshots())
def test_a_new_placement_is_stable(app: Application, snapshot: Snapshot) -> None:
    """Whoever is placed by a decision and asks again at once stays: nothing is better than it is."""
    first = decide(app, snapshot)
    placed = dataclasses.replace(app, status=dataclasses.replace(app.status, scheduled_to=first.choice, scheduled=NOW))
    assert decide(placed, snapshot).choice in ((first.choice, None) if first.ground is Ground.HOME else (first.choice,))


def home_of(app: Application, snapshot: Snapshot) -> ResourceRef | None:
    """Where the application can stay: on the cluster it is bound to, otherwise where it still runs, unless that goes."""
    status, staying = app.status, lasting(snapshot)
    if status.scheduled_to is None:
        return None
    return next((each for each in (status.scheduled_to, status.running_on) if each in staying), None)


@given(apps(), snapshots())
def test_scores_are_those_of_the_formulas(app: Application, snapshot: Snapshot) -> None:
    """Worked out once more, exactly, from the formulas as they are written down."""
    by_name = {candidate.ref.name: candidate for candidate in snapshot.candidates}
    for name, found in fitting(decide(app, snapshot)).items():
        measurement = by_name[name].measurement
        sticky = Fraction(snapshot.settings.stickiness) * (by_name[name].ref == home_of(app, snapshot))
        weights = [Fraction(reading.weight) for reading in measurement.readings]
        total = sum((Fraction(reading.value) * Fraction(reading.weight) for reading in measurement.readings), Fraction())
        usable = bool(weights) and sum(weights) + sticky > 0
        if found.measured:
            assert usable
            assert found.total == pytest.approx(float((total + sticky) / (sum(weights) + sticky)), rel=1e-9, abs=1e-12)
        else:
            # Weights so great that their sum is no number are the one thing that the formulas do not foresee.
            assert not usable or sum(weights) > Fraction(1.7e308) or sum(weights) + sticky < Fraction(1, 10**300)
            assert found.total == pytest.approx(float(sticky))


@given(apps(), snapshots())
def test_clusters_with_metrics_are_preferred(app: Application, snapshot: Snapshot) -> None:
    decision = decide(app, snapshot)
    if decision.ground is Ground.BEST:
        scores = fitting(decision)
        choice = scores[chosen(decision) or ""]
        as_welcome = [score for score in scores.values() if score.avoided <= choice.avoided]
        assert choice.measured or not any(score.measured for score in as_welcome)


def lasting(snapshot: Snapshot) -> dict[ResourceRef, ClusterSpec]:
    """The clusters that are not being deleted."""
    clusters = [candidate.cluster for candidate in snapshot.candidates]
    return {cluster.ref: cluster.spec for cluster in clusters if cluster.metadata.deleted is None}


@given(apps(), snapshots())
def test_nobody_stays_where_he_can_not(app: Application, snapshot: Snapshot) -> None:
    decision = decide(app, snapshot)
    assert decision.choice is None or decision.choice in lasting(snapshot)
    places = {app.status.scheduled_to, app.status.running_on} & lasting(snapshot).keys()
    bound = app.status.scheduled_to
    lost = bound is not None and not places and not fitting(decision)
    assert (decision.ground is Ground.LOST) == lost
    if decision.ground is Ground.NOTHING and bound is not None:
        assert bound in lasting(snapshot)


@given(apps(), snapshots())
def test_nobody_comes_anew_to_a_cluster_that_takes_none(app: Application, snapshot: Snapshot) -> None:
    choice = decide(app, snapshot).choice
    if choice is None or choice in (app.status.scheduled_to, app.status.running_on):
        return
    spec = lasting(snapshot)[choice]
    assert not spec.unschedulable
    assert not spec.drain
    for taint in spec.taints:
        assert taint.effect == "PreferNoSchedule" or any(each.covers(taint) for each in app.spec.tolerations)


@given(apps(), snapshots())
def test_a_cordon_is_nothing_to_those_who_are_there(app: Application, snapshot: Snapshot) -> None:
    def cordon(candidate: Candidate, closed: bool) -> Candidate:
        spec = dataclasses.replace(candidate.cluster.spec, unschedulable=closed)
        there = candidate.ref == app.status.scheduled_to
        return dataclasses.replace(candidate, cluster=dataclasses.replace(candidate.cluster, spec=spec)) if there else candidate

    closed, opened = (
        dataclasses.replace(snapshot, candidates=tuple(cordon(each, closed) for each in snapshot.candidates))
        for closed in (True, False)
    )
    one, other = decide(app, closed), decide(app, opened)
    assert (one, one.verdicts) == (other, other.verdicts)


@given(apps(), snapshots())
def test_whoever_may_move_leaves_a_drained_cluster_if_another_one_fits(app: Application, snapshot: Snapshot) -> None:
    decision = decide(app, snapshot)
    spec = lasting(snapshot).get(app.status.scheduled_to) if app.status.scheduled_to else None
    held = decision.ground in (Ground.COOLING, Ground.AWAITED)
    if spec is None or not spec.drain or held or app.status.state is ApplicationState.MIGRATING:
        return
    if not app.spec.constraints.migration:
        assert decision.ground is Ground.PINNED
        assert decision.concern is not None
    elif fitting(decision):
        assert decision.choice not in (None, app.status.scheduled_to)
    else:
        assert decision.ground is Ground.NOTHING


@pytest.mark.parametrize(
    ("reason", "app", "more", "choice", "ground"),
    [
        ("it stays on a cordoned cluster", {}, {"unschedulable": True}, "east", Ground.RECENT),
        ("it leaves a drained one at once", {}, {"drain": True}, "west", Ground.BEST),
        ("but not if it may not", {"migration": False}, {"drain": True}, "east", Ground.PINNED),
        ("nor if nothing else fits", {"labels": ["zone is a"]}, {"drain": True}, None, Ground.NOTHING),
        ("a taint keeps others away", {}, {"taints": ["x:NoSchedule"]}, "east", Ground.RECENT),
        ("also one to be avoided", {}, {"taints": ["x:PreferNoSchedule"]}, "east", Ground.RECENT),
        ("another one sends it away", {}, {"taints": ["x:NoExecute"]}, "west", Ground.BEST),
        ("but not if it may not", {"migration": False}, {"taints": ["x:NoExecute"]}, "east", Ground.PINNED),
        ("nor if it tolerates that", {"tolerations": [{"key": "x"}]}, {"taints": ["x:NoExecute"]}, "east", Ground.RECENT),
        ("it leaves a cluster that goes", {}, {"deleted": NOW}, "west", Ground.BEST),
        ("even if it may not move", {"migration": False}, {"deleted": NOW}, "west", Ground.BEST),
        ("even right after a failure", {"migration_timeout": 10**12}, {"deleted": NOW}, "west", Ground.BEST),
        ("or if it is lost after one", {"migration_timeout": 10**12}, {"state": ClusterState.OFFLINE}, "west", Ground.BEST),
        ("nobody stays there", {"labels": ["zone is a"]}, {"deleted": NOW}, None, Ground.LOST),
        ("nor on one that is gone", {"labels": ["zone is a"]}, {"namespace": "blue"}, None, Ground.LOST),
        (
            "it stays where it came from",
            {"labels": ["zone is a"], "running_on": "north"},
            {"deleted": NOW},
            "north",
            Ground.HOME,
        ),
        ("or goes on", {"running_on": "north"}, {"deleted": NOW}, "west", Ground.BEST),
        (
            "or stays, if it may not move",
            {"migration": False, "running_on": "north"},
            {"deleted": NOW},
            "north",
            Ground.PINNED,
        ),
    ],
)
def test_leaving(reason: str, app: dict[str, object], more: dict[str, object], choice: str | None, ground: Ground) -> None:
    """It is bound to the cluster east for a second."""
    snapshot = snapshot_of(
        make_candidate("east", labels={"zone": "a"}, **more),
        make_candidate("west", labels={"zone": "b"}),
        make_candidate("north", state=ClusterState.OFFLINE),
    )
    decision = decide(make_app(current="east", age=1, **app), snapshot)  # type: ignore[arg-type]
    assert (chosen(decision), decision.ground) == (choice, ground), reason


@pytest.mark.parametrize(
    ("reason", "age_of_change", "deleted", "choice"),
    [
        ("it would run once more elsewhere", 10, None, "east"),
        ("what is declared anew has not run", -10, None, "west"),
        ("it can not stay", 10, NOW, "west"),
    ],
)
def test_what_has_run_to_its_end(reason: str, age_of_change: float, deleted: datetime | None, choice: str) -> None:
    """It has run on the cluster east, and its user prefers west by now."""
    snapshot = snapshot_of(
        make_candidate("east", labels={"zone": "a"}, deleted=deleted), make_candidate("west", labels={"zone": "b"})
    )
    app = make_app(current="east", age=1000, labels=["zone is b"])
    metadata = dataclasses.replace(app.metadata, modified=NOW - timedelta(seconds=age_of_change))
    status = dataclasses.replace(app.status, state=ApplicationState.COMPLETED, kube_controller_triggered=NOW)
    assert chosen(decide(dataclasses.replace(app, metadata=metadata, status=status), snapshot)) == choice, reason


@pytest.mark.parametrize("migration", [True, False])
@pytest.mark.parametrize(
    ("reason", "timeout", "origin", "others", "choice"),
    [
        ("there is time left", 1, {"deleted": NOW}, {}, "east"),
        ("it tries another one", 0, {"deleted": NOW}, {}, "west"),
        ("it goes on trying if there is none", 0, {"deleted": NOW}, {"state": ClusterState.OFFLINE}, "east"),
        ("also where its origin is gone", 0, {"namespace": "blue"}, {}, "west"),
        ("the application controller takes it back", 0, {"drain": True}, {}, "east"),
    ],
)
def test_a_move_that_takes_too_long(
    reason: str, timeout: int, origin: dict[str, object], others: dict[str, object], choice: str, migration: bool
) -> None:
    """It moves from the cluster south to the cluster east, which would suit best."""
    snapshot = snapshot_of(
        make_candidate("east", {"load": (1.0, 1)}),
        make_candidate("south", {"load": (1.0, 1)}, **origin),
        make_candidate("west", {"load": (0.1, 1)}, **others),
    )
    deadline = int(NOW.timestamp()) + timeout
    app = make_app(
        current="east",
        running_on="south",
        age=1,
        state=ApplicationState.MIGRATING,
        migration_timeout=deadline,
        migration=migration,
    )
    decision = decide(app, snapshot)
    assert chosen(decision) == choice, reason
    if timeout > 0:
        assert decision.settled_for == timedelta(seconds=timeout)


@pytest.mark.parametrize(
    ("toleration", "taint", "covered"),
    [
        ({"key": "x"}, "x:NoSchedule", True),
        ({"key": "x"}, "x=1:NoSchedule", False),
        ({"key": "x", "value": "1"}, "x=1:NoSchedule", True),
        ({"key": "x", "operator": "Exists"}, "x=1:NoSchedule", True),
        ({"key": "y", "operator": "Exists"}, "x=1:NoSchedule", False),
        ({"operator": "Exists"}, "x=1:NoExecute", True),
        ({"key": "x", "effect": "NoExecute"}, "x:NoSchedule", False),
        ({"key": "x", "effect": "NoExecute"}, "x:NoExecute", True),
    ],
)
def test_a_toleration_is_about_a_taint(toleration: dict[str, str], taint: str, covered: bool) -> None:
    assert Toleration(**toleration).covers(read_taint(taint)) is covered  # type: ignore[arg-type]


def test_a_taint_to_be_avoided_outweighs_metrics() -> None:
    avoided = make_candidate("east", {"load": (1.0, 1)}, taints=["old:PreferNoSchedule"])
    assert chosen(decide(make_app(), snapshot_of(avoided, make_candidate("west")))) == "west"
    assert chosen(decide(make_app(), snapshot_of(avoided))) == "east"
    tolerant = make_app(tolerations=[{"key": "old"}])
    assert chosen(decide(tolerant, snapshot_of(avoided, make_candidate("west")))) == "east"


def test_the_words_name_the_clusters_and_what_is_wrong() -> None:
    north, south = make_candidate("north", drain=True), make_candidate("south", state=ClusterState.OFFLINE)
    stays = decide(make_app(current="north"), snapshot_of(north, south))
    assert reason_to_stay(stays, north.ref).message == (
        "It stays on Cluster red/north, because no other cluster fits. The cluster is drained: applications are to leave it. "
        "south: The cluster is OFFLINE, not ONLINE."
    )
    pinned = decide(make_app(current="north", migration=False), snapshot_of(north, south))
    assert reason_to_stay(pinned, north.ref).message == (
        "It stays on Cluster red/north, because it does not allow migration. "
        "The cluster is drained: applications are to leave it."
    )
    lost = decide(make_app(current="gone"), snapshot_of(*(make_candidate(f"c{n:02}", drain=True) for n in range(12))))
    assert reason_to_wait(lost).message.startswith("No matching Kubernetes cluster found: c00: The cluster is drained")
    assert reason_to_wait(lost).message.endswith("(and 2 more)")


def test_ties_go_to_the_first_name() -> None:
    decision = decide(make_app(), snapshot_of(make_candidate("west"), make_candidate("east"), make_candidate("north")))
    assert chosen(decision) == "east"


def test_a_tie_is_no_reason_to_move() -> None:
    perfect = snapshot_of(make_candidate("east", {"load": (1.0, 1)}), make_candidate("west", {"load": (1.0, 1)}))
    assert chosen(decide(make_app(current="west", age=1000), perfect)) == "west"


def test_any_metric_beats_none() -> None:
    snapshot = snapshot_of(make_candidate("east"), make_candidate("west", {"load": (0.01, 1)}), stickiness=5)
    assert chosen(decide(make_app(current="east", age=1000), snapshot)) == "west"


@pytest.mark.parametrize(
    ("reason", "app", "candidate", "rule", "words"),
    [
        ("another namespace", {}, {"namespace": "blue"}, "namespace", "of the namespace blue, the application of red"),
        ("in deletion", {}, {"deleted": NOW}, "deleted", "being deleted since 2026-11-21"),
        ("offline", {}, {"state": ClusterState.OFFLINE}, "state", "OFFLINE"),
        ("not yet there", {}, {"state": ClusterState.PENDING}, "state", "PENDING"),
        ("another label", {"labels": ["zone is a"]}, {"labels": {"zone": "b"}}, "label", "zone is a; zone is b"),
        ("no label", {"labels": ["zone is not a"]}, {}, "label", "no label zone"),
        (
            "no resource",
            {"custom_resources": ["a.b"]},
            {"custom_resources": ["c.d"]},
            "custom resource",
            "a.b; the cluster has c.d",
        ),
        ("too much load", {"metrics": ["load < 0.5"]}, {"readings": {"load": (0.7, 9.0)}}, "metric", "load < 0.5; load is 0.7"),
        ("no metric", {"metrics": ["load < 0.5"]}, {}, "metric", "load has no value"),
        ("not equal", {"metrics": ["load is 0.8"]}, {"readings": {"load": (0.7, 9.0)}}, "metric", "load is 0.8; load is 0.7"),
        ("the first rule counts", {"labels": ["zone is a"]}, {"state": ClusterState.FAILED}, "state", "FAILED"),
    ],
)
def test_a_refusal_says_the_rule_and_the_values(
    reason: str, app: dict[str, object], candidate: dict[str, object], rule: str, words: str
) -> None:
    decision = decide(make_app(**app), snapshot_of(make_candidate("east", **candidate)))  # type: ignore[arg-type]
    finding = findings(decision)["east"]
    assert isinstance(finding, Refusal), reason
    assert finding.rule == rule
    assert words in finding.message
    assert (decision.choice, decision.ground) == (None, Ground.NOTHING)


@pytest.mark.parametrize(
    ("reason", "app", "choice", "ground"),
    [
        ("the better one wins", {}, "west", Ground.BEST),
        ("a placement stands for a while", {"current": "east", "age": 59}, "east", Ground.RECENT),
        ("then it moves", {"current": "east", "age": 61}, "west", Ground.BEST),
        ("at once, if it does not fit any more", {"current": "north", "age": 1}, "west", Ground.BEST),
        ("not if it may not", {"current": "east", "age": 1e6, "migration": False}, "east", Ground.PINNED),
        ("not even from where it does not fit", {"current": "north", "migration": False}, "north", Ground.PINNED),
        ("the first placement is no migration", {"migration": False}, "west", Ground.BEST),
        ("not after a failed one", {"current": "east", "migration_timeout": int(NOW.timestamp()) + 9}, "east", Ground.COOLING),
        (
            "but at once after a change",
            {"current": "east", "migration_timeout": int(NOW.timestamp()) + 9, "triggered": NOW - timedelta(seconds=1)},
            "west",
            Ground.BEST,
        ),
        ("but later", {"current": "east", "migration_timeout": int(NOW.timestamp()) - 9}, "west", Ground.BEST),
    ],
)
def test_moving(reason: str, app: dict[str, object], choice: str, ground: Ground) -> None:
    snapshot = snapshot_of(
        make_candidate("east", {"load": (0.5, 1)}),
        make_candidate("west", {"load": (0.9, 1)}),
        make_candidate("north", {"load": (1.0, 1)}, state=ClusterState.OFFLINE),
    )
    decision = decide(make_app(**app), snapshot)  # type: ignore[arg-type]
    assert (chosen(decision), decision.ground) == (choice, ground), reason


def test_stickiness_outweighs_a_small_advantage() -> None:
    app = make_app(current="east", age=1000)
    near = snapshot_of(make_candidate("east", {"load": (0.5, 1)}), make_candidate("west", {"load": (0.54, 1)}))
    far = snapshot_of(make_candidate("east", {"load": (0.5, 1)}), make_candidate("west", {"load": (0.55, 1)}))
    assert (chosen(decide(app, near)), chosen(decide(app, far))) == ("east", "west")


def test_a_failing_metric_leaves_the_ranking_to_the_others() -> None:
    failing = make_candidate("east", {"load": (0.5, 1)}, failures=NO_COST, state=ClusterState.FAILING_METRICS)
    alone = decide(make_app(metrics=["load > 0.4"]), snapshot_of(failing))
    assert chosen(alone) == "east"
    found = findings(alone)["east"]
    assert isinstance(found, Score)
    assert (found.measured, found.note) == (True, "Ranked by the others, because some could not be read: cost: no value")
    assert chosen(decide(make_app(), snapshot_of(failing, make_candidate("west", {"load": (0.6, 1)})))) == "west"
    assert chosen(decide(make_app(), snapshot_of(failing, make_candidate("west", {"load": (0.4, 1)})))) == "east"
    blind = make_candidate("south", failures=NO_COST, state=ClusterState.FAILING_METRICS)
    assert chosen(decide(make_app(), snapshot_of(blind, make_candidate("west", {"load": (0.1, 1)})))) == "west"


def test_a_cluster_that_lacks_a_vital_metric_takes_nobody_and_is_left_if_another_fits() -> None:
    blind, west = make_candidate("east", failures=NO_COST, excluded=True), make_candidate("west")
    assert chosen(decide(make_app(), snapshot_of(blind, west))) == "west"
    assert chosen(decide(make_app(current="east", age=1), snapshot_of(blind, west))) == "west"
    stays = decide(make_app(current="east", age=1), snapshot_of(blind))
    assert (stays.choice, stays.ground) == (None, Ground.NOTHING)
    assert stays.concern == "A metric that it must have could not be read: cost: no value"


def test_who_can_stay_does_not_move_to_a_cluster_that_came_back_a_short_while_ago() -> None:
    def candidates(**more: object) -> tuple[Candidate, ...]:
        west = make_candidate("west", {"load": (0.9, 1)}, steady_from=NOW + timedelta(seconds=5))
        return make_candidate("east", {"load": (0.1, 1)}, **more), west

    settled = make_app(current="east", age=1000)
    assert chosen(decide(settled, snapshot_of(*candidates()))) == "east"
    assert isinstance(findings(decide(settled, snapshot_of(*candidates())))["west"], Refusal)
    assert chosen(decide(settled, snapshot_of(*candidates()).at(NOW + timedelta(seconds=5)))) == "west"
    assert chosen(decide(settled, snapshot_of(*candidates(drain=True)))) == "west"
    assert chosen(decide(make_app(), snapshot_of(*candidates()))) == "west"


def test_an_application_waits_for_a_cluster_that_may_come_back() -> None:
    silent, west = make_candidate("east", state=ClusterState.OFFLINE, awaited=True), make_candidate("west")
    waiting = decide(make_app(current="east", age=1000), snapshot_of(silent, west))
    assert (chosen(waiting), waiting.ground) == ("east", Ground.AWAITED)
    assert chosen(decide(make_app(), snapshot_of(silent, west))) == "west"
    assert chosen(decide(make_app(), snapshot_of(silent))) is None


def test_a_degraded_cluster_keeps_who_is_there_and_takes_nobody() -> None:
    north, south = make_candidate("north", state=ClusterState.DEGRADED), make_candidate("south")
    assert chosen(decide(make_app(), snapshot_of(north, south))) == "south"
    assert isinstance(findings(decide(make_app(), snapshot_of(north, south)))["north"], Refusal)
    there = decide(make_app(current="north", running_on="north"), snapshot_of(north))
    assert not isinstance(findings(there)["north"], Refusal)
