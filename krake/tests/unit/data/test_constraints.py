"""The constraint languages: what they accept, what it means, and that a missing value satisfies nothing but ``not exists``."""

import contextlib
import operator
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from krake.data.constraints import Constraint, LabelConstraint, LabelTerm, MetricConstraint, MetricTerm, check_constraints

LANGUAGES: list[type[Constraint[Any]]] = [LabelConstraint, MetricConstraint]


def labelled(key: str, operation: str, *values: str) -> LabelTerm:
    return LabelTerm(key, operation, frozenset(values))


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("location is DE", labelled("location", "in", "DE")),
        ("location = DE", labelled("location", "in", "DE")),
        ("location==DE", labelled("location", "in", "DE")),
        ("location=DE", labelled("location", "in", "DE")),
        ("location isDE", labelled("location", "in", "DE")),
        ("location is not DE", labelled("location", "not in", "DE")),
        ("location != DE", labelled("location", "not in", "DE")),
        ("location!=DE", labelled("location", "not in", "DE")),
        ("location isnot DE", labelled("location", "not in", "DE")),
        ("location is not", labelled("location", "in", "not")),
        ("location in (DE, SK)", labelled("location", "in", "DE", "SK")),
        ("location in(DE)", labelled("location", "in", "DE")),
        ("location in (DE,)", labelled("location", "in", "DE")),
        ("location in (DE,SK,,)", labelled("location", "in", "DE", "SK")),
        ("location not in (DE, SK)", labelled("location", "not in", "DE", "SK")),
        ("location notin (DE)", labelled("location", "not in", "DE")),
        ("location\tis\tDE", labelled("location", "in", "DE")),
        ("  location is DE  ", labelled("location", "in", "DE")),
        ("is is is", labelled("is", "in", "is")),
        ("not not in (x)", labelled("not", "not in", "x")),
        ("in in (in)", labelled("in", "in", "in")),
        ("or is or", labelled("or", "in", "or")),
        ("location is exists", labelled("location", "in", "exists")),
        ("example.org/zone is a.b", labelled("example.org/zone", "in", "a.b")),
        ("location exists", labelled("location", "exists")),
        ("location not exists", labelled("location", "not exists")),
        ("location does not exist", labelled("location", "not exists")),
        ("exists exists", labelled("exists", "exists")),
    ],
)
def test_label_constraints(text: str, term: LabelTerm) -> None:
    parsed = LabelConstraint.parse(text)
    assert str(parsed) == text
    assert parsed.alternatives == (term,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "location",
        "locationisDE",
        "LOCATION IS DE",
        "location in (DE SK)",
        "location in ()",
        "location existsor tier is web",
        "location is DE or",
        "location is DE or ",
        "or location is DE",
        "location is DE or or tier is web",
        "location is DE tier is web",
        "location is DE\ntier is web",
        "a > 3",
        "a is b/c",
        "a/b/c is d",
    ],
)
def test_no_label_constraints(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid label constraint|does not match the regex"):
        LabelConstraint.parse(text)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("load = 5", MetricTerm("load", "==", 5)),
        ("load==5", MetricTerm("load", "==", 5)),
        ("load is 5", MetricTerm("load", "==", 5)),
        ("load is not 5", MetricTerm("load", "!=", 5)),
        ("load != 5", MetricTerm("load", "!=", 5)),
        ("load > 5", MetricTerm("load", ">", 5)),
        ("load>5", MetricTerm("load", ">", 5)),
        ("load gt 5", MetricTerm("load", ">", 5)),
        ("load gt5", MetricTerm("load", ">", 5)),
        ("load greater than 5", MetricTerm("load", ">", 5)),
        ("load greaterthan 5", MetricTerm("load", ">", 5)),
        ("load >= 5", MetricTerm("load", ">=", 5)),
        ("load>=5", MetricTerm("load", ">=", 5)),
        ("load=>5", MetricTerm("load", ">=", 5)),
        ("load gte 5", MetricTerm("load", ">=", 5)),
        ("load greater than or equal 5", MetricTerm("load", ">=", 5)),
        ("load greaterthanorequal 5", MetricTerm("load", ">=", 5)),
        ("load < 0.5", MetricTerm("load", "<", 0.5)),
        ("load<5", MetricTerm("load", "<", 5)),
        ("load lt 1e3", MetricTerm("load", "<", 1000)),
        ("load lesser than 5", MetricTerm("load", "<", 5)),
        ("load <= 5", MetricTerm("load", "<=", 5)),
        ("load=<5", MetricTerm("load", "<=", 5)),
        ("load lte 5", MetricTerm("load", "<=", 5)),
        ("load lesser than or equal 5", MetricTerm("load", "<=", 5)),
        ("load is greater than 5", MetricTerm("load", ">", 5)),
        ("load is greater than or equal to 5", MetricTerm("load", ">=", 5)),
        ("load greater than or equal to 5", MetricTerm("load", ">=", 5)),
        ("load less than 5", MetricTerm("load", "<", 5)),
        ("load is less than or equal to 5", MetricTerm("load", "<=", 5)),
        ("load equals 5", MetricTerm("load", "==", 5)),
        ("load is equal to 5", MetricTerm("load", "==", 5)),
        ("load equal to 5", MetricTerm("load", "==", 5)),
        ("load not equal to 5", MetricTerm("load", "!=", 5)),
        ("load is not equal to 5", MetricTerm("load", "!=", 5)),
        ("load > -5", MetricTerm("load", ">", -5)),
        ("load>-.5e-3", MetricTerm("load", ">", -0.0005)),
        ("load > .5", MetricTerm("load", ">", 0.5)),
        ("load = +5.", MetricTerm("load", "==", 5)),
        ("load < 1_000", MetricTerm("load", "<", 1000)),
        ("load < inf", MetricTerm("load", "<", float("inf"))),
        ("less less than 5", MetricTerm("less", "<", 5)),
        ("node:cpu:rate5m < 5", MetricTerm("node:cpu:rate5m", "<", 5)),
        ("load exists", MetricTerm("load", "exists")),
        ("load not exists", MetricTerm("load", "not exists")),
        ("load does not exist", MetricTerm("load", "not exists")),
    ],
)
def test_metric_constraints(text: str, term: MetricTerm) -> None:
    parsed = MetricConstraint.parse(text)
    assert str(parsed) == text
    assert parsed.alternatives == (term,)


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
        "load > 5%",
        "load > 1__0",
        "load > 1_",
        "load < nan",
        "load > ٣",
        "load > " + "1" * 64,
        "load > 5 or 7",
        "lo/ad/x > 5",
    ],
)
def test_no_metric_constraints(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid metric constraint|does not match the regex"):
        MetricConstraint.parse(text)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("zone is a or zone is b", [labelled("zone", "in", "a"), labelled("zone", "in", "b")]),
        ("zone in (a)or tier exists", [labelled("zone", "in", "a"), labelled("tier", "exists")]),
        ("zone is not or tier is web", [labelled("zone", "in", "not"), labelled("tier", "in", "web")]),
        ("zone is or or or is or", [labelled("zone", "in", "or"), labelled("or", "in", "or")]),
        ("zone is not a or zone not exists", [labelled("zone", "not in", "a"), labelled("zone", "not exists")]),
    ],
)
def test_alternatives_of_labels(text: str, terms: list[LabelTerm]) -> None:
    assert LabelConstraint.parse(text).alternatives == tuple(terms)


def test_alternatives_of_metrics() -> None:
    parsed = MetricConstraint.parse("load greater than or equal to 5 or load<-1 or heat not exists")
    assert parsed.alternatives == (
        MetricTerm("load", ">=", 5),
        MetricTerm("load", "<", -1),
        MetricTerm("heat", "not exists"),
    )
    assert parsed.keys == ("load", "heat")


HOSTILE = {
    "open list": "a in (" + "b," * 200_000,
    "long list": "a in (" + "b ," * 200_000 + ")",
    "no operation": "a" * 500_000,
    "blanks": "a is " + " " * 500_000 + ",",
    "keywords": "is" * 300_000,
    "spaced keywords": "a is not " * 60_000,
    "alternatives": "a = 1 or " * 60_000,
    "words of alternatives": "or " * 200_000,
    "presence": "a does not " + " " * 500_000,
    "digits": "a > " + "1" * 500_000,
    "groups of digits": "a > " + "1_" * 250_000,
    "then open": "a = 1 or " * 30_000 + "a in (" + "b," * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_long_texts_are_read_in_no_time(text: str) -> None:
    started = time.process_time()
    for language in LANGUAGES:
        with contextlib.suppress(ValueError):
            language.parse(text)
    assert time.process_time() - started < 2


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
        ("zone exists", True),
        ("zone not exists", False),
        ("zone is south or tier is web", True),
        ("zone is south or tier is db", False),
        ("rack is not 3", False),
        ("rack not in (3)", False),
        ("rack exists", False),
        ("rack not exists", True),
        ("rack is not 3 or rack does not exist", True),
    ],
)
def test_labels_match(text: str, matches: bool) -> None:
    assert LabelConstraint.parse(text).match(LABELS) is matches


def test_missing_values_satisfy_nothing_but_their_absence() -> None:
    without: list[dict[str, float | None]] = [{}, {"other": 1.0}, {"load": None}, {"load": float("nan")}]
    for values in without:
        for words in ("is 1", "!= 1", "> 1", ">= 1", "< 1", "<= 1", "exists"):
            assert not MetricConstraint.parse(f"load {words}").match(values), (words, values)
        assert MetricConstraint.parse("load not exists").match(values)


def test_stored_text_that_is_no_constraint_any_more_matches_nothing() -> None:
    kept = LabelConstraint.restore("zone near north")
    assert str(kept) == "zone near north"
    assert not kept.match(LABELS)
    assert kept.observe(LABELS) == "it can not be read"
    assert not MetricConstraint.restore("???").match({"???": 1.0})
    assert not MetricConstraint.restore("load > abc").match({"load": 1.0})


def test_constraints_compare_by_meaning() -> None:
    same = [
        {"zone is a", "zone=a", "zone in (a)", "zone is a or zone == a"},
        {"zone in (a, b)", "zone in (b,a,a,,)"},
        {"zone is a or tier is b", "tier = b or zone = a"},
        {"zone not exists", "zone does not exist"},
        {"zone exists"},
    ]
    groups = [{LabelConstraint.parse(text) for text in texts} for texts in same]
    assert [len(group) for group in groups] == [1] * len(same)
    assert len(set().union(*groups)) == len(same)
    assert MetricConstraint.parse("load > 5") == MetricConstraint.parse("load is greater than 5.0")
    assert MetricConstraint.parse("load > 5") != MetricConstraint.parse("load >= 5")
    assert MetricConstraint.parse("a exists") != LabelConstraint.parse("a exists")


def test_what_is_there_is_said_in_words() -> None:
    assert LabelConstraint.parse("zone is south").observe(LABELS) == "zone is north"
    assert (
        LabelConstraint.parse("zone is a or rack is 3 or zone is b").observe(LABELS) == "zone is north, there is no label rack"
    )
    assert MetricConstraint.parse("load < 0.5 or heat > 1").observe({"load": 0.75}) == "load is 0.75, heat has no value"


WORDS = [
    *"ab (),=!<>\t\n",
    " ",
    " or ",
    "is",
    "not",
    "in",
    "exists",
    "equal",
    "to",
    "than",
    "greater",
    "less",
    "5",
    "-",
    ".",
    "é",
]


@given(st.lists(st.sampled_from(WORDS), max_size=25).map("".join) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for language in LANGUAGES:
        restored = language.restore(text)
        assert str(restored) == text
        assert restored.match({}) is any(term.operation == "not exists" for term in restored.alternatives)
        with contextlib.suppress(ValueError):
            assert language.parse(text) == restored


ORIGINAL_LABELS = re.compile(
    r" *([^ ,()=!]++) *(?:(?:!=|is *not(?= )) *[^ ,()=!]++"
    r"|(?:==|=|is) *[^ ,()=!]++|(?:not *)?in *\( *[^ ,()=!]++ *(?:, *[^ ,()=!]++ *)*(?:, *)*\)) *"
)
ORIGINAL_METRICS = re.compile(
    r" *([^ ,()=!]++) *(?:!=|is *not(?= )|==|=>|=<|=|is|>=|gte|<=|lte|gt|lt|>|<|greater *than *or *equal|greater *than"
    r"|lesser *than *or *equal|lesser *than) *([^ ,()=!]++) *"
)
"""The languages of the original Krake, in which an operand ends only at one of `` ,()=!``."""
NAMES = ["load", "is", "or", "not", "a.b-c_d", "x/y"]
VALUES = ["5", "0.5", "1e3", "1_0", "DE", "not", "or"]
SIGNS = [
    "is",
    "=",
    "==",
    "!=",
    "is not",
    "in",
    "not in",
    "notin",
    ">",
    "gt",
    "greater than",
    ">=",
    "=>",
    "gte",
    "<",
    "lt",
    "<=",
]
SIGNS += ["greater than or equal", "lesser than", "=<", "lte", "lesser than or equal"]


@given(
    st.sampled_from(NAMES),
    st.sampled_from(SIGNS),
    st.sampled_from(VALUES)
    | st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(lambda each: f"({', '.join(each)},)"),
    st.tuples(*[st.sampled_from(["", " ", "  "])] * 4),
)
def test_everything_the_original_accepts_is_accepted(key: str, sign: str, value: str, spaces: tuple[str, ...]) -> None:
    text = spaces[0] + key + spaces[1] + sign + spaces[2] + value + spaces[3]
    if ORIGINAL_LABELS.fullmatch(text) and not re.search("[<>]", text):  # in neither names nor values
        LabelConstraint.parse(text)
    if (match := ORIGINAL_METRICS.fullmatch(text)) and re.fullmatch(r"[\w./-]+ [\d._e]+", " ".join(match.groups())):
        MetricConstraint.parse(text)


COMPARISONS: dict[str, tuple[Callable[[float, float], bool], list[str]]] = {
    "==": (operator.eq, ["is", "=", "==", "equals", "is equal to", "equal to"]),
    "!=": (operator.ne, ["is not", "!=", "not equal to", "is not equal to"]),
    ">": (operator.gt, [">", "gt", "greater than", "is greater than"]),
    ">=": (
        operator.ge,
        [">=", "=>", "gte", "greater than or equal", "greater than or equal to", "is greater than or equal to"],
    ),
    "<": (operator.lt, ["<", "lt", "lesser than", "less than", "is less than"]),
    "<=": (operator.le, ["<=", "=<", "lte", "lesser than or equal", "less than or equal to", "is less than or equal to"]),
}
numbers = st.integers(-10, 10) | st.floats(-1e6, 1e6)
metric_terms = st.tuples(
    st.sampled_from(["load", "heat", "or"]), st.sampled_from(sorted(COMPARISONS)), numbers, st.integers(0, 9)
)


@given(st.lists(metric_terms, min_size=1, max_size=4), st.dictionaries(st.sampled_from(["load", "heat", "or"]), numbers))
def test_metrics_compare_as_numbers(terms: list[tuple[str, str, float, int]], values: dict[str, float]) -> None:
    written, expected = [], False
    for key, operation, bound, spelling in terms:
        compare, spellings = COMPARISONS[operation]
        written.append(f"{key} {spellings[spelling % len(spellings)]} {bound!r}")
        expected |= key in values and compare(values[key], bound)
    assert MetricConstraint.parse(" or ".join(written)).match(values) is expected


label_terms = st.tuples(
    st.sampled_from(["zone", "tier", "in"]),
    st.sampled_from(["is", "!=", "in", "not in", "exists", "not exists"]),
    st.lists(st.sampled_from(["a", "b", "or"]), min_size=1, max_size=3),
)


@given(
    st.lists(label_terms, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["zone", "tier"]), st.sampled_from(["a", "b"])),
)
def test_labels_compare_as_written(terms: list[tuple[str, str, list[str]]], labels: dict[str, str]) -> None:
    written, expected = [], False
    for key, sign, values in terms:
        there, listed = key in labels, f"({', '.join(values)})"
        operand = {"is": values[0], "!=": values[0], "in": listed, "not in": listed}.get(sign, "")
        written.append(f"{key} {sign} {operand}".strip())
        expected |= {
            "is": there and labels.get(key) == values[0],
            "!=": there and labels.get(key) != values[0],
            "in": there and labels.get(key) in values,
            "not in": there and labels.get(key) not in values,
            "exists": there,
            "not exists": not there,
        }[sign]
    assert LabelConstraint.parse(" or ".join(written)).match(labels) is expected


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([f"zone is not z{number}" for number in range(100)], None),
        ([f"zone is not z{number}" for number in range(101)], "longer than 100"),
        ([" or ".join(f"zone is z{number}" for number in range(1000))], "10000 characters"),
    ],
)
def test_so_many_constraints_are_refused_that_decisions_would_take_long(texts: list[str], words: str | None) -> None:
    constraints = [LabelConstraint.parse(text) for text in texts]
    with pytest.raises(ValidationError, match=words) if words else contextlib.nullcontext():
        check_constraints(constraints)
