"""The constraint languages: what they accept, what it means, and that a missing value satisfies nothing."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.data.constraints import LabelConstraint, MetricConstraint


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("location is DE", "location is DE"),
        ("location = DE", "location is DE"),
        ("location==DE", "location is DE"),
        ("location isDE", "location is DE"),
        ("location is not DE", "location is not DE"),
        ("location!=DE", "location is not DE"),
        ("location isnot DE", "location is not DE"),
        ("location is not", "location is not"),
        ("location in (DE, SK)", "location in (DE, SK)"),
        ("location in(DE)", "location in (DE)"),
        ("location in (DE,SK,,)", "location in (DE, SK)"),
        ("location not in (DE, SK)", "location not in (DE, SK)"),
        ("location notin (DE)", "location not in (DE)"),
        ("location\tis\tDE", "location is DE"),
        ("is is is", "is is is"),
        ("not not in (x)", "not not in (x)"),
        ("in in (in)", "in in (in)"),
        ("example.org/zone is a.b", "example.org/zone is a.b"),
    ],
)
def test_label_constraints(text: str, canonical: str) -> None:
    parsed = LabelConstraint.parse(text)
    assert str(parsed) == text
    assert parsed.describe() == canonical
    assert parsed == LabelConstraint.parse(canonical) or canonical == "location is not"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "location",
        "locationisDE",
        "LOCATION IS DE",
        "location in (DE SK)",
        "location in ()",
        "a > 3",
        "a is b/c",
        "a/b/c is d",
    ],
)
def test_no_label_constraints(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid label constraint|does not match the regex"):
        LabelConstraint.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("load = 5", "load is 5"),
        ("load==5", "load is 5"),
        ("load is not 5", "load is not 5"),
        ("load != 5", "load is not 5"),
        ("load > 5", "load greater than 5"),
        ("load>5", "load greater than 5"),
        ("load gt 5", "load greater than 5"),
        ("load greaterthan 5", "load greater than 5"),
        ("load >= 5", "load greater than or equal 5"),
        ("load=>5", "load greater than or equal 5"),
        ("load gte 5", "load greater than or equal 5"),
        ("load < 0.5", "load lesser than 0.5"),
        ("load lt 1e3", "load lesser than 1e3"),
        ("load =< 5", "load lesser than or equal 5"),
        ("load lesser than or equal 5", "load lesser than or equal 5"),
        ("load is greater than 5", "load greater than 5"),
        ("load is greater than or equal to 5", "load greater than or equal 5"),
        ("load greater than or equal to 5", "load greater than or equal 5"),
        ("load less than 5", "load lesser than 5"),
        ("load is less than or equal to 5", "load lesser than or equal 5"),
        ("load equals 5", "load is 5"),
        ("load is equal to 5", "load is 5"),
        ("load equal to 5", "load is 5"),
        ("load not equal to 5", "load is not 5"),
        ("load is not equal to 5", "load is not 5"),
        ("load > -5", "load greater than -5"),
        ("load>-.5e-3", "load greater than -.5e-3"),
        ("load = +5.", "load is +5."),
        ("less less than 5", "less lesser than 5"),
    ],
)
def test_metric_constraints(text: str, canonical: str) -> None:
    parsed = MetricConstraint.parse(text)
    assert str(parsed) == text
    assert parsed.describe() == canonical
    assert parsed == MetricConstraint.parse(canonical)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "load",
        "load 5",
        "load > ",
        "load in (1, 2)",
        "> 5",
        "load > abc",
        "load is high",
        "load > 1_0",
        "load < nan",
        "load > ٣",
    ],
)
def test_no_metric_constraints(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid metric constraint|does not match the regex"):
        MetricConstraint.parse(text)


@pytest.mark.parametrize(
    "text",
    ["a in (" + "b," * 200_000, "a in (" + "b ," * 200_000 + ")", "a" * 500_000, "a is " + " " * 500_000 + ",", "is" * 300_000],
    ids=["open list", "long list", "no operation", "blanks", "keywords"],
)
def test_long_texts_are_read_in_no_time(text: str) -> None:
    started = time.process_time()
    for language in (LabelConstraint, MetricConstraint):
        with contextlib.suppress(ValueError):
            language.parse(text)
    assert time.process_time() - started < 1


LABELS = {"zone": "north", "tier": "web"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("zone is north", True),
        ("zone is south", False),
        ("zone is not south", True),
        ("zone is not north", False),
        ("zone in (south, north)", True),
        ("zone not in (south)", True),
        ("zone not in (north)", False),
        ("rack is not 3", False),
        ("rack not in (3)", False),
    ],
)
def test_labels_match(text: str, matches: bool) -> None:
    assert LabelConstraint.parse(text).match(LABELS) is matches


@given(st.sampled_from(["is", "!=", ">", ">=", "<", "<="]), st.floats(-1e3, 1e3), st.floats(0, 1e3))
def test_metrics_compare_as_numbers(operation: str, value: float, bound: float) -> None:
    expected = {
        "is": value == bound,
        "!=": value != bound,
        ">": value > bound,
        ">=": value >= bound,
        "<": value < bound,
        "<=": value <= bound,
    }[operation]
    text = f"{bound:.20f}".rstrip("0").rstrip(".") or "0"
    if float(text) == bound:
        assert MetricConstraint.parse(f"load {operation} {text}").match({"load": value}) is expected


def test_missing_or_incomparable_metrics_match_nothing() -> None:
    for operation in ("is", "!=", ">", ">=", "<", "<="):
        assert not MetricConstraint.parse(f"load {operation} 1").match({"other": 1.0})
        assert not MetricConstraint.restore(f"load {operation} abc").match({"load": 1.0})


def test_stored_text_that_is_no_constraint_any_more_matches_nothing() -> None:
    kept = LabelConstraint.restore("zone near north")
    assert str(kept) == "zone near north"
    assert not kept.match(LABELS)
    assert not MetricConstraint.restore("???").match({"???": 1.0})
