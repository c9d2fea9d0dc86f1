"""What would have to be otherwise: it is told, and it is so."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.worlds import NOW, apps, make_app, make_candidate, snapshots

from krake.controller.scheduler.deciding.decide import Ground, decide
from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Snapshot
from krake.controller.scheduler.explaining.counterfactuals import apply, find_counterfactuals
from krake.data.kubernetes import Application


def told(app: Application, *candidates: Candidate) -> list[str]:
    snapshot = Snapshot(NOW, candidates)
    return [str(each) for each in find_counterfactuals(app, snapshot, decide(app, snapshot))]


def measured(name: str, **readings: Reading) -> Candidate:
    return Candidate(make_candidate(name).cluster, Measurement(tuple(readings.values())))


@given(apps(), snapshots())
def test_applied_it_changes_the_choice(app: Application, snapshot: Snapshot) -> None:
    decision = decide(app, snapshot)
    for found in find_counterfactuals(app, snapshot, decision):
        assert found.cluster != decision.choice
        assert decide(app, apply(found, snapshot)).choice == found.cluster
        assert found.at_least == (found.bound > found.present)


values = st.floats(0, 1)
worlds = st.lists(st.tuples(values, values, st.floats(0.1, 5), st.floats(0.1, 5)), min_size=2, max_size=4)


@given(worlds)
def test_it_is_told_whenever_a_weight_could_help(world: list[tuple[float, float, float, float]]) -> None:
    """A weight that grows without end lets the one win that has the best value of a metric that no other is ranked by."""
    candidates = [
        make_candidate(f"c{number}", {f"own-{number}": (own, first), "load": (load, second)})
        for number, (own, load, first, second) in enumerate(world)
    ]
    snapshot = Snapshot(NOW, tuple(candidates))
    decision = decide(make_app(), snapshot)
    totals = {each.cluster: each.finding.total for each in decision.verdicts}  # type: ignore[union-attr]
    explained = {
        each.cluster for each in find_counterfactuals(make_app(), snapshot, decision, rivals=9) if each.subject == "weight"
    }
    for candidate, (own, load, *_) in zip(candidates, world, strict=True):
        others = max(total for ref, total in totals.items() if ref != candidate.ref)
        if candidate.ref != decision.choice and max(own, load) > others + 1e-3:
            assert candidate.ref in explained


@given(worlds)
def test_a_bound_is_tight(world: list[tuple[float, float, float, float]]) -> None:
    """Short of it by more than its rounding, the choice stays."""
    candidates = tuple(
        make_candidate(f"c{number}", {"energy": (world[0][0], first), f"load-{number}": (load, second)})
        for number, (_, load, first, second) in enumerate(world)
    )
    snapshot = Snapshot(NOW, candidates)
    decision = decide(make_app(), snapshot)
    for found in find_counterfactuals(make_app(), snapshot, decision):
        slack = 0.2 * abs(found.bound) + 0.002
        short = found.bound - math.copysign(slack, found.bound - found.present)
        if (short > found.present) == found.at_least:
            shorter = type(found)(found.cluster, found.metric, found.subject, short, found.at_least, found.present)
            assert decide(make_app(), apply(shorter, snapshot)).choice != found.cluster


def test_it_is_told_in_raw_values_and_weights() -> None:
    west = measured("west", latency=Reading("latency-west", 40.0, 0.4, 1.0, low=0.0, high=100.0))
    east = measured("east", latency=Reading("latency-east", 60.0, 0.6, 1.0, low=0.0, high=100.0))
    assert told(make_app(), west, east) == ["west would win if latency-west were ≥ 61"]


def test_a_metric_that_all_have_changes_for_all() -> None:
    """Whoever has a value in common with the winner can overtake it only by weighing it otherwise."""
    west = make_candidate("west", {"energy": (0.2, 3.0), "load": (0.9, 1.0)})
    east = make_candidate("east", {"energy": (0.2, 1.0), "load": (0.9, 1.0)})
    assert told(make_app(), west, east) == [
        "west would win if energy were ≥ 0.91",
        "west would win if the weight of energy were ≤ 0.99",
    ]


@pytest.mark.parametrize(
    ("reason", "app", "ground"),
    [
        ("it may not move", {"migration": False}, Ground.PINNED),
        ("it came a short while ago", {"age": 1}, Ground.RECENT),
        ("it fits nowhere", {"labels": ["zone is a"]}, Ground.NOTHING),
    ],
)
def test_nothing_is_told_where_scores_do_not_decide(reason: str, app: dict[str, object], ground: Ground) -> None:
    candidates = make_candidate("east", {"load": (0.5, 1)}), make_candidate("west", {"load": (0.9, 1)})
    subject = make_app(current="east", **app)  # type: ignore[arg-type]
    assert decide(subject, Snapshot(NOW, candidates)).ground is ground, reason
    assert told(subject, *candidates) == []


def test_a_constraint_stands_against_what_scores_would_allow() -> None:
    """The value that would let west win is one at which it may not be chosen."""
    west, east = make_candidate("west", {"cold": (0.4, 1)}), make_candidate("east", {"load": (0.6, 1)})
    assert told(make_app(metrics=["cold < 0.5 or cold not exists"]), west, east) == []
    assert told(make_app(), west, east) == ["west would win if cold were ≥ 0.61"]


def test_the_place_where_it_is_must_be_beaten_with_its_bonus() -> None:
    east, west = make_candidate("east", {"load": (0.5, 1)}), make_candidate("west", {"cold": (0.5, 1)})
    app = make_app(current="east", age=timedelta(hours=1).total_seconds())
    assert told(app, east, west) == ["west would win if cold were ≥ 0.55"]
