"""The stories about clusters that Krake creates: on which cloud, by labels and metrics, and whether they are really there."""

from typing import Any

from fixtures.stories import change, provide, register_cloud
from fixtures.up import RunningKrake, wait_for


def await_cloud(krake: RunningKrake, name: str, cloud: str) -> Any:
    """Wait until a cluster is there, on a cloud; return it as `rok` shows it."""

    def found() -> Any:
        cluster = krake.rok_json("kube", "cluster", "get", name)
        place = (cluster["status"]["running_on"] or {}).get("name")
        return cluster if (place, cluster["status"]["state"]) == (cloud, "ONLINE") else None

    return wait_for(f"{name} on {cloud}", found)


TEMPLATE = "examples/clusters/im-cluster.yaml"


def test_a_cluster_goes_to_the_cloud_that_its_labels_say(cloudy_story: RunningKrake) -> None:
    krake = cloudy_story
    register_cloud(krake, 1, "cloud_1", "-l", "location=DE")
    register_cloud(krake, 2, "cloud_2", "-l", "location=SK")
    krake.rok("kube", "cluster", "create", "-f", TEMPLATE, "by-label", "-L", "location=SK")
    krake.rok(
        "kube", "cluster", "create", "-f", TEMPLATE, "heir", "-L", "location in (DE)", "--inherit-labels", "-l", "tier=web"
    )
    cluster = await_cloud(krake, "by-label", "cloud_2")
    assert cluster["metadata"]["labels"] == {"location": "SK (inherited)"}
    cluster = await_cloud(krake, "heir", "cloud_1")
    assert cluster["metadata"]["labels"] == {"location": "DE (inherited)", "tier": "web"}


def test_a_cluster_goes_to_the_cloud_whose_metrics_are_best(cloudy_story: RunningKrake) -> None:
    krake = cloudy_story
    provide(krake, electricity_cost_1=0.9, green_energy_ratio_1=0.1)

    def weigh(cost: float, green: float) -> list[str]:
        weights = {"electricity_cost_1": cost, "green_energy_ratio_1": green}
        return [word for name, weight in weights.items() for word in ("--global-metric", name, str(weight))]

    register_cloud(krake, 1, "cloud_1", *weigh(1, 10))
    register_cloud(krake, 2, "cloud_2", *weigh(10, 1))
    krake.rok("kube", "cluster", "create", "-f", TEMPLATE, "by-metric", "--inherit-metrics")
    cluster = await_cloud(krake, "by-metric", "cloud_2")
    weights = {each["name"]: each["weight"] for each in cluster["spec"]["metrics"] if each["inherited"]}
    assert weights == {"electricity_cost_1": 10.0, "green_energy_ratio_1": 1.0}
    # A constraint that no cloud satisfies has it wait; one that is satisfied later places it.
    krake.rok("kube", "cluster", "create", "-f", TEMPLATE, "picky", "-M", "green_energy_ratio_1>0.5")
    wait_for("a reason", lambda: krake.rok_json("kube", "cluster", "get", "picky")["status"]["reason"])
    change(krake, electricity_cost_1=0.1, green_energy_ratio_1=0.9)
    await_cloud(krake, "picky", "cloud_1")
