"""The story of clusters that nobody declares: applications that fit nowhere get them, and they go when they are of no use."""

from typing import Any

from fixtures.stories import create, register_cloud
from fixtures.up import RunningKrake, wait_for


def status_of(krake: RunningKrake, name: str) -> Any:
    return krake.rok_json("kube", "app", "get", name)["status"]


def clusters_of(krake: RunningKrake) -> list[Any]:
    return list(krake.rok_json("kube", "cluster", "list"))


def await_running(krake: RunningKrake, name: str) -> Any:
    """Wait until an application runs, and return its cluster."""

    def found() -> Any:
        status = status_of(krake, name)
        return status["running_on"] if status["state"] == "RUNNING" else None

    return krake.rok_json("kube", "cluster", "get", wait_for(f"{name} to run", found, 60)["name"])


def test_an_application_gets_a_cluster_on_the_cloud_that_fits(cloudy_story: RunningKrake) -> None:
    krake = cloudy_story
    register_cloud(krake, 1, "cloud_1", "-l", "location=DE")
    register_cloud(krake, 2, "cloud_2", "-l", "location=SK")
    create(krake, "shop", "--auto-cluster-create", "-L", "location=SK")
    cluster = await_running(krake, "shop")
    assert cluster["status"]["running_on"]["name"] == "cloud_2"
    assert cluster["spec"]["auto_generated"]
    krake.rok("kube", "app", "delete", "shop")
    wait_for("the cluster to go", lambda: not clusters_of(krake), 60)


def test_a_cloud_that_does_not_let_in_is_passed_over(cloudy_story: RunningKrake) -> None:
    krake = cloudy_story
    register_cloud(krake, 1, "cloud_1", "-l", "location=DE")
    krake.rok("infra", "cloud", "update", "cloud_1", "--password", "expired")
    wait_for(
        "the cloud to be OFFLINE",
        lambda: krake.rok_json("infra", "cloud", "get", "cloud_1")["status"]["state"] == "OFFLINE",
    )
    create(krake, "shop", "--auto-cluster-create")
    reason = wait_for("a reason", lambda: status_of(krake, "shop")["reason"])
    assert "cloud_1: It is OFFLINE: The cloud 'cloud_1' refuses the login" in reason["message"]
    register_cloud(krake, 2, "cloud_2")
    assert await_running(krake, "shop")["status"]["running_on"]["name"] == "cloud_2"
