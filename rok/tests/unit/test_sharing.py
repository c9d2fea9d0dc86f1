"""How applications share clusters, on the command line."""

import pytest

from rok.errors import Misuse
from rok.kinds.quotas import read_limit
from rok.sharing import read_budget, read_distance, read_spread, write_budget, write_rules


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("app is web", {"labels": ["app is web"], "over": None, "max_skew": 1, "required": True}),
        (
            "app is web and tier in (a, b) over zone by 2",
            {"labels": ["app is web", "tier in (a, b)"], "over": "zone", "max_skew": 2, "required": True},
        ),
        ("* by 3 if possible", {"labels": [], "over": None, "max_skew": 3, "required": False}),
        ("* over zone", {"labels": [], "over": "zone", "max_skew": 1, "required": True}),
    ],
)
def test_what_is_spread_is_read_and_written(text: str, rule: dict[str, object]) -> None:
    assert read_spread(text) == rule
    assert write_rules([rule]) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("app is web over zone", {"labels": ["app is web"], "over": "zone", "required": True}),
        ("app is web if possible", {"labels": ["app is web"], "over": None, "required": False}),
        ("*", {"labels": [], "over": None, "required": True}),
    ],
)
def test_whom_to_keep_apart_from_is_read_and_written(text: str, rule: dict[str, object]) -> None:
    assert read_distance(text) == rule
    assert write_rules([rule, rule]) == f"{text}\n{text}"


@pytest.mark.parametrize(("text", "labels"), [("1 of app is web", ["app is web"]), ("0 of *", [])])
def test_budgets_are_read_and_written(text: str, labels: list[str]) -> None:
    assert read_budget(text) == {"labels": labels, "max_unavailable": int(text[0])}
    assert write_budget(read_budget(text)) == text


def test_nothing_is_written_as_none() -> None:
    assert (write_rules([]), write_budget(None)) == ("None", "None")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_distance, ""),
        (read_distance, "app is web by 2"),
        (read_spread, "app is web by 0"),
        (read_budget, "app is web"),
        (read_budget, "-1 of app is web"),
        (read_limit, "-1"),
        (read_limit, "none"),
    ],
)
def test_anything_else_is_misuse(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(Misuse):
        read(text)
