"""The stories about metrics, with values that a real Prometheus has."""

from typing import Any

import pytest
import yaml
from fixtures.stories import await_place, create, place, register, rows, send
from fixtures.up import ROOT, RunningKrake, wait_for
from realmetrics.prometheus import Prometheus, Rule

PLURALS = {"GlobalMetric": "globalmetrics", "GlobalMetricsProvider": "globalmetricsproviders"}


def declare(krake: RunningKrake, file: str, prometheus: Prometheus) -> None:
    """Declare what a file of the repository holds, as `krake_bootstrap_db` does, but for the Prometheus of the tests."""
    for document in yaml.safe_load_all((ROOT / file).read_text()):
        if document["kind"] == "GlobalMetricsProvider":
            document["spec"]["prometheus"]["url"] = prometheus.url
        send(krake, "POST", f"/core/{PLURALS[document['kind']]}", document)


def weigh(**weights: float) -> list[str]:
    return [word for name, weight in weights.items() for word in ("--global-metric", name, str(weight))]


def test_an_application_goes_where_heat_is_wanted(story: RunningKrake, prometheus: Prometheus) -> None:
    """With the metrics that come with Krake: computing makes heat, which some zones have a use for."""
    prometheus.record(heat_demand_zone_1=0.7, heat_demand_zone_2=1.3, heat_demand_zone_3=2.4)
    declare(story, "support/prometheus_metrics.yaml", prometheus)
    for number in (1, 2, 3):
        register(story, number, *weigh(**{f"heat_demand_zone_{number}": 1}))
    create(story, "echo-demo", "--wait", "running")
    assert place(story, "echo-demo") == "sim-3"
    prometheus.record(heat_demand_zone_2=4.5)
    await_place(story, "echo-demo", "sim-2")


GOALS = {
    "near": "200 - avg(story_probe_seconds{{site='{site}'}}) * 1000",
    "cheap": "300 - story_power_price_euro{{site='{site}'}}",
    "green": "sum(story_power_watts{{site='{site}',source!='coal'}}) / sum(story_power_watts{{site='{site}'}})",
}
"""What is good about a site, by PromQL: the shorter the way and the lower the price, the more of it."""
HIGHEST = {"near": "200", "cheap": "300", "green": "1"}


def record_sites(prometheus: Prometheus) -> None:
    """Have three sites, of which the first is the nearest, the second the cheapest, and the third the greenest."""
    facts = {"site-1": (0.02, 180, 0.4), "site-2": (0.12, -10, 0.3), "site-3": (0.15, 120, 0.95)}
    seconds, prices, watts = [], [], []
    for site, (way, price, green) in facts.items():
        seconds += [Rule(f"vector({way})", {"site": site, "probe": probe}) for probe in ("a", "b")]
        prices.append(Rule(f"vector({price})", {"site": site}))
        for source, share in (("sun", green / 2), ("wind", green / 2), ("coal", 1 - green)):
            watts.append(Rule(f"vector({share * 5000})", {"site": site, "source": source}))
    prometheus.record(story_probe_seconds=seconds, story_power_price_euro=prices, story_power_watts=watts)


def test_latency_cost_and_energy_each_lead_elsewhere(story: RunningKrake, prometheus: Prometheus) -> None:
    record_sites(prometheus)
    story.rok("core", "gmp", "create", "monitoring", "--type", "prometheus", "--url", prometheus.url)
    for goal, query in GOALS.items():
        for number in (1, 2, 3):
            words = ("--gmp-name", "monitoring", "--min", "0", "--max", HIGHEST[goal])
            expression = query.format(site=f"site-{number}")
            story.rok("core", "gm", "create", f"{goal}_{number}", *words, "--metric-name", expression)

    def optimise(wanted: str, number: int) -> list[str]:
        return weigh(**{f"{goal}_{number}": 8 if goal == wanted else 1 for goal in GOALS})

    for number in (1, 2, 3):
        register(story, number, *optimise("near", number))
    create(story, "echo-demo", "--wait", "running")
    assert place(story, "echo-demo") == "sim-1"
    for goal, cluster in (("cheap", "sim-2"), ("green", "sim-3")):
        for number in (1, 2, 3):
            story.rok("kube", "cluster", "update", f"sim-{number}", *optimise(goal, number))
        await_place(story, "echo-demo", cluster)


def test_a_constraint_is_about_the_value_that_was_measured(story: RunningKrake, prometheus: Prometheus) -> None:
    prometheus.record(story_celsius_1=41.5, story_celsius_2=-3)
    story.rok("core", "gmp", "create", "monitoring", "--type", "prometheus", "--url", prometheus.url)
    for number in (1, 2):
        words = ("--gmp-name", "monitoring", "--min", "0", "--max", "30", "--metric-name", f"story_celsius_{number}")
        story.rok("core", "gm", "create", f"celsius_{number}", *words)
        register(story, number, *weigh(**{f"celsius_{number}": 1}))
    # By its score, the first one would win: its value counts as the highest one. But it is too hot.
    create(story, "echo-demo", "-M", "celsius_1<30 or celsius_2<30", "--wait", "running")
    assert place(story, "echo-demo") == "sim-2"
    story.rok("kube", "app", "update", "echo-demo", "--remove-existing-metric-constraints", "-M", "celsius_2>-3")
    reason = wait_for("a reason", lambda: story.rok_json("kube", "app", "get", "echo-demo")["status"]["reason"])
    assert reason["code"] == "NO_SUITABLE_RESOURCE"
    assert place(story, "echo-demo") == "sim-2"
    prometheus.record(story_celsius_2=-2.5)
    wait_for("no reason", lambda: not story.rok_json("kube", "app", "get", "echo-demo")["status"]["reason"])


@pytest.mark.parametrize("rule", ["last_value", "ignore"])
def test_a_metric_that_fails_is_told_of_and_moves_nothing(story: RunningKrake, prometheus: Prometheus, rule: str) -> None:
    prometheus.record(story_load_1=0.9, story_load_2=0.2)
    story.rok("core", "gmp", "create", "monitoring", "--type", "prometheus", "--url", prometheus.url)
    for number in (1, 2):
        words = ("--min", "0", "--max", "1", "--metric-name", f"story_load_{number}", "--on-failure", rule)
        story.rok("core", "gm", "create", f"load_{number}", "--gmp-name", "monitoring", *words)
        register(story, number, *weigh(**{f"load_{number}": 1}))
    create(story, "echo-demo", "--wait", "running")
    assert place(story, "echo-demo") == "sim-1"

    def cluster() -> Any:
        return story.rok_json("kube", "cluster", "get", "sim-1")["status"]

    prometheus.forget("story_load_1", "story_load_2")
    wait_for("FAILING_METRICS", lambda: cluster()["state"] == "FAILING_METRICS")
    shown = rows(story.rok("kube", "cluster", "get", "sim-1").stdout)
    assert shown["failing_metrics"].startswith("load_1: INVALID_METRIC")
    assert place(story, "echo-demo") == "sim-1"
    prometheus.record(story_load_1=0.8, story_load_2=0.2)
    wait_for("ONLINE", lambda: cluster()["state"] == "ONLINE")
    assert rows(story.rok("kube", "cluster", "get", "sim-1").stdout)["failing_metrics"] == "None"
    assert place(story, "echo-demo") == "sim-1"
