"""The stories about labels and metrics, typed as their readers type them, on simulated clusters."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fixtures.up import RunningKrake, StartKrake, wait_for

ECHO_DEMO = "examples/templates/applications/echo-demo.yaml"
WITHIN_A_SECOND = 5.0
"""Seconds in which a change must have led to another cluster, with what a busy machine needs besides."""


@pytest.fixture(scope="module")
def krake(start_krake: StartKrake) -> RunningKrake:
    """A Krake that lets applications move as soon as something else is better."""
    return start_krake("--simulated-clusters", "3", variables={"KRAKE_RESCHEDULE_AFTER": "1"})


@pytest.fixture(autouse=True)
def clean(krake: RunningKrake) -> Iterator[None]:
    """Remove what a test left behind."""
    yield
    for words in (("kube", "app"), ("kube", "cluster"), ("core", "gm"), ("core", "gmp"), ("core", "metric"), ("core", "mp")):
        for item in krake.rok_json(*words, "list"):
            wait = ("--wait", "deleted") if words[0] == "kube" else ()
            krake.rok(*words, "delete", item["metadata"]["name"], *wait)


def register(krake: RunningKrake, number: int, *words: str) -> None:
    krake.rok("kube", "cluster", "register", "-k", krake.kubeconfigs[number - 1], *words)


def create(krake: RunningKrake, name: str, *words: str) -> None:
    krake.rok("kube", "app", "create", "-f", ECHO_DEMO, name, *words)


def place(krake: RunningKrake, name: str) -> str | None:
    """The cluster on which the application is ready, and which it is not about to leave."""
    status = krake.rok_json("kube", "app", "get", name)["status"]
    settled = status["state"] == "RUNNING" and status["running_on"] == status["scheduled_to"]
    return str(status["running_on"]["name"]) if settled else None


def await_place(krake: RunningKrake, name: str, cluster: str) -> None:
    wait_for(f"{name} on {cluster}", lambda: place(krake, name) == cluster)


def scheduled_to(krake: RunningKrake, name: str) -> str | None:
    target = krake.rok_json("kube", "app", "get", name)["status"]["scheduled_to"]
    return None if target is None else str(target["name"])


def rows(table: str) -> dict[str, str]:
    """Read a table of one object; lines of a cell are joined by ``/``."""
    read: dict[str, list[str]] = {}
    name = ""
    for line in table.splitlines():
        if line.startswith("|"):
            key, value = (cell.strip() for cell in line.strip("|").split("|", 1))
            name = key or name
            read.setdefault(name, []).append(value)
    return {key: "/".join(values) for key, values in read.items()}


def test_an_application_goes_where_its_labels_say(krake: RunningKrake) -> None:
    register(krake, 1, "-l", "location=DE")
    register(krake, 2, "-l", "location=SK")
    labels = {row["metadata"]["name"]: row["metadata"]["labels"] for row in krake.rok_json("kube", "cluster", "list")}
    assert labels == {"sim-1": {"location": "DE"}, "sim-2": {"location": "SK"}}

    create(krake, "echo-demo", "-L", "location=DE", "--wait", "running")
    assert place(krake, "echo-demo") == "sim-1"
    krake.rok("kube", "app", "update", "echo-demo", "-L", "location=SK")
    await_place(krake, "echo-demo", "sim-2")
    assert rows(krake.rok("kube", "app", "get", "echo-demo").stdout)["label constraints"] == "['location=SK']"


def place_each(krake: RunningKrake, folder: Path, option: str, constraints: Mapping[str, str]) -> dict[str, str | None]:
    """Create an application for each constraint, and return where they go."""
    places = {}
    for number, constraint in enumerate(constraints):
        name = f"app-{number}"
        manifest = folder / f"{name}.yaml"
        manifest.write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
        krake.rok("kube", "app", "create", "-f", manifest, name, option, constraint)
        places[constraint] = wait_for(f"a place for {constraint}", lambda name=name: place(krake, name))
    return places


def test_every_way_to_ask_for_labels_is_heard(krake: RunningKrake, tmp_path: Path) -> None:
    register(krake, 1, "-l", "location=DE")
    register(krake, 2, "-l", "location=SK", "-l", "gpu=a100")
    expected = {
        "location is not DE": "sim-2",
        "location in (SK, CZ)": "sim-2",
        "location not in (SK)": "sim-1",
        "location is CZ or gpu exists": "sim-2",
        "gpu not exists": "sim-1",
    }
    assert place_each(krake, tmp_path, "-L", expected) == expected


def test_who_asks_for_too_much_is_told_why_and_is_placed_once_it_is_there(krake: RunningKrake) -> None:
    register(krake, 1, "-l", "location=DE")
    create(krake, "echo-demo", "-L", "location is SK or gpu exists")

    def reason() -> Any:
        return krake.rok_json("kube", "app", "get", "echo-demo")["status"]["reason"]

    said = wait_for("a reason", reason)
    assert said["code"] == "NO_SUITABLE_RESOURCE"
    assert "location is SK or gpu exists; location is DE, there is no label gpu" in said["message"]
    krake.rok("kube", "cluster", "update", "sim-1", "-l", "gpu=a100")
    wait_for("a cluster", lambda: scheduled_to(krake, "echo-demo") == "sim-1", WITHIN_A_SECOND)
    await_place(krake, "echo-demo", "sim-1")


def test_a_label_that_changes_sends_the_application_elsewhere(krake: RunningKrake) -> None:
    register(krake, 1, "-l", "location=DE")
    register(krake, 2)
    create(krake, "echo-demo", "-L", "location is DE", "--wait", "running")
    krake.rok("kube", "cluster", "update", "sim-2", "-l", "location=DE")
    krake.rok("kube", "cluster", "update", "sim-1", "-l", "location=AT")
    wait_for("the other cluster", lambda: scheduled_to(krake, "echo-demo") == "sim-2", WITHIN_A_SECOND)
    await_place(krake, "echo-demo", "sim-2")


def provide(krake: RunningKrake, **values: float) -> None:
    """Create a static provider with some values, and a metric from 0 to 1 for each."""
    words = [word for name, value in values.items() for word in ("--metric", name, str(value))]
    krake.rok("core", "gmp", "create", "static_provider", "--type", "static", *words)
    for name in values:
        krake.rok("core", "gm", "create", name, "--gmp-name", "static_provider", "--min", "0", "--max", "1")


def change(krake: RunningKrake, **values: float) -> None:
    """Let the static provider have other values."""
    words = [word for name, value in values.items() for word in ("--metric", name, str(value))]
    krake.rok("core", "gmp", "update", "static_provider", *words)


def test_an_application_goes_where_the_metrics_are_best(krake: RunningKrake) -> None:
    """The story of the electricity: two clusters weigh the same two metrics differently."""
    provide(krake, electricity_cost_1=0.9, green_energy_ratio_1=0.1)
    shown = rows(krake.rok("core", "gmp", "get", "static_provider").stdout)
    assert (shown["type"], shown["metrics"]) == ("static", "electricity_cost_1: 0.9/green_energy_ratio_1: 0.1")
    shown = rows(krake.rok("core", "gm", "get", "electricity_cost_1").stdout)
    assert {key: shown[key] for key in ("provider", "min", "max", "allowed_values")} == {
        "provider": "static_provider",
        "min": "0.0",
        "max": "1.0",
        "allowed_values": "[]",
    }

    register(krake, 1, "--global-metric", "electricity_cost_1", "10", "--global-metric", "green_energy_ratio_1", "1")
    register(krake, 2, "--global-metric", "electricity_cost_1", "1", "--global-metric", "green_energy_ratio_1", "10")
    create(krake, "echo-demo", "--wait", "running")
    assert place(krake, "echo-demo") == "sim-1"
    change(krake, electricity_cost_1=0.1, green_energy_ratio_1=0.9)
    await_place(krake, "echo-demo", "sim-2")


def test_the_same_application_follows_latency_cost_or_energy(krake: RunningKrake) -> None:
    goals = ("latency", "cost", "energy")
    best = {"sim-1": "latency", "sim-2": "cost", "sim-3": "energy"}
    names = {(cluster, goal): f"{goal}-{cluster}" for cluster in best for goal in goals}
    provide(krake, **{name: 0.9 if best[cluster] == goal else 0.2 for (cluster, goal), name in names.items()})

    def weigh(cluster: str, goal: str) -> list[str]:
        weights = [(names[cluster, each], "10" if each == goal else "1") for each in goals]
        return [word for name, weight in weights for word in ("--global-metric", name, weight)]

    for number, cluster in enumerate(best, start=1):
        register(krake, number, *weigh(cluster, "latency"))
    create(krake, "echo-demo", "--wait", "running")
    assert place(krake, "echo-demo") == "sim-1"
    for goal, cluster in (("cost", "sim-2"), ("energy", "sim-3"), ("latency", "sim-1")):
        for each in best:
            krake.rok("kube", "cluster", "update", each, *weigh(each, goal))
        await_place(krake, "echo-demo", cluster)


def test_every_way_to_ask_for_metrics_is_heard(krake: RunningKrake, tmp_path: Path) -> None:
    krake.rok("core", "mp", "create", "cold", "--type", "static", "-m", "heat", "-7", "-m", "load", "0.5")
    krake.rok("core", "metric", "create", "load", "--mp-name", "cold", "--min", "0", "--max", "1")
    krake.rok("core", "metric", "create", "heat", "--mp-name", "cold", "--min", "-10", "--max", "0")
    krake.rok("core", "gmp", "create", "warm", "--type", "static", "-m", "heat", "-5")
    krake.rok("core", "gm", "create", "heat", "--gmp-name", "warm", "--min", "-10", "--max", "0")
    register(krake, 1, "--metric", "heat", "1", "--metric", "load", "1")
    register(krake, 2, "--global-metric", "heat", "1")
    expected = {
        "heat>-6": "sim-2",
        "heat < -8 or load not exists": "sim-2",
        "heat lesser than or equal -7": "sim-1",
        "load exists": "sim-1",
        "heat is not -7": "sim-2",
    }
    assert place_each(krake, tmp_path, "-M", expected) == expected
