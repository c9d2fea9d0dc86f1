"""What people are told of decisions."""

import copy
from typing import Any

import pytest
from command import Done

from rok.explanation import explain, tell_history
from rok.output import Screen
from rok.table import measure

PIPE = Screen()


def place(name: str) -> dict[str, Any]:
    return {"api": "kubernetes", "kind": "Cluster", "namespace": "red", "name": name}


def metric(name: str, raw: float | None, value: float | None = None, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"name": name, "raw": raw, "value": value, "weight": weight, "age": 3.2, "note": None, **more}


def fitting(name: str, score: float, *metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"place": place(name), "score": score, "measured": bool(metrics), "metrics": list(metrics), **more}


def refused(name: str, rule: str, message: str) -> dict[str, Any]:
    return {"place": place(name), "rule": rule, "message": message, "score": None, "metrics": []}


DECISION: dict[str, Any] = {
    "since": "2026-11-21T12:00:00+00:00",
    "time": "2026-11-21T12:01:30+00:00",
    "choice": place("edge-1"),
    "former": place("a-cluster-with-a-long-name"),
    "ground": "BEST",
    "message": "It suits best of the clusters that fit.",
    "cause": "Its score was 0.58, that of the choice 0.83.",
    "considered": 5,
    "refused": {"taint": 1, "drain": 1},
    "candidates": [
        fitting("a-cluster-with-a-long-name", 0.5806, metric("latency_to_users", 80, 0.6, 2.0), stickiness=0.1),
        fitting("edge-1", 0.8333, metric("energy", 0.9, 0.9), metric("latency_to_users", 40, 0.8, 2.0)),
        fitting("edge-2", 0.75, metric("energy", None, note="It does not answer."), metric("latency_to_users", 45, 0.775, 2.0)),
        refused("edge-4", "taint", "The application does not tolerate the taint gpu:NoSchedule of the cluster."),
        refused("edge-5", "drain", "The cluster is drained: applications are to leave it."),
    ],
    "counterfactuals": [
        {
            "place": place("edge-2"),
            "conditions": [
                {"metric": "energy", "of": "value", "relation": "<=", "bound": 0.31, "present": 0.9},
                {"metric": "energy", "of": "weight", "relation": ">=", "bound": 2.4, "present": 1.0},
            ],
        },
        {
            "place": place("edge-3"),
            "conditions": [{"metric": "load", "of": "weight", "relation": "<=", "bound": 0.5, "present": None}],
        },
    ],
}


def test_each_term_of_a_score_has_a_line() -> None:
    text = explain("application demo", DECISION, PIPE)
    assert text.startswith("application demo is placed on cluster edge-1: It suits best of the clusters that fit.\n")
    assert "It left cluster a-cluster-with-a-long-name: Its score was 0.58, that of the choice 0.83.\n" in text
    assert "Decided on 2026-11-21 12:00:00, with the numbers of 2026-11-21 12:01:30 (UTC)." in text
    assert Done(0, text, "").lines[:6] == [
        ["edge-1", "0.8333", "#" * 17, "energy", "0.9", "0.9", "1", "3 s"],
        ["(choice)", "", "", "latency_to_users", "40", "0.8", "2", "3 s"],
        ["edge-2", "0.7500", "#" * 15, "energy", "-", "-", "-", "-"],
        ["", "", "", "latency_to_users", "45", "0.775", "2", "3 s"],
        ["a-cluster-with-a-long-name", "0.5806", "#" * 12, "latency_to_users", "80", "0.6", "2", "3 s"],
        ["(was here)", "", "", "(stickiness)", "", "1", "0.1", ""],
    ]
    assert "edge-2: energy: It does not answer." in text


def test_refusals_are_told_by_rule() -> None:
    text = explain("application demo", DECISION, PIPE)
    assert ["drain", "edge-5", "The cluster is drained: applications are to leave it."] in Done(0, text, "").lines


def test_many_refused_by_one_rule_are_one_line() -> None:
    decision = copy.deepcopy(DECISION)
    decision["candidates"] += [refused(f"us-{number}", "label", f"location is US-{number}") for number in range(9)]
    decision |= {"considered": 205, "refused": {"taint": 1, "drain": 1, "label": 200}}
    found = {row[0]: row[1:] for row in Done(0, explain("application demo", decision, PIPE), "").lines}
    assert found["label"] == ["us-0, us-1, us-2, us-3, us-4, and 195 more", "us-0: location is US-0"]


def test_what_would_have_to_be_otherwise_is_said_in_words() -> None:
    last = explain("application demo", DECISION, PIPE).splitlines()[-2:]
    assert last == [
        "edge-2 would win if energy were ≤ 0.31 (it is 0.9) or its weight were ≥ 2.4 (it is 1).",
        "edge-3 would win if the weight of load were ≤ 0.5.",
    ]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"choice": None, "ground": "NOTHING"}, "app demo stays on cluster a-cluster-with-a-long-name: Nope."),
        ({"choice": None, "ground": "LOST"}, "app demo is placed nowhere: Nope."),
        ({"choice": None, "former": None, "ground": "NOTHING"}, "app demo is placed nowhere: Nope."),
    ],
)
def test_it_is_said_where_it_is_if_nothing_fits(changes: dict[str, Any], first: str) -> None:
    decision = {**DECISION, "message": "Nope.", "candidates": [], **changes}
    assert explain("app demo", decision, PIPE).splitlines()[0] == first


@pytest.mark.parametrize("width", [80, 120, 200])
def test_tables_fit_the_screen(width: int) -> None:
    for text in (explain("application demo", DECISION, Screen(width)), tell_history([DECISION], Screen(width))):
        assert all(measure(line) <= width for line in text.splitlines() if line.startswith(("|", "+")))


def test_bars_are_as_long_as_scores_say() -> None:
    assert "████████████████▋ |" in explain("application demo", DECISION, Screen(200))
    assert "██████▋ |" in explain("application demo", DECISION, Screen(80))


def test_the_choice_is_coloured_on_a_terminal_only() -> None:
    assert "\x1b[32medge-1" in explain("application demo", DECISION, Screen(200, colours=True))
    assert "\x1b" not in explain("application demo", DECISION, PIPE)


def test_a_history_ends_with_the_latest() -> None:
    first = {**DECISION, "choice": place("edge-9"), "former": None, "cause": None}
    text = tell_history([DECISION, first], PIPE)
    assert Done(0, text, "").lines == [
        ["2026-11-21 12:00:00", "-", "edge-9", "It suits best of the clusters that fit.", "3 of 5"],
        [
            "2026-11-21 12:00:00",
            "a-cluster-with-a-long-name",
            "edge-1",
            "Its score was 0.58, that of the choice 0.83.",
            "3 of 5",
        ],
    ]


@pytest.mark.parametrize("decision", [{}, {"candidates": [{}], "counterfactuals": [{}, {"conditions": [{}]}], "choice": {}}])
def test_what_is_not_understood_is_left_out(decision: dict[str, Any]) -> None:
    assert "application demo" in explain("application demo", decision, PIPE)
    assert tell_history([decision], PIPE)
