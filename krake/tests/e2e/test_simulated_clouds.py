"""`krake up --simulated-clouds`: what it says works, and what it simulates outlives the simulator."""

import os
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fixtures.up import ROOT, RunningKrake, StartKrake, alive, launch, wait_for, wait_until_ready

TEMPLATE = ROOT / "rak" / "functionals" / "im-cluster.yaml"
ECHO = ROOT / "rak" / "functionals" / "echo-demo.yaml"
LIMIT = 120.0
VARIABLES = {"KRAKE_POLL_INTERVAL": "0.3", "KRAKE_OBSERVE_INTERVAL": "1"}


def test_clouds_by_the_commands_that_krake_up_prints(start_krake: StartKrake) -> None:
    krake = start_krake("--simulated-clouds", "1", variables=VARIABLES)
    printed = re.findall(r"Simulated: rok (.*)", krake.log)
    declared = [line.split()[:2] for line in printed]
    assert declared == [["infra", "provider"], ["infra", "cloud"], ["os", "project"]]
    for line in printed:
        krake.rok(*shlex.split(line))
    krake.rok("kube", "cluster", "create", "-f", TEMPLATE, "my-cluster", "--wait", "online")
    krake.rok("os", "cluster", "create", "magnum-cluster", "--node-count", "2", "--wait")
    wait_for("the clusters", lambda: sorted(each[0] for each in made(krake).values()) == ["ONLINE", "ONLINE", "RUNNING"], LIMIT)
    before = made(krake)
    assert [each[2] for each in before.values()] == [2, 2, 2]

    simulator = krake.ready["pids"]["simulator"]
    os.kill(simulator, signal.SIGKILL)
    wait_for("the simulator to run again", lambda: krake.ready["pids"]["simulator"] != simulator)
    assert not alive(simulator)
    krake.rok("kube", "app", "create", "-f", ECHO, "echo-demo", "--wait", "running")
    wait_for("all to be as it was", lambda: made(krake) == before, LIMIT)
    assert len(magnum_clusters(krake)) == 1

    krake.stop()
    with started_again(krake) as again:
        again.rok("kube", "app", "update", "-f", ECHO, "echo-demo", "--label", "news=1", "--wait", "running")
        wait_for("all to be as it was", lambda: made(again) == before, LIMIT)
        again.rok("os", "cluster", "update", "magnum-cluster", "--node-count", "3", "--wait")
        wait_for("its third node", lambda: sorted(each[2] for each in made(again).values()) == [2, 3, 3], LIMIT)
        assert len(magnum_clusters(again)) == 1
        for words in (("kube", "app", "delete", "echo-demo"), ("kube", "cluster", "delete", "my-cluster")):
            again.rok(*words, "--wait", "deleted")
        again.rok("os", "cluster", "delete", "magnum-cluster", "--wait")
        assert not any((krake.directory / "clusters" / "clouds" / "infrastructures").iterdir())
        assert magnum_clusters(again) == []


@contextmanager
def started_again(krake: RunningKrake) -> Iterator[RunningKrake]:
    """Start a Krake that was stopped in the directory that it had."""
    again = launch(krake.directory, "--simulated-clouds", "1", variables=VARIABLES)
    try:
        wait_until_ready(again)
        yield again
    finally:
        again.stop()


def made(krake: RunningKrake) -> dict[str, Any]:
    """What there is of each cluster, and how Krake logs in there."""
    told = {each["metadata"]["name"]: each["status"] for each in krake.rok_json("os", "cluster", "list")}
    clusters: dict[str, Any] = {name: (each["state"], each["cluster_id"], each["node_count"]) for name, each in told.items()}
    for each in krake.rok_json("kube", "cluster", "list"):
        status = each["status"]
        known = (status["state"], status["cluster_id"], len(status["nodes"]), each["spec"]["kubeconfig"])
        clusters[each["metadata"]["name"]] = known
    return clusters


def magnum_clusters(krake: RunningKrake) -> list[str]:
    """What the simulated Magnum keeps."""
    return [path.name for path in (krake.directory / "clusters" / "clouds" / "magnum" / "cloud-1").iterdir()]
