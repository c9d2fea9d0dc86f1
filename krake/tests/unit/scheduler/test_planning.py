"""What plans say, and that it is what comes of it when the scheduler's decisions are carried out one by one."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.scheduler.worlds import NO_COST, NOW, make_app, make_candidate

from krake.controller.scheduler.deciding.decide import Ground, decide
from krake.controller.scheduler.deciding.ledger import Ledger
from krake.controller.scheduler.deciding.snapshot import Candidate, Settings, Snapshot
from krake.controller.scheduler.deciding.tenants import tenant_of
from krake.controller.scheduler.metrics.measuring import Catalog
from krake.controller.scheduler.planning.forecast import finish, work_out
from krake.controller.scheduler.planning.whatif import Impossible, Situation, imagine, imagine_slowly
from krake.data import Key, Metadata
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.core import GlobalMetric, MetricRef, MetricSpec, MetricSpecProvider
from krake.data.kubernetes import Application, Cluster, ClusterConstraints, ClusterState, Constraints
from krake.data.plans import (
    ConstraintChange,
    LabelChange,
    MetricChange,
    PlannedApplication,
    PlanSpec,
    PlanState,
    PlanStatus,
    WeightChange,
)

MINUTE = timedelta(seconds=60)


def cluster(name: str, load: float | None = None, *, weight: float = 1.0, room: int | None = None, **more: Any) -> Candidate:
    """A cluster with a metric, and room for so many Pods."""
    readings = {} if load is None else {"load": (load, weight)}
    metrics = [] if load is None else [MetricRef(name="load", weight=weight)]
    candidate = make_candidate(name, readings, metrics=metrics, **more)
    if room is None:
        return candidate
    status = replace(candidate.cluster.status, allocatable={"pods": str(room)})
    return replace(candidate, cluster=replace(candidate.cluster, status=status))


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def app(name: str, current: str | None = None, *, age: float = 1000.0, priority: int = 0, **more: Any) -> Application:
    """An application of one Pod that runs where it is placed."""
    made = make_app(current=current, running_on=current, age=age if current else None, **more)
    triggered = NOW if current else None
    spec = replace(made.spec, priority=priority, manifest=[POD])
    metadata = replace(made.metadata, name=name, modified=NOW - timedelta(days=1))
    return replace(made, metadata=metadata, spec=spec, status=replace(made.status, kube_controller_triggered=triggered))


LOAD = GlobalMetric(
    metadata=Metadata(name="load"), spec=MetricSpec(min=0, max=1, provider=MetricSpecProvider(name="p", metric="load"))
)


def situation(clusters: list[Candidate], apps: list[Application], **more: Any) -> Situation:
    ledger = Ledger()
    found = {each.ref: each.cluster for each in clusters}
    for each in apps:
        ledger.put(tenant_of(each, found.get(each.status.scheduled_to) if each.status.scheduled_to else None))
    snapshot = Snapshot(NOW, tuple(clusters), Settings(more.get("stickiness", 0.1), MINUTE), ledger)
    return Situation("red", snapshot, {each.metadata.name: each for each in apps}, Catalog({}, {}, {LOAD.key: LOAD}, {}))


def plan(before: Situation, **changes: Any) -> PlanStatus:
    spec = PlanSpec(**changes)
    return finish(work_out(before, imagine(before, spec), spec.explain))


def moved(status: PlanStatus) -> dict[str, tuple[str | None, str | None]]:
    return {each.application: (each.former, each.choice) for each in status.moves}


def test_nothing_moves_where_all_is_well() -> None:
    status = plan(situation([cluster("east", 0.5), cluster("west", 0.4)], [app("a", "east"), app("b", "east")]))
    assert (status.state, status.settled, status.moving, status.unfit) == (PlanState.DONE, True, 0, 0)
    assert (status.applications, status.clusters, status.rounds) == (2, 2, 1)
    assert status.metrics["load"].before == status.metrics["load"].after
    assert (status.metrics["load"].after.sum, status.metrics["load"].after.mean) == (1.0, 0.5)


def test_a_better_cluster_draws_applications() -> None:
    status = plan(situation([cluster("east", 0.5), cluster("west", 0.9)], [app("a", "east")]))
    assert moved(status) == {"a": ("east", "west")}
    assert status.moves[0].after == 0
    comparison = status.metrics["load"]
    assert (comparison.before.sum, comparison.after.sum) == (0.5, 0.9)
    assert status.score is not None
    assert (status.score.before.mean, status.score.after.mean) == (0.5, 0.9)


def test_recent_placements_are_left_later() -> None:
    status = plan(situation([cluster("east", 0.5), cluster("west", 0.9)], [app("a", "east", age=20)]))
    assert [(each.choice, each.after) for each in status.moves] == [("west", 40.0)]


def test_a_new_application_goes_where_there_is_room() -> None:
    before = situation([cluster("east", 0.9, room=1), cluster("west", 0.1, room=1)], [app("a", "east")])
    status = plan(before, applications=[PlannedApplication(name=name, manifest=[POD]) for name in ("b", "c")])
    assert moved(status) == {"b": (None, "west")}
    assert [(each.application, each.place) for each in status.misfits] == [("c", None)]
    assert "east" in status.misfits[0].why
    assert "west" in status.misfits[0].why


def test_the_more_important_one_gets_the_room() -> None:
    before = situation([cluster("east", room=1)], [])
    new = [PlannedApplication(name=name, manifest=[POD], priority=priority) for name, priority in (("a", 1), ("b", 2))]
    status = plan(before, applications=new)
    assert moved(status) == {"b": (None, "east")}
    assert [each.application for each in status.misfits] == ["a"]


def test_who_was_new_in_one_round_has_no_precedence_in_the_next() -> None:
    """Of those who would like the room that was given up, the first by name gets it, as the scheduler would do it."""
    clusters = [cluster("east"), cluster("north"), cluster("south", 0.1, room=2, labels={"zone": "a"})]
    apps = [
        app("a"),
        app("b", "east", age=0),
        app("c", "south", age=0, labels=["zone not exists"]),
        app("d"),
    ]
    assert moved(plan(situation(clusters, apps, stickiness=0.0)))["b"] == ("east", "south")


def test_a_changed_application_keeps_what_is_not_said() -> None:
    before = situation([cluster("east", labels={"zone": "a"}), cluster("west", labels={"zone": "b"})], [app("a", "east")])
    asks = Constraints(cluster=ClusterConstraints(labels=[LabelConstraint.parse("zone is b")]))
    assert moved(plan(before, applications=[PlannedApplication(name="a", constraints=asks)])) == {"a": ("east", "west")}
    assert moved(plan(before, applications=[PlannedApplication(name="a", manifest=[POD])])) == {}


def labels_of_a(text: str) -> ConstraintChange:
    return ConstraintChange(application="a", labels=[LabelConstraint.parse(text)])


def metrics_of_a(text: str) -> ConstraintChange:
    return ConstraintChange(application="a", metrics=[MetricConstraint.parse(text)])


@pytest.mark.parametrize(
    ("reason", "changes", "expected"),
    [
        ("a label constraint", {"constraints": [labels_of_a("zone is b")]}, True),
        ("a metric constraint", {"constraints": [metrics_of_a("load < 0.45")]}, True),
        ("a constraint that holds", {"constraints": [labels_of_a("zone is a")]}, False),
        ("a value for all", {"metrics": [MetricChange(metric="load", value=0.7)]}, False),
        ("a value for one", {"metrics": [MetricChange(metric="load", value=0.7, cluster="west")]}, True),
        ("drained", {"drain": ["east"]}, True),
        ("another one drained", {"drain": ["west"]}, False),
        ("lost", {"lose": ["east"]}, True),
        ("lost, said precisely", {"lose": ["cluster/east"]}, True),
    ],
)
def test_changes(reason: str, changes: dict[str, Any], expected: bool) -> None:
    clusters = [cluster("east", 0.5, labels={"zone": "a"}), cluster("west", 0.4, labels={"zone": "b"})]
    status = plan(situation(clusters, [app("a", "east")]), **changes)
    assert moved(status) == ({"a": ("east", "west")} if expected else {}), reason


def test_labels() -> None:
    clusters = [cluster("east", labels={"zone": "a"}), cluster("west", labels={"zone": "a"})]
    before = situation(clusters, [app("a", "east", labels=["zone is a"])])
    assert moved(plan(before, labels=[LabelChange(cluster="east", key="zone", value="b")])) == {"a": ("east", "west")}
    assert moved(plan(before, labels=[LabelChange(cluster="east", key="zone")])) == {"a": ("east", "west")}
    assert moved(plan(before, labels=[LabelChange(cluster="west", key="zone")])) == {}


def test_weights() -> None:
    two = {"load": (0.5, 1.0), "latency": (0.9, 0.1)}
    refs = [MetricRef(name="load", weight=1), MetricRef(name="latency", weight=0.1)]
    clusters = [make_candidate("east", two, metrics=refs), cluster("west", 0.6)]
    before = situation(clusters, [app("a", "west")])
    assert moved(plan(before)) == {}
    assert moved(plan(before, weights=[WeightChange(cluster="east", metric="latency", weight=10)])) == {"a": ("west", "east")}
    assert moved(plan(before, weights=[WeightChange(cluster="west", metric="latency", weight=10)])) == {}


def test_a_metric_that_fails_can_be_given_a_value() -> None:
    failing = make_candidate(
        "west", {}, metrics=[MetricRef(name="load", weight=1)], failures={"load": NO_COST["cost"]}, excluded=True
    )
    before = situation([cluster("east", 0.5), failing], [app("a", "east")])
    assert moved(plan(before)) == {}
    assert moved(plan(before, metrics=[MetricChange(metric="load", value=0.9, cluster="west")])) == {"a": ("east", "west")}


def test_who_may_not_move_is_told() -> None:
    before = situation([cluster("east"), cluster("west")], [app("a", "east", migration=False)])
    status = plan(before, drain=["east"])
    assert status.moves == []
    (misfit,) = status.misfits
    assert (misfit.application, misfit.place) == ("a", "east")
    assert "does not allow migration" in misfit.why


def test_losing_a_cloud_is_losing_its_clusters() -> None:
    cloud = Cluster.definition.ref(Key(None, "sky"))
    clusters = [cluster(name) for name in ("east", "north", "west")]
    for index in (0, 1):
        there = replace(clusters[index].cluster.status, running_on=cloud)
        clusters[index] = replace(clusters[index], cluster=replace(clusters[index].cluster, status=there))
    before = situation(clusters, [app("a", "east"), app("b", "north"), app("c", "west")])
    assert moved(plan(before, lose=["sky"])) == {"a": ("east", "west"), "b": ("north", "west")}
    assert moved(plan(before, lose=["cloud/sky"])) == {"a": ("east", "west"), "b": ("north", "west")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drain": ["nowhere"]}, "no cluster 'nowhere'"),
        ({"lose": ["nowhere"]}, "no cluster or cloud"),
        ({"lose": ["cloud/east"]}, "no cloud"),
        ({"explain": ["nothing"]}, "no application 'nothing'"),
        ({"constraints": [ConstraintChange(application="nothing")]}, "no application 'nothing'"),
        ({"labels": [LabelChange(cluster="nowhere", key="a")]}, "no cluster 'nowhere'"),
        ({"weights": [WeightChange(cluster="nowhere", metric="load", weight=1)]}, "no cluster 'nowhere'"),
        ({"weights": [WeightChange(cluster="east", metric="none", weight=1)]}, "no metric 'none'"),
        ({"metrics": [MetricChange(metric="none", value=1)]}, "no metric 'none'"),
        ({"metrics": [MetricChange(metric="load", value=1, cluster="nowhere")]}, "no cluster 'nowhere'"),
        ({"metrics": [MetricChange(metric="load", value=float("inf"))]}, "can not be inf"),
    ],
)
def test_wrong_names_are_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Impossible, match=words):
        imagine(situation([cluster("east", 0.5)], [app("a", "east")]), PlanSpec(**changes))


def test_decisions_are_told() -> None:
    before = situation([cluster("east", 0.5), cluster("west", 0.9)], [app("a", "east"), app("b", "west")])
    status = plan(before, explain=["a", "b"])
    assert status.decisions.keys() == {"a", "b"}
    told = status.decisions["a"]
    assert told.choice is not None
    assert (told.choice.name, told.ground) == ("west", Ground.BEST.name)
    assert {each.place.name for each in told.candidates} == {"east", "west"}


def test_nothing_of_the_present_is_touched() -> None:
    before = situation([cluster("east", 0.5, room=3), cluster("west", 0.9, room=3)], [app("a", "east")])
    east = before.snapshot.candidates[0].ref
    plan(before, drain=["east"], applications=[PlannedApplication(name="b", manifest=[POD])])
    assert list(before.snapshot.ledger.tenants_on(east)) == [Key("red", "a")]
    assert before.snapshot.ledger.tenant(Key("red", "b")) is None
    assert list(before.apps) == ["a"]
    assert not before.snapshot.candidates[0].cluster.spec.drain


loads = st.none() | st.sampled_from([0.1, 0.5, 0.9])
places = st.sampled_from([None, "east", "north", "south"])


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    clusters = [
        cluster(
            name,
            draw(loads),
            room=draw(st.none() | st.integers(0, 4)),
            labels=draw(st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}])),
            state=draw(st.sampled_from([ClusterState.ONLINE, ClusterState.ONLINE, ClusterState.OFFLINE])),
            unschedulable=draw(st.sampled_from([False, False, True])),
        )
        for name in ("east", "north", "south")
    ]
    made = [
        app(
            f"app-{index}",
            draw(places),
            age=draw(st.sampled_from([0, 30, 1000])),
            priority=draw(st.integers(0, 2)),
            migration=draw(st.sampled_from([True, True, True, False])),
            labels=draw(st.sampled_from([[], [], ["zone is a"], ["zone not exists"]])),
        )
        for index in range(draw(st.integers(0, 6)))
    ]
    return situation(clusters, made, stickiness=draw(st.sampled_from([0.0, 0.1, 1.0])))


changes = st.fixed_dictionaries(
    {},
    optional={
        "drain": st.lists(st.sampled_from(["east", "north"]), max_size=2),
        "lose": st.lists(st.sampled_from(["east", "south"]), max_size=2),
        "labels": st.just([LabelChange(cluster="east", key="zone", value="b")]),
        "applications": st.just([PlannedApplication(name="new", manifest=[POD])]),
    },
)


def count_on(apps: Mapping[str, Application], name: str) -> int:
    return sum(each.status.scheduled_to is not None and each.status.scheduled_to.name == name for each in apps.values())


@settings(max_examples=300, deadline=None)
@given(before=situations(), changed=changes)
def test_after_what_is_planned_nothing_is_left_to_do(before: Situation, changed: dict[str, Any]) -> None:
    """The plan, carried out, is where the scheduler comes to rest: a plan made there has nothing to do."""
    status = plan(before, **changed)
    assert status.settled
    imagined = imagine(before, PlanSpec(**changed))
    apps = carry_out(imagined, status)
    later = situation(list(imagined.snapshot.candidates), list(apps.values()), stickiness=before.snapshot.settings.stickiness)
    again = plan(later)
    assert moved(again) == {}
    assert {each.application for each in again.misfits} == {each.application for each in status.misfits}
    for each in imagined.snapshot.candidates:
        number = count_on(apps, each.ref.name)
        room = each.cluster.status.room.get("pods")
        assert room is None or number * 1000 <= max(room, count_on(imagined.apps, each.ref.name) * 1000)


def carry_out(imagined: Situation, status: PlanStatus) -> dict[str, Application]:
    """Return the applications where the plan has them, placed long ago."""
    choices = {each.application: each.choice for each in status.moves}
    apps = {}
    for name, each in imagined.apps.items():
        place = each.status.scheduled_to and each.status.scheduled_to.name
        settled = choices.get(name, place)
        ref = None if settled is None else Cluster.definition.ref(Key("red", settled))
        placed = replace(
            each.status, scheduled_to=ref, running_on=ref, scheduled=NOW - timedelta(days=1), kube_controller_triggered=NOW
        )
        apps[name] = replace(each, status=placed)
    return apps


@settings(max_examples=300, deadline=None)
@given(before=situations(), changed=changes)
def test_the_decisions_of_the_scheduler_lead_there(before: Situation, changed: dict[str, Any]) -> None:
    """Deciding on one application after the other, as the scheduler does, comes to what was planned."""
    status = plan(before, **changed)
    imagined = imagine(before, PlanSpec(**changed))
    apps, snapshot = dict(imagined.apps), imagined.snapshot.fork()
    clusters = {each.ref: each.cluster for each in snapshot.candidates}
    for each in apps.values():
        snapshot.ledger.put(tenant_of(each, clusters.get(each.status.scheduled_to) if each.status.scheduled_to else None))
    for turn in range(10):
        snapshot = snapshot.at(NOW + turn * MINUTE)
        # Newcomers first, then those who have a place, each by priority.
        order = sorted(apps.values(), key=lambda each: (each.status.kube_controller_triggered is not None, -each.spec.priority))
        for each in order:
            decision = decide(each, snapshot)
            if decision.choice in (None, each.status.scheduled_to):
                continue
            ref, now = decision.choice, snapshot.now
            gone = replace(each.status, scheduled_to=ref, running_on=ref, scheduled=now, kube_controller_triggered=now)
            apps[each.metadata.name] = there = replace(each, status=gone)
            snapshot.ledger.put(tenant_of(there, clusters[ref]))
    places_at_last = {name: each.status.scheduled_to and each.status.scheduled_to.name for name, each in apps.items()}
    planned = {
        name: each.status.scheduled_to and each.status.scheduled_to.name for name, each in carry_out(imagined, status).items()
    }
    assert planned == places_at_last


def test_a_thousand_changes_are_imagined_in_small_steps() -> None:
    """Each of them concerns every cluster; whoever asks for a plan must not keep the scheduler from everything else."""
    before = situation([cluster(f"c{number}", 0.5) for number in range(50)], [app("a", "c1")])
    steps = imagine_slowly(before, PlanSpec(metrics=[MetricChange(metric="load", value=0.1)] * 200))
    assert sum(1 for _ in steps) == 200
    assert plan(before, metrics=[MetricChange(metric="load", value=0.1)] * 3).metrics["load"].after.mean == 0.1


EXTREMES = st.sampled_from([0.0, 1.0, -1.0, 1e308, -1e308, 1.7976931348623157e308, 5e-324, -5e-324])


@given(st.lists(EXTREMES, min_size=6, max_size=6), st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=6, max_size=6), EXTREMES)
@settings(max_examples=300)
def test_whatever_the_weights_there_is_an_answer_that_can_be_sent(
    weights: list[float], values: list[float], weight: float
) -> None:
    metrics = [MetricRef(name=name, weight=1.0) for name in "abc"]
    readings = iter(zip(values, weights, strict=True))
    clusters = [make_candidate(name, {each: next(readings) for each in "abc"}, metrics=metrics) for name in ("one", "two")]
    before = situation(clusters, [app("here", "one"), app("new")])
    changes = [WeightChange(cluster="two", metric="a", weight=weight)]
    status = finish(work_out(before, imagine(before, PlanSpec(weights=changes)), ["here", "new"]))
    assert json.dumps(status.serialize(), allow_nan=False)
