"""Fleets: what is remembered is what would be found by looking at everyone."""

import dataclasses
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.worlds import CLUSTERS, NOW, apps, candidates, make_app, make_candidate, snapshots

from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.filters import RULES, fitting, refuse
from krake.controller.scheduler.deciding.fleet import FEW, Fleet
from krake.controller.scheduler.deciding.scores import score
from krake.controller.scheduler.deciding.snapshot import Candidate, Settings, Snapshot
from krake.data.kubernetes import Application


@given(apps(), snapshots())
def test_the_set_of_those_that_fit_is_of_those_that_no_rule_refuses(app: Application, snapshot: Snapshot) -> None:
    fleet, settings = snapshot.fleet, snapshot.settings
    found = list(fleet.members(fitting(RULES, app, fleet, settings)))
    assert found == [each for each in fleet.candidates if refuse(RULES, app, each, settings) is None]


@given(apps(), snapshots(), st.data())
def test_a_changed_snapshot_decides_like_a_new_one(app: Application, snapshot: Snapshot, data: st.DataObject) -> None:
    decide(app, snapshot)
    names = data.draw(st.lists(st.sampled_from(CLUSTERS), unique=True))
    news = [data.draw(candidates(name)) for name in names]
    gone = (
        data.draw(st.lists(st.sampled_from(snapshot.candidates), unique_by=lambda each: each.ref))
        if snapshot.candidates
        else []
    )
    changed = snapshot.changed(news, [each.ref for each in gone])
    left = {each.ref: each for each in (*snapshot.candidates, *news) if each.ref not in [one.ref for one in gone]}
    fresh = Snapshot(NOW, tuple(left.values()), snapshot.settings)
    one, other = decide(app, changed), decide(app, fresh)
    assert (one, one.verdicts) == (other, other.verdicts)


@given(apps(), snapshots())
def test_a_fork_and_another_time_leave_a_snapshot_as_it_is(app: Application, snapshot: Snapshot) -> None:
    before = decide(app, snapshot)
    later = snapshot.fork().at(NOW.replace(year=2030))
    assert later.fleet is snapshot.fleet
    assert decide(app, later) == decide(app, dataclasses.replace(snapshot, now=later.now))
    assert decide(app, snapshot) == before


def test_many_are_put_in_the_same_order_as_few() -> None:
    random = Random(1)
    many = Fleet(
        make_candidate(f"c{number:03}", {"load": (random.randint(0, 40) / 40, 1)} if random.random() < 0.9 else {})
        for number in range(4 * FEW)
    )
    for size in (0, 1, FEW, FEW + 1, 2 * FEW, 4 * FEW):
        chosen = random.sample(range(4 * FEW), size)
        found = list(many.rank(sum(1 << each for each in chosen)))
        members = [many.candidates[each] for each in sorted(chosen)]
        ranks = sorted({score(each.measurement).rank for each in members}, reverse=True)
        assert [each.rank for each, _ in found] == ranks
        for (_, tied), rank in zip(found, ranks, strict=True):
            assert tied == [each for each in sorted(chosen) if score(many.candidates[each].measurement).rank == rank]


values = st.integers(0, 8).map(lambda number: number / 8)
weights = st.integers(1, 4).map(float)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), weights, min_size=1), st.integers(1, 3), st.data())
def test_more_weight_on_what_it_is_best_at_does_not_cost_the_first_place(
    weighed: dict[str, float], more: int, data: st.DataObject
) -> None:
    measured = {name: {metric: data.draw(values) for metric in weighed} for name in CLUSTERS}

    def choose(weights: dict[str, float]) -> str:
        clusters = [
            make_candidate(name, {each: (found[each], weights[each]) for each in weights}) for name, found in measured.items()
        ]
        choice = decide(make_app(), Snapshot(NOW, tuple(clusters), Settings())).choice
        assert choice is not None
        return choice.name

    first = choose(weighed)
    for metric in weighed:
        if measured[first][metric] == max(each[metric] for each in measured.values()):
            assert choose(weighed | {metric: weighed[metric] + more}) == first


def test_a_fleet_finds_whom_it_has() -> None:
    east, west = make_candidate("east"), make_candidate("west")
    fleet: Fleet[Candidate] = Fleet([west, east])
    assert fleet.candidates == (east, west)
    assert fleet.find(west.ref) is west
    assert fleet.find(make_candidate("east", namespace="blue").ref) is None
    assert fleet.find(None) is None
