"""The words of ``rok plan``, what they ask for, and what people are told of the answer."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import Done
from krake.data.plans import PlanSpec

from rok.commands import build_parser
from rok.errors import Failure
from rok.flags import separate
from rok.kinds.plans import make_spec
from rok.output import Screen
from rok.predictions import predict


def parse(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(separate(["plan", *words]))


def spec(*words: str) -> dict[str, Any]:
    """What is asked for, which the API accepts; without what is empty."""
    made = make_spec(parse(*words))
    PlanSpec.deserialize(made)
    return {key: value for key, value in made.items() if value}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("--drain", "a", "--drain", "b"), {"drain": ["a", "b"]}),
        (("--lose", "cloud/sky"), {"lose": ["cloud/sky"]}),
        (("--explain", "demo"), {"explain": ["demo"]}),
        (("--weight", "a:load=2.5"), {"weights": [{"cluster": "a", "metric": "load", "weight": 2.5}]}),
        (("--metric", "load=-1e3"), {"metrics": [{"cluster": None, "metric": "load", "value": -1000.0}]}),
        (("--metric", "a:load=0.1"), {"metrics": [{"cluster": "a", "metric": "load", "value": 0.1}]}),
        (("--label", "a:zone=b"), {"labels": [{"cluster": "a", "key": "zone", "value": "b"}]}),
        (("--label", "a:b:x.io/zone="), {"labels": [{"cluster": "a:b", "key": "x.io/zone", "value": ""}]}),
        (("--label", "a:zone-"), {"labels": [{"cluster": "a", "key": "zone", "value": None}]}),
        (
            ("--constraint", "x=zone is b", "--constraint", "x=rack=1", "--constraint", "x=load < 0.5"),
            {"constraints": [{"application": "x", "labels": ["zone is b", "rack=1"], "metrics": ["load < 0.5"]}]},
        ),
        (("--constraint", "x=load exists"), {"constraints": [{"application": "x", "labels": ["load exists"]}]}),
        (("-L", "x=load is 3"), {"constraints": [{"application": "x", "labels": ["load is 3"]}]}),
        (("-M", "x=load exists"), {"constraints": [{"application": "x", "metrics": ["load exists"]}]}),
        (("--cluster-metric-constraint", "x="), {"constraints": [{"application": "x", "metrics": []}]}),
        (("--constraint", "x="), {"constraints": [{"application": "x", "labels": [], "metrics": []}]}),
    ],
)
def test_words(words: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert spec(*words) == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--weight", "a:load"), "is not CLUSTER:METRIC=WEIGHT"),
        (("--weight", "load=2"), "is not CLUSTER:METRIC=WEIGHT"),
        (("--weight", "a:load=much"), "'much' is not a number"),
        (("--metric", "load"), "is not METRIC=VALUE"),
        (("--metric", "load=inf"), "'inf' is not a number"),
        (("--label", "zone=b"), "is not CLUSTER:KEY=VALUE"),
        (("--constraint", "location is DE"), "is not APP=CONSTRAINT"),
        (("--constraint", "x=somewhere nice"), "is no constraint"),
        (("-M", "x=zone is b"), "'zone is b' is no constraint on metrics: write for example 'load < 0.5'"),
        (("-L", "x=load < 1"), "'load < 1' is no constraint on labels: write for example 'location is DE'"),
        (("--timeout", "never"), "is not a number of seconds"),
    ],
)
def test_wrong_words_are_failures_as_the_status_of_misuse_is_an_answer(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(Failure, match=told) as failed:
        parse(*words)
    assert failed.value.status == 1


@pytest.mark.parametrize("words", [("--nope",), ("--drain",), ("stray",), ("-o", "name")])
def test_unknown_words_are_failures_too(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    assert ended.value.code == 1
    assert "rok plan: error:" in capsys.readouterr().err


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "labels": {"a": "b"}},
    "data": {"password": "aHVudGVy"},
}


def write(path: Path, *documents: Any) -> str:
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_manifests_are_called_like_their_file_or_as_the_user_says(tmp_path: Path) -> None:
    path = write(tmp_path / "demo.yaml", POD)
    assert spec("-f", path) == {"applications": [{"name": "demo", "manifest": [POD]}]}
    assert spec("-f", f"other={path}")["applications"][0]["name"] == "other"


def test_secrets_stay_at_home(tmp_path: Path) -> None:
    path = write(tmp_path / "demo.yaml", POD, SECRET)
    app = {"api": "kubernetes", "kind": "Application", "metadata": {"name": "x"}, "spec": {"manifest": [SECRET]}}
    for made in (spec("-f", path), spec("-f", write(tmp_path / "app.yaml", app))):
        assert "aHVudGVy" not in str(made)
        assert made["applications"][0]["manifest"][-1]["metadata"] == {"name": "s"}


def test_applications_of_krake_bring_what_counts(tmp_path: Path) -> None:
    constraints = {"cluster": {"labels": ["zone is b"]}}
    app = {
        "api": "kubernetes",
        "kind": "Application",
        "metadata": {"name": "x", "labels": {"a": "b"}, "uid": "1"},
        "spec": {"manifest": [POD], "constraints": constraints, "priority": 3, "hooks": ["complete"]},
        "status": {"state": "RUNNING"},
    }
    assert spec("-f", write(tmp_path / "any.yaml", app, {**app, "metadata": {"name": "y"}})) == {
        "applications": [
            {"name": "x", "labels": {"a": "b"}, "manifest": [POD], "constraints": constraints, "priority": 3},
            {"name": "y", "labels": {}, "manifest": [POD], "constraints": constraints, "priority": 3},
        ]
    }


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([{"api": "kubernetes", "kind": "Application", "metadata": {"name": "x"}}], "without a name or a specification"),
        ([{"api": "kubernetes", "kind": "Application", "metadata": {"name": "x"}, "spec": {}}, POD], "in two files"),
    ],
)
def test_files_that_make_no_sense_are_told(tmp_path: Path, documents: list[Any], told: str) -> None:
    with pytest.raises(Failure, match=told):
        spec("-f", write(tmp_path / "any.yaml", *documents))


def total(value: float, applications: int = 2) -> dict[str, Any]:
    return {"sum": value, "mean": value / applications if applications else None, "applications": applications}


STATUS: dict[str, Any] = {
    "state": "DONE",
    "settled": True,
    "applications": 3,
    "clusters": 2,
    "moving": 3,
    "unfit": 1,
    "moves": [
        {"application": "demo", "former": "east", "choice": "west", "why": "It is drained.", "after": 0.0},
        {"application": "new", "former": None, "choice": "west", "why": "It suits best.", "after": 42.0},
    ],
    "misfits": [{"application": "big", "place": None, "why": "There is no room."}],
    "score": {"before": total(1.0), "after": total(1.5)},
    "metrics": {"energy": {"before": total(4.0), "after": total(3.0)}, "odd": {"before": total(0, 0), "after": total(1.0)}},
    "decisions": {},
}


def test_people_are_told_what_would_move_and_what_comes_of_it() -> None:
    text = predict(STATUS, Screen())
    assert text.startswith(
        "Of 3 applications and 2 clusters: 3 applications would go elsewhere; no cluster would fit 1 application."
    )
    moves, misfits, totals = (Done(0, part, "").lines for part in text.split("\n\n")[1:])
    assert moves == [
        ["demo", "east", "west", "at once", "It is drained."],
        ["new", "(nowhere)", "west", "42 s", "It suits best."],
    ]
    assert "(and 1 more)" in text
    assert misfits == [["big", "(nowhere)", "There is no room."]]
    assert totals == [
        ["energy", "2", "1.5", "4", "3", "-1 (-25.0%)"],
        ["odd", "", "0.5", "0", "1", "+1"],
        ["(score)", "0.5", "0.75", "1", "1.5", "+0.5 (+50.0%)"],
    ]


def test_newcomers_are_not_said_to_move() -> None:
    demo, new = STATUS["moves"]
    start = "Of 3 applications and 2 clusters:"
    for moves, told in (
        ([new], "1 application would be placed"),
        ([demo, new, new], "2 applications would be placed, 1 application would go elsewhere"),
    ):
        text = predict({**STATUS, "unfit": 0, "misfits": [], "moves": moves, "moving": len(moves)}, Screen())
        assert text.startswith(f"{start} {told}.")


def test_help_says_what_the_exit_status_tells(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    assert "Exit status: 0 if nothing would change, 2 if something would" in capsys.readouterr().out


def test_people_are_told_where_nothing_moves_or_never_comes_to_rest() -> None:
    still = {"settled": True, "applications": 1, "clusters": 1}
    assert predict(still, Screen()) == "Of 1 application and 1 cluster: nothing would move."
    assert "never come to rest" in predict({**still, "settled": False}, Screen())
