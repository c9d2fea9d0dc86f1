"""The stories about labels and metrics, typed as their readers type them, on simulated clusters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fixtures.stories import await_place, change, create, place, provide, register, rows, scheduled_to
from fixtures.up import RunningKrake, StartKrake, wait_for

WITHIN_A_SECOND = 5.0
"""Seconds in which a change must have led to another cluster, with what a busy machine needs besides."""


def test_an_application_goes_where_its_labels_say(story: RunningKrake) -> None:
    register(story, 1, "-l", "location=DE")
    register(story, 2, "-l", "location=SK")
    labels = {row["metadata"]["name"]: row["metadata"]["labels"] for row in story.rok_json("kube", "cluster", "list")}
    assert labels == {"sim-1": {"location": "DE"}, "sim-2": {"location": "SK"}}

    create(story, "echo-demo", "-L", "location=DE", "--wait", "running")
    assert place(story, "echo-demo") == "sim-1"
    story.rok("kube", "app", "update", "echo-demo", "-L", "location=SK")
    await_place(story, "echo-demo", "sim-2")
    assert rows(story.rok("kube", "app", "get", "echo-demo").stdout)["label constraints"] == "['location=SK']"


def place_each(story: RunningKrake, folder: Path, option: str, constraints: Mapping[str, str]) -> dict[str, str | None]:
    """Create an application for each constraint, and return where they go."""
    places = {}
    for number, constraint in enumerate(constraints):
        name = f"app-{number}"
        manifest = folder / f"{name}.yaml"
        manifest.write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
        story.rok("kube", "app", "create", "-f", manifest, name, option, constraint)
        places[constraint] = wait_for(f"a place for {constraint}", lambda name=name: place(story, name))
    return places


def test_every_way_to_ask_for_labels_is_heard(story: RunningKrake, tmp_path: Path) -> None:
    register(story, 1, "-l", "location=DE")
    register(story, 2, "-l", "location=SK", "-l", "gpu=a100")
    expected = {
        "location is not DE": "sim-2",
        "location in (SK, CZ)": "sim-2",
        "location not in (SK)": "sim-1",
        "location is CZ or gpu exists": "sim-2",
        "gpu not exists": "sim-1",
    }
    assert place_each(story, tmp_path, "-L", expected) == expected


def test_who_asks_for_too_much_is_told_why_and_is_placed_once_it_is_there(story: RunningKrake) -> None:
    register(story, 1, "-l", "location=DE")
    create(story, "echo-demo", "-L", "location is SK or gpu exists")

    def reason() -> Any:
        return story.rok_json("kube", "app", "get", "echo-demo")["status"]["reason"]

    said = wait_for("a reason", reason)
    assert said["code"] == "NO_SUITABLE_RESOURCE"
    assert "location is SK or gpu exists; location is DE, there is no label gpu" in said["message"]
    story.rok("kube", "cluster", "update", "sim-1", "-l", "gpu=a100")
    wait_for("a cluster", lambda: scheduled_to(story, "echo-demo") == "sim-1", WITHIN_A_SECOND)
    await_place(story, "echo-demo", "sim-1")


def test_a_label_that_changes_sends_the_application_elsewhere(story: RunningKrake) -> None:
    register(story, 1, "-l", "location=DE")
    register(story, 2)
    create(story, "echo-demo", "-L", "location is DE", "--wait", "running")
    story.rok("kube", "cluster", "update", "sim-2", "-l", "location=DE")
    story.rok("kube", "cluster", "update", "sim-1", "-l", "location=AT")
    wait_for("the other cluster", lambda: scheduled_to(story, "echo-demo") == "sim-2", WITHIN_A_SECOND)
    await_place(story, "echo-demo", "sim-2")


def test_an_application_goes_where_the_metrics_are_best(story: RunningKrake) -> None:
    """The story of the electricity: two clusters weigh the same two metrics differently."""
    provide(story, electricity_cost_1=0.9, green_energy_ratio_1=0.1)
    shown = rows(story.rok("core", "gmp", "get", "static_provider").stdout)
    assert (shown["type"], shown["metrics"]) == ("static", "electricity_cost_1: 0.9/green_energy_ratio_1: 0.1")
    shown = rows(story.rok("core", "gm", "get", "electricity_cost_1").stdout)
    assert {key: shown[key] for key in ("provider", "min", "max", "allowed_values")} == {
        "provider": "static_provider",
        "min": "0.0",
        "max": "1.0",
        "allowed_values": "[]",
    }

    register(story, 1, "--global-metric", "electricity_cost_1", "10", "--global-metric", "green_energy_ratio_1", "1")
    register(story, 2, "--global-metric", "electricity_cost_1", "1", "--global-metric", "green_energy_ratio_1", "10")
    create(story, "echo-demo", "--wait", "running")
    assert place(story, "echo-demo") == "sim-1"
    change(story, electricity_cost_1=0.1, green_energy_ratio_1=0.9)
    await_place(story, "echo-demo", "sim-2")


def test_the_same_application_follows_latency_cost_or_energy(story: RunningKrake) -> None:
    goals = ("latency", "cost", "energy")
    best = {"sim-1": "latency", "sim-2": "cost", "sim-3": "energy"}
    names = {(cluster, goal): f"{goal}-{cluster}" for cluster in best for goal in goals}
    provide(story, **{name: 0.9 if best[cluster] == goal else 0.2 for (cluster, goal), name in names.items()})

    def weigh(cluster: str, goal: str) -> list[str]:
        weights = [(names[cluster, each], "10" if each == goal else "1") for each in goals]
        return [word for name, weight in weights for word in ("--global-metric", name, weight)]

    for number, cluster in enumerate(best, start=1):
        register(story, number, *weigh(cluster, "latency"))
    create(story, "echo-demo", "--wait", "running")
    assert place(story, "echo-demo") == "sim-1"
    for goal, cluster in (("cost", "sim-2"), ("energy", "sim-3"), ("latency", "sim-1")):
        for each in best:
            story.rok("kube", "cluster", "update", each, *weigh(each, goal))
        await_place(story, "echo-demo", cluster)


def test_every_way_to_ask_for_metrics_is_heard(story: RunningKrake, tmp_path: Path) -> None:
    story.rok("core", "mp", "create", "cold", "--type", "static", "-m", "heat", "-7", "-m", "load", "0.5")
    story.rok("core", "metric", "create", "load", "--mp-name", "cold", "--min", "0", "--max", "1")
    story.rok("core", "metric", "create", "heat", "--mp-name", "cold", "--min", "-10", "--max", "0")
    story.rok("core", "gmp", "create", "warm", "--type", "static", "-m", "heat", "-5")
    story.rok("core", "gm", "create", "heat", "--gmp-name", "warm", "--min", "-10", "--max", "0")
    register(story, 1, "--metric", "heat", "1", "--metric", "load", "1")
    register(story, 2, "--global-metric", "heat", "1")
    expected = {
        "heat>-6": "sim-2",
        "heat < -8 or load not exists": "sim-2",
        "heat lesser than or equal -7": "sim-1",
        "load exists": "sim-1",
        "heat is not -7": "sim-2",
    }
    assert place_each(story, tmp_path, "-M", expected) == expected


def test_constraints_on_metrics_compare_weighted_values_if_the_configuration_says_so(start_krake: StartKrake) -> None:
    krake = start_krake("--simulated-clusters", "2", variables={"KRAKE_METRIC_CONSTRAINTS": "weighted"})
    provide(krake, green_energy_ratio_1=0.9)
    register(krake, 1, "--global-metric", "green_energy_ratio_1", "1")
    register(krake, 2, "--global-metric", "green_energy_ratio_1", "10")
    create(krake, "echo-demo", "-M", "green_energy_ratio_1>5")
    await_place(krake, "echo-demo", "sim-2")
    krake.stop()
