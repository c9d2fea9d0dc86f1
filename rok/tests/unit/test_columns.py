"""Lists fit the terminals of their readers."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from objects import CREATED, application, cluster, node

from rok.columns import DISPENSABLE, choose_columns
from rok.commands import TABLE
from rok.kinds import applications, clusters
from rok.operations import Group
from rok.output import Result, Screen, View, render
from rok.table import draw, least_width, measure_table

LISTS = [each.view for group in TABLE if isinstance(group, Group) for each in group.resources]
LONG_NAME = "a-name-that-is-quite-long-but-not-too-long-to-be-typed"


def header_of(text: str) -> list[str]:
    return [name.strip() for name in text.splitlines()[1].strip("|").split("|")]


def width_of(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("view", LISTS, ids=lambda view: view.kind)
def test_what_is_piped_has_all_columns_whatever_they_take(view: View) -> None:
    assert header_of(render(Result([]), view, "table", Screen())) == [each.name for each in view.columns]


@pytest.mark.parametrize("view", LISTS, ids=lambda view: view.kind)
def test_headers_of_all_lists_fit_a_usual_terminal(view: View) -> None:
    text = render(Result([]), view, "table", Screen(width=80))
    assert width_of(text) <= 80
    assert header_of(text)[0] == "name"


def busy_cluster(name: str = "my-cluster") -> dict[str, Any]:
    item: dict[str, Any] = cluster(name, state="ONLINE", nodes=[node("n", Ready="True")], infrastructure={"phase": "creating"})
    item["status"] |= {"allocatable": {"cpu": "8", "memory": "16Gi"}, "requested": {"cpu": "1"}}
    return item


def test_a_list_that_is_too_wide_has_what_matters_most() -> None:
    text = render(Result([busy_cluster()]), clusters.VIEW, "table", Screen(width=80))
    assert header_of(text) == ["name", "created", "state", "nodes", "infrastructure"]
    assert "| my-cluster | 2022-03-30 16:01:03 | ONLINE | 1/1   | creating       |" in text


def test_columns_come_back_where_there_is_room_for_them() -> None:
    shown = [
        header_of(render(Result([application()]), applications.VIEW, "table", Screen(width=width))) for width in (50, 80, 110)
    ]
    assert shown == [
        ["name", "created", "state"],
        ["name", "namespace", "labels", "created", "state"],
        ["name", "namespace", "labels", "created", "modified", "deleted", "state"],
    ]


def test_namespaces_stay_where_they_tell_objects_apart() -> None:
    items = [application(), application()]
    items[1]["metadata"]["namespace"] = "red"
    text = render(Result(items), applications.VIEW, "table", Screen(width=50))
    assert header_of(text) == ["name", "namespace", "state"]


def test_names_are_not_cut() -> None:
    text = render(Result([busy_cluster(LONG_NAME)]), clusters.VIEW, "table", Screen(width=60))
    assert LONG_NAME in text
    assert width_of(render(Result([busy_cluster(LONG_NAME)]), clusters.VIEW, "table", Screen(width=110))) <= 110


@pytest.mark.parametrize("width", [None, 40, 80])
def test_wide_shows_all_and_cuts_nothing(width: int | None) -> None:
    text = render(Result([busy_cluster()]), clusters.VIEW, "wide", Screen(width=width))
    assert header_of(text) == [each.name for each in (*clusters.VIEW.columns, *clusters.VIEW.remarks)]
    assert len(text.splitlines()) == 5


def test_wide_shows_all_details_of_one_object() -> None:
    item = cluster(reason={"code": "X", "message": "many words " * 20})
    text = render(Result(item), clusters.VIEW, "wide", Screen(width=40))
    assert "| kubernetes_version " in text
    assert f"message: {'many words ' * 20}" in text


@given(
    st.lists(st.tuples(*[st.text("ab -\n", max_size=40)] * 4), max_size=4),
    st.integers(20, 120),
)
def test_as_few_columns_as_needed_are_left_out(rows: list[tuple[str, ...]], limit: int) -> None:
    header = ["name", "labels", "created", "state"]
    shown = choose_columns(header, rows, limit)
    assert {0, 3} <= set(shown)
    least = [least_width([header[column], *(row[column] for row in rows)]) for column in range(4)]
    left_out = [column for column in range(4) if column not in shown]
    assert [header[column] for column in left_out] == [name for name in DISPENSABLE if name in header][: len(left_out)]
    if left_out:
        assert measure_table(least[column] for column in {*shown, left_out[-1]}) > limit
    if measure_table(least[column] for column in shown) <= limit:
        text = draw([[row[column] for column in shown] for row in rows], [header[column] for column in shown], limit)
        assert width_of(text) <= limit
        words = {word for row in rows for column in shown for word in row[column].split()}
        assert words <= set(re.findall(r"[ab-]+", text)) | {"-"}


def test_deletion_is_told_by_the_state_where_its_column_is_left_out() -> None:
    item = application(state="DELETING")
    item["metadata"]["deleted"] = CREATED
    assert "DELETING" in render(Result([item]), applications.VIEW, "table", Screen(width=60))
