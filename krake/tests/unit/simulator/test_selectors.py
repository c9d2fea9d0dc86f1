"""Selectors choose as Kubernetes documents it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.simulator.kubernetes.selectors import (
    SelectorError,
    match_labels,
    parse_labels,
    predicate,
    requirements_of,
)

LABELS = {"tier": "web", "zone": "a"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("tier=web", True),
        ("tier==web", True),
        ("tier = web", True),
        ("tier=db", False),
        ("tier!=db", True),
        ("missing!=db", True),
        ("tier in (db, web)", True),
        ("tier in (db),zone=a", False),
        ("tier notin (db)", True),
        ("missing notin (db)", True),
        ("tier", True),
        ("missing", False),
        ("!missing", True),
        ("!tier", False),
        ("tier,zone in (a,b),!missing", True),
    ],
)
def test_label_selectors(text: str, matches: bool) -> None:
    assert match_labels(parse_labels(text), LABELS) is matches


@pytest.mark.parametrize("text", ["a in b", "a b", "in (a)", "a=(b)", ",", "a=b,,c"])
def test_bad_label_selectors(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_labels(text)


@pytest.mark.parametrize(
    ("operator", "values", "matches"),
    [("In", ["web"], True), ("NotIn", ["web"], False), ("Exists", [], True), ("DoesNotExist", [], False)],
)
def test_match_expressions(operator: str, values: list[str], matches: bool) -> None:
    expression = {"key": "tier", "operator": operator, "values": values}
    selector = {"matchLabels": {"zone": "a"}, "matchExpressions": [expression]}
    assert match_labels(requirements_of(selector), LABELS) is matches


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ("metadata.name=p", True),
        ("metadata.name!=p", False),
        ("status.phase=Running,spec.nodeName=n", True),
        ("status.phase==Pending", False),
        ("spec.nodeName=", False),
    ],
)
def test_field_selectors(fields: str, matches: bool) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    test = predicate("pods", "", fields)
    assert test is not None
    assert test(pod) is matches


@pytest.mark.parametrize("fields", ["spec.image=x", "metadata.name", "metadata.name in (a)"])
def test_bad_field_selectors(fields: str) -> None:
    with pytest.raises(SelectorError):
        predicate("pods", "", fields)


@given(st.text(max_size=20))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        requirements = parse_labels(text)
    except SelectorError:
        return
    assert match_labels(requirements, LABELS) in (True, False)
