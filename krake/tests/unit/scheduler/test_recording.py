"""Records of decisions, and what becomes of a history of them."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.scheduler.worlds import NOW, apps, make_app, make_candidate, snapshots

from krake.controller.scheduler.deciding.decide import decide
from krake.controller.scheduler.deciding.filters import Refusal
from krake.controller.scheduler.deciding.scores import Score
from krake.controller.scheduler.deciding.snapshot import Candidate, Measurement, Reading, Snapshot
from krake.controller.scheduler.explaining.recording import RENEWAL, fold, is_news, record
from krake.data import Reason, ReasonCode, ResourceRef
from krake.data.kubernetes import Application
from krake.data.placements import MOST_DECISIONS, Condition, DecisionRecord


def made(app: Application, *candidates: Candidate, limit: int = 50) -> DecisionRecord:
    snapshot = Snapshot(NOW, candidates)
    return record(app, decide(app, snapshot), snapshot, limit=limit)


def names(decision: DecisionRecord) -> list[str]:
    return [each.place.name for each in decision.candidates]


def cluster(name: str) -> ResourceRef:
    return ResourceRef(api="kubernetes", kind="Cluster", namespace="red", name=name)


def test_a_record_tells_of_each_candidate_what_was_found() -> None:
    app = make_app(current="north", age=3600, labels=["zone is a"])
    north = make_candidate("north", {"load": (0.25, 2.0)}, labels={"zone": "a"})
    south = make_candidate("south", {"load": (0.5, 1.0)}, labels={"zone": "a"})
    decision = made(app, make_candidate("west", labels={"zone": "b"}), north, south)
    assert (decision.choice, decision.former, decision.ground) == (cluster("south"), cluster("north"), "BEST")
    assert decision.cause is not None
    assert "0.2857" in decision.cause
    assert "0.5" in decision.cause
    assert names(decision) == ["south", "north", "west"]
    there, here, refused = decision.candidates
    assert (there.score, there.stickiness, there.rule) == (0.5, 0.0, None)
    assert [(each.name, each.raw, each.value, each.weight) for each in there.metrics] == [("load", 0.5, 0.5, 1.0)]
    assert here.stickiness == 0.1
    assert (refused.rule, refused.score) == ("label", None)
    assert refused.message is not None
    assert "zone is b" in refused.message
    assert (decision.considered, decision.refused) == (3, {"label": 1})


def test_what_could_not_be_read_is_told_with_the_reason() -> None:
    failed = {"load": Reason(code=ReasonCode.UNREACHABLE_METRICS_PROVIDER, message="It does not answer.")}
    measurement = Measurement((Reading("cost", 3.0, 0.3, 1.0, age=12.34, note="It is old."),), failed)
    told = made(make_app(), replace(make_candidate("north"), measurement=measurement)).candidates[0]
    cost, load = told.metrics
    assert (cost.raw, cost.value, cost.age, cost.note) == (3.0, 0.3, 12.3, "It is old.")
    assert (load.raw, load.value, load.note) == (None, None, "It does not answer.")


def test_of_a_metric_whose_last_value_counts_it_is_told_once() -> None:
    failed = {"load": Reason(code=ReasonCode.UNREACHABLE_METRICS_PROVIDER, message="It does not answer.")}
    note = "the last valid value, as there is no newer one: It does not answer."
    measurement = Measurement((Reading("load", 3.0, 0.3, 1.0, age=12.0, note=note),), failed)
    told = made(make_app(), replace(make_candidate("north"), measurement=measurement)).candidates[0]
    assert [(each.name, each.raw, each.note) for each in told.metrics] == [("load", 3.0, note)]
    assert told.note is None


def test_an_application_that_left_a_lost_cluster_tells_so() -> None:
    app = make_app(current="gone", age=3600)
    assert made(app, make_candidate("north")).cause == "It is gone."


def test_of_many_candidates_the_best_and_some_of_each_rule_are_told() -> None:
    fitting = [
        make_candidate(f"good-{number:03}", {"load": (number / 200, 1.0)}, labels={"zone": "a"}) for number in range(100)
    ]
    tainted = [make_candidate(f"taint-{number:03}", taints=["a=b:NoSchedule"], labels={"zone": "a"}) for number in range(80)]
    elsewhere = [make_candidate(f"zone-{number:03}") for number in range(3)]
    decision = made(make_app(labels=["zone is a"]), *fitting, *tainted, *elsewhere, limit=20)
    assert len(decision.candidates) == 20
    assert names(decision)[:3] == ["good-099", "good-098", "good-097"]
    told = [each.rule for each in decision.candidates if each.rule]
    assert told.count("label") == 3
    assert told.count("taint") == 4
    assert (decision.considered, decision.refused) == (183, {"taint": 80, "label": 3})


@settings(max_examples=300, deadline=None)
@given(app=apps(), snapshot=snapshots(), limit=st.integers(2, 6))
def test_any_record_is_true_bounded_and_valid(app: Application, snapshot: Snapshot, limit: int) -> None:
    decision = decide(app, snapshot)
    told = record(app, decision, snapshot, limit=limit)
    assert DecisionRecord.deserialize(told.serialize()) == told
    assert len(told.candidates) == min(limit, len(snapshot.candidates))
    found = {each.cluster: each.finding for each in decision.verdicts}
    for each in told.candidates:
        finding = found[each.place]
        if isinstance(finding, Refusal):
            assert (each.rule, each.message) == (finding.rule, finding.message)
        else:
            assert isinstance(finding, Score)
            assert (each.score, each.measured, each.avoided) == (finding.total, finding.measured, finding.avoided)
    if decision.choice is not None and decision.choice in found:
        assert decision.choice in [each.place for each in told.candidates]
    assert sum(told.refused.values()) == sum(isinstance(each, Refusal) for each in found.values())


def later(decision: DecisionRecord, seconds: float, **changes: object) -> DecisionRecord:
    time = decision.time + timedelta(seconds=seconds)
    return replace(decision, since=time, time=time, **changes)  # type: ignore[arg-type]


FIRST = made(make_app(), make_candidate("north", {"load": (0.5, 1.0)}), make_candidate("south", {"load": (0.4, 1.0)}))


def test_another_outcome_begins_an_entry_and_shortens_the_older_ones() -> None:
    busy = made(make_app(), *(make_candidate(f"c{number}") for number in range(9)))
    moved = later(busy, 5, choice=cluster("south"), former=cluster("c0"), cause="It is better.")
    latest, older = fold([busy], moved)
    assert latest == moved
    assert (older.choice, older.since, len(older.candidates)) == (busy.choice, busy.since, 3)
    assert is_news(busy, moved)


def test_the_same_outcome_renews_the_numbers_and_keeps_how_it_began() -> None:
    again = later(FIRST, 90, ground="RECENT", former=FIRST.choice, candidates=FIRST.candidates[:1])
    (only,) = fold([FIRST], again)
    assert (only.since, only.time, only.former) == (FIRST.since, again.time, FIRST.former)
    assert len(only.candidates) == 1


def test_numbers_alone_are_news_once_in_a_while_and_age_alone_is_none() -> None:
    aged = [
        replace(each, metrics=[replace(metric, age=metric.age + 9) for metric in each.metrics]) for each in FIRST.candidates
    ]
    longer = RENEWAL.total_seconds()
    assert not is_news(FIRST, later(FIRST, 3600, candidates=aged))
    changed = [replace(each, score=0.7) for each in FIRST.candidates]
    assert not is_news(FIRST, later(FIRST, longer - 1, candidates=changed))
    assert is_news(FIRST, later(FIRST, longer, candidates=changed))
    assert is_news(FIRST, later(FIRST, 1, refused={"drain": 1}))
    assert is_news(None, FIRST)


@given(st.lists(st.sampled_from(["north", "south", "west"]), min_size=1, max_size=40))
def test_a_history_is_bounded_and_tells_the_latest_outcomes_in_order(choices: list[str]) -> None:
    history: list[DecisionRecord] = []
    for number, choice in enumerate(choices):
        history = fold(history, later(FIRST, number, choice=cluster(choice)))
    turns = [name for index, name in enumerate(choices) if index == 0 or choices[index - 1] != name]
    assert [each.choice for each in history] == [cluster(name) for name in reversed(turns)][:MOST_DECISIONS]


def test_what_waits_to_be_carried_out_is_replaced_by_what_comes_of_it() -> None:
    waiting = later(FIRST, 5, choice=cluster("south"), former=FIRST.choice, waits="It waits for its turn.")
    assert is_news(FIRST, waiting)
    (latest, first) = history = fold([FIRST], waiting)
    assert (latest, first.choice) == (waiting, FIRST.choice)
    still = later(waiting, 90, waits="It waits for its budget.")
    assert [each.since for each in fold(history, still)] == [waiting.since, FIRST.since]
    done = later(waiting, 9, waits=None)
    assert is_news(waiting, done)
    assert [(each.choice, each.since, each.waits) for each in fold(history, done)] == [
        (cluster("south"), done.since, None),
        (FIRST.choice, FIRST.since, None),
    ]
    stays = later(FIRST, 20, former=FIRST.choice)
    assert [(each.choice, each.since, each.time) for each in fold(history, stays)] == [(FIRST.choice, FIRST.since, stays.time)]


LOW, HIGH = 200.0, 0.0
"""The less of the metric, the better: the raw values that are normalised to 0 and 1."""


def applied(condition: Condition, place: ResourceRef, snapshot: Snapshot) -> Snapshot:
    """The world as the sentence about a condition says: another value wherever the metric counts, or another weight there."""

    def change(candidate: Candidate, reading: Reading) -> Reading:
        if reading.name != condition.metric:
            return reading
        if condition.of == "value":
            value = min(max((condition.bound - reading.low) / (reading.high - reading.low), 0.0), 1.0)
            return replace(reading, raw=condition.bound, value=value)
        return replace(reading, weight=condition.bound) if candidate.ref == place else reading

    changed = [
        replace(each, measurement=Measurement(tuple(change(each, reading) for reading in each.measurement.readings)))
        for each in snapshot.candidates
    ]
    return Snapshot(NOW, tuple(changed), snapshot.settings)


@st.composite
def rivals(draw: st.DrawFn) -> Snapshot:
    """Clusters that rank themselves by their own weights of what all of them share, and of what each has for itself."""
    shared = draw(st.floats(0, 200).map(lambda raw: round(raw, 1)))
    candidates = []
    for name in draw(st.lists(st.sampled_from(["east", "north", "south", "west"]), min_size=2, unique=True)):
        weight, own, own_weight = (draw(st.integers(low, 20)) / 4 for low in (0, 0, 1))
        readings = (
            Reading("latency", shared, (shared - LOW) / (HIGH - LOW), weight, low=LOW, high=HIGH),
            Reading(f"energy-{name}", own, own / 5, own_weight, low=0.0, high=5.0),
        )
        candidates.append(replace(make_candidate(name), measurement=Measurement(readings)))
    return Snapshot(NOW, tuple(candidates))


@settings(max_examples=500, deadline=None)
@given(snapshot=rivals(), current=st.sampled_from([None, "east", "north"]))
def test_what_is_told_to_let_another_cluster_win_lets_it_win(snapshot: Snapshot, current: str | None) -> None:
    app = make_app(current=current, age=3600)
    told = record(app, decide(app, snapshot), snapshot)
    for each in told.counterfactuals:
        assert each.place != told.choice
        for condition in each.conditions:
            assert decide(app, applied(condition, each.place, snapshot)).choice == each.place
            assert condition.present is not None
            assert (condition.bound > condition.present) == (condition.relation == ">=")


def test_what_would_let_another_cluster_win_is_told() -> None:
    north = make_candidate("north", {"energy": (0.8, 1.0), "space": (0.5, 1.0)})
    south = make_candidate("south", {"energy": (0.8, 3.0), "space": (0.1, 4.0)})
    decision = made(make_app(), north, south)
    assert decision.choice == cluster("north")
    (rival,) = decision.counterfactuals
    assert rival.place == cluster("south")
    assert {each.of for each in rival.conditions} <= {"value", "weight"}
    assert rival.conditions
