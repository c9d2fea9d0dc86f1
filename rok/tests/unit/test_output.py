"""What results look like."""

import json
import re
from typing import Any

import pytest
import yaml
from objects import CREATED, MINIKUBE, NO_CLUSTER, application, cluster, node

from rok.kinds import applications, clusters
from rok.output import Result, Screen, View, render
from rok.table import draw, measure

PIPE = Screen()


def rows(text: str) -> dict[str, str]:
    """Return the rows of a table of one object; lines of a cell are joined by ``/``."""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if line.startswith("|"):
            name, value = (part.strip() for part in line.strip("|").split("|", 1))
            last = name or last
            found[last] = value if name else f"{found[last]}/{value}"
    return found


def test_an_empty_list_is_its_header() -> None:
    assert render(Result([]), clusters.VIEW, "table", PIPE) == (
        "+------+-----------+--------+---------+----------+---------+-------+\n"
        "| name | namespace | labels | created | modified | deleted | state |\n"
        "+======+===========+========+=========+==========+=========+=======+\n"
        "+------+-----------+--------+---------+----------+---------+-------+"
    )


def test_a_list_of_one() -> None:
    assert render(Result([cluster(state="ONLINE")]), clusters.VIEW, "table", PIPE) == (
        "+-----------+--------------+--------+---------------------+---------------------+---------+--------+\n"
        "|   name    |  namespace   | labels |       created       |      modified       | deleted | state  |\n"
        "+===========+==============+========+=====================+=====================+=========+========+\n"
        "| minikube2 | system:admin | None   | 2022-03-30 16:01:03 | 2022-03-30 16:01:03 | None    | ONLINE |\n"
        "+-----------+--------------+--------+---------------------+---------------------+---------+--------+"
    )


def test_a_list_has_more_columns_where_there_is_something_to_say() -> None:
    plain, closed = cluster("a"), cluster("b", nodes=[node("n", Ready="True")])
    closed["spec"]["unschedulable"] = True
    _, names, _, *lines, _ = render(Result([plain, closed]), clusters.VIEW, "table", PIPE).splitlines()
    shown = [[each.strip() for each in line.strip("|").split("|")][7:] for line in (names, *lines)]
    assert shown == [["schedulable", "nodes"], ["yes", "None"], ["no (cordoned)", "1/1"]]


def test_a_new_application() -> None:
    assert render(Result(application()), applications.VIEW, "table", PIPE) == (
        "+-----------------------+---------------------+\n"
        "| name                  | echo-demo           |\n"
        "| namespace             | system:admin        |\n"
        "| labels                | None                |\n"
        "| created               | 2022-03-30 16:01:03 |\n"
        "| modified              | 2022-03-30 16:01:03 |\n"
        "| deleted               | None                |\n"
        "| state                 | PENDING             |\n"
        "| reason                | None                |\n"
        "| container_health      |                     |\n"
        "| services              | None                |\n"
        "| allow migration       | True                |\n"
        "| label constraints     | []                  |\n"
        "| resources constraints | []                  |\n"
        "| metric constraints    | []                  |\n"
        "| hooks                 | []                  |\n"
        "| scheduled_to          | None                |\n"
        "| scheduled             | None                |\n"
        "| running_on            | None                |\n"
        "| backoff               | 1                   |\n"
        "| backoff_delay         | 1                   |\n"
        "| backoff_limit         | -1                  |\n"
        "+-----------------------+---------------------+"
    )


def test_a_placed_application_names_its_cluster_and_its_services() -> None:
    item = application(state="RUNNING", scheduled_to=MINIKUBE, running_on=MINIKUBE, services={"echo-demo": "10.0.0.1:30421"})
    shown = rows(render(Result(item), applications.VIEW, "table", PIPE))
    expected = "{'kind': 'Cluster', 'api': 'kubernetes', 'name': 'minikube2', 'namespace': 'system:admin'}"
    assert shown["scheduled_to"] == shown["running_on"] == expected
    assert shown["services"] == "echo-demo: 10.0.0.1:30421"


def test_a_reason_takes_two_lines() -> None:
    text = render(Result(application(state="FAILED", reason=NO_CLUSTER)), applications.VIEW, "table", PIPE)
    assert (
        "| reason                | code: NO_SUITABLE_RESOURCE                    |\n"
        "|                       | message: No matching Kubernetes cluster found |\n"
    ) in text


def test_the_rows_of_a_cluster() -> None:
    shown = rows(render(Result(cluster()), clusters.VIEW, "table", PIPE))
    assert list(shown) == [
        *("name", "namespace", "labels", "created", "modified", "deleted", "state", "reason", "custom_resources", "metrics"),
        *("failing_metrics", "label constraints", "metric constraints", "scheduled_to", "scheduled", "running_on"),
    ]
    assert (shown["custom_resources"], shown["metrics"], shown["failing_metrics"]) == ("[]", "[]", "None")


@pytest.mark.parametrize(
    ("spec", "deleted", "schedulable", "taints"),
    [
        ({}, None, "yes", "None"),
        ({"unschedulable": True}, None, "no (cordoned)", "None"),
        ({"unschedulable": True, "drain": True}, None, "no (draining)", "None"),
        ({}, CREATED, "no (deleting)", "None"),
        ({"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}, None, "if tolerated", "gpu=yes:NoSchedule"),
        ({"taints": [{"key": "old", "value": "", "effect": "PreferNoSchedule"}]}, None, "yes", "old:PreferNoSchedule"),
    ],
)
def test_a_cluster_says_whether_it_takes_applications(
    spec: dict[str, Any], deleted: str | None, schedulable: str, taints: str
) -> None:
    item = cluster()
    item["spec"] |= spec
    item["metadata"]["deleted"] = deleted
    shown = rows(render(Result(item, detailed=True), clusters.VIEW, "table", PIPE))
    assert (shown["schedulable"], shown["taints"]) == (schedulable, taints)


def test_get_shows_the_nodes_of_a_cluster() -> None:
    nodes = [node("a", Ready="True", DiskPressure="True"), node("b", Ready="Unknown", PIDPressure="False")]
    shown = rows(render(Result(cluster(nodes=nodes), detailed=True), clusters.VIEW, "table", PIPE))
    names = ["nodes", "nodes_pid_pressure", "nodes_memory_pressure", "nodes_disk_pressure"]
    assert list(shown)[-13:] == [
        *names,
        *("backoff", "backoff_delay", "backoff_limit"),
        *("kubernetes_version", "capacity", "allocatable", "requested", "retries", "scheduled_retry"),
    ]
    assert [shown[name] for name in names] == ["1/2", "0/2", "0/2", "1/2"]


def test_lists_tell_of_nodes_and_requests_where_there_are_some() -> None:
    nodes = [node("a", Ready="True"), node("b", Ready="Unknown")]
    usable, asked = {"cpu": "8", "memory": "16Gi", "pods": "110"}, {"cpu": "2500m", "memory": "512Mi"}
    item = cluster(nodes=nodes, allocatable=usable, requested=asked)
    _, names, _, line, _ = render(Result([item]), clusters.VIEW, "table", PIPE).splitlines()
    shown = dict(zip((each.strip() for each in names.split("|")), (each.strip() for each in line.split("|")), strict=True))
    assert (shown["nodes"], shown["requested"]) == ("1/2", "cpu 31%, memory 3%")
    details = rows(render(Result(item, detailed=True), clusters.VIEW, "table", PIPE))
    assert details["requested"] == "cpu: 2500m/memory: 512Mi"


def test_a_cluster_without_nodes_counts_none() -> None:
    assert rows(render(Result(cluster(), detailed=True), clusters.VIEW, "table", PIPE))["nodes"] == "None"


@pytest.mark.parametrize(
    ("health", "text"),
    [
        ({"desired_pods": 0, "running_pods": 0, "completed_pods": 0, "failed_pods": 0}, ""),
        ({"desired_pods": 2, "running_pods": 1, "completed_pods": 0, "failed_pods": 0}, "1 active / 2 desired"),
        (
            {"desired_pods": 3, "running_pods": 1, "completed_pods": 2, "failed_pods": 0},
            "1 active / 0 failed / 2 succeeded / 3 desired",
        ),
        (
            {"desired_pods": 1, "running_pods": 0, "completed_pods": 0, "failed_pods": 4},
            "0 active / 4 failed / 0 succeeded / 1 desired",
        ),
        (None, ""),
    ],
)
def test_health_counts_pods(health: Any, text: str) -> None:
    shown = rows(render(Result(application(container_health=health)), applications.VIEW, "table", PIPE))
    assert shown["container_health"] == text


def test_labels_take_a_line_each() -> None:
    item = cluster()
    item["metadata"]["labels"] = {"location": "DE", "tier": "web"}
    assert rows(render(Result(item), clusters.VIEW, "table", PIPE))["labels"] == "location: DE/tier: web"


def test_failing_metrics_name_their_reasons() -> None:
    item = cluster(metrics_reasons={"load": {"code": "UNKNOWN_METRIC", "message": "There is no metric load"}})
    assert (
        rows(render(Result(item), clusters.VIEW, "table", PIPE))["failing_metrics"]
        == "load: UNKNOWN_METRIC: There is no metric load"
    )


@pytest.mark.parametrize("view", [applications.VIEW, clusters.VIEW])
def test_tables_show_no_secrets(view: View) -> None:
    item = application() if view is applications.VIEW else cluster()
    item["spec"] |= {"kubeconfig": {"users": [{"user": {"token": "hidden-1"}}]}}
    item["status"] |= {"complete_token": "hidden-2", "shutdown_token": "hidden-3", "complete_key": "hidden-4"}
    assert "hidden" not in render(Result(item, detailed=True), view, "table", PIPE)


def test_json_is_sorted_and_lists_are_bare() -> None:
    item = application()
    assert render(Result(item), applications.VIEW, "json", PIPE) == json.dumps(item, indent=2, sort_keys=True)
    assert json.loads(render(Result([item]), applications.VIEW, "json", PIPE)) == [item]


def test_yaml_says_the_same_as_json() -> None:
    item = application()
    text = render(Result(item), applications.VIEW, "yaml", PIPE)
    assert yaml.safe_load(text) == item
    assert not text.startswith("---")


def test_names() -> None:
    items = [application("one"), application("two")]
    assert render(Result(items), applications.VIEW, "name", PIPE) == "application/one\napplication/two"
    assert render(Result(cluster()), clusters.VIEW, "name", PIPE) == "cluster/minikube2"


@pytest.mark.parametrize("form", ["table", "json", "yaml", "name"])
def test_no_content_prints_nothing(form: str) -> None:
    assert render(Result(None), applications.VIEW, form, PIPE) == ""


@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_table_fits_a_terminal(width: int) -> None:
    item = application(state="RUNNING", running_on=MINIKUBE, reason={"code": "INTERNAL_ERROR", "message": "many words " * 20})
    text = render(Result(item), applications.VIEW, "table", Screen(width=width))
    assert max(map(len, text.splitlines())) <= width
    assert text.count("many") == 20


def test_words_are_not_cut_where_there_is_room() -> None:
    text = draw([["one two three four five"]], limit=18)
    assert re.findall(r"\w+", text) == ["one", "two", "three", "four", "five"]


def test_what_could_steer_a_terminal_is_shown_instead() -> None:
    text = render(Result(application(reason={"code": "X", "message": "a\x1b[2Jb\r"})), applications.VIEW, "table", PIPE)
    assert "\x1b" not in text
    assert r"a\x1b[2Jb\r" in text


def test_states_are_coloured_on_a_terminal_and_keep_their_width() -> None:
    item = cluster(state="ONLINE")
    plain = render(Result([item]), clusters.VIEW, "table", Screen(width=200))
    coloured = render(Result([item]), clusters.VIEW, "table", Screen(width=200, colours=True))
    assert "\x1b[32mONLINE" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_wide_characters_count_twice() -> None:
    assert measure("章魚") == 4
    lines = draw([["章魚"], ["abcd"]]).splitlines()
    assert {measure(line) for line in lines} == {8}
