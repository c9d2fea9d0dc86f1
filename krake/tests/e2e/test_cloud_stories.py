"""The stories about clusters that Krake creates: which cloud they go to by labels and metrics."""

from typing import Any

from fixtures.stories import CLOUDS, change, provide, send
from fixtures.up import RunningKrake, wait_for


def add_clouds(krake: RunningKrake, **clouds: dict[str, Any]) -> None:
    """Declare clouds by HTTP, as `rok` has no commands for them."""
    login = {
        "type": "password",
        "password": {"version": "3", "user": {"username": "u", "password": "p"}, "project": {"name": "p"}},
    }
    for name, more in clouds.items():
        openstack = {
            "url": "http://127.0.0.1:1",
            "auth": login,
            "infrastructure_provider": {"name": "im"},
            "metrics": more.get("metrics", []),
        }
        body = {
            "metadata": {"name": name, "labels": more.get("labels", {})},
            "spec": {"type": "openstack", "openstack": openstack},
        }
        send(krake, "POST", CLOUDS, body)


def await_cloud(krake: RunningKrake, name: str, cloud: str) -> Any:
    """Wait until a cluster is to be created on a cloud; return it as `rok` shows it."""

    def found() -> Any:
        cluster = krake.rok_json("kube", "cluster", "get", name)
        return cluster if (cluster["status"]["scheduled_to"] or {}).get("name") == cloud else None

    return wait_for(f"{name} on {cloud}", found)


TEMPLATE = "examples/automation/cluster.yaml"


def test_a_cluster_goes_to_the_cloud_that_its_labels_say(story: RunningKrake) -> None:
    add_clouds(story, cloud_1={"labels": {"location": "DE"}}, cloud_2={"labels": {"location": "SK"}})
    story.rok("kube", "cluster", "create", "-f", TEMPLATE, "by-label", "-L", "location=SK")
    cluster = await_cloud(story, "by-label", "cloud_2")
    assert cluster["metadata"]["labels"] == {"location": "SK (inherited)"}
    story.rok(
        "kube", "cluster", "create", "-f", TEMPLATE, "heir", "-L", "location in (DE)", "--inherit-labels", "-l", "tier=web"
    )
    cluster = await_cloud(story, "heir", "cloud_1")
    assert cluster["metadata"]["labels"] == {"location": "DE (inherited)", "tier": "web"}


def test_a_cluster_goes_to_the_cloud_whose_metrics_are_best(story: RunningKrake) -> None:
    provide(story, electricity_cost_1=0.9, green_energy_ratio_1=0.1)

    def weights(cost: float, green: float) -> list[dict[str, Any]]:
        weighted = {"electricity_cost_1": cost, "green_energy_ratio_1": green}
        return [{"name": name, "weight": weight, "namespaced": False} for name, weight in weighted.items()]

    add_clouds(story, cloud_1={"metrics": weights(1, 10)}, cloud_2={"metrics": weights(10, 1)})
    story.rok("kube", "cluster", "create", "-f", TEMPLATE, "by-metric", "--inherit-metrics")
    cluster = await_cloud(story, "by-metric", "cloud_2")
    assert cluster["spec"]["metrics"] == [{**each, "inherited": True} for each in weights(10.0, 1.0)]
    # A constraint that no cloud satisfies has it wait; one that is satisfied later places it.
    story.rok("kube", "cluster", "create", "-f", TEMPLATE, "picky", "-M", "green_energy_ratio_1>0.5")
    wait_for("a reason", lambda: story.rok_json("kube", "cluster", "get", "picky")["status"]["reason"])
    change(story, electricity_cost_1=0.1, green_energy_ratio_1=0.9)
    await_cloud(story, "picky", "cloud_1")
