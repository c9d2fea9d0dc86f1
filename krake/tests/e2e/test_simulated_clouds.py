"""`krake up --simulated-clouds`: what it says works, and what it simulates outlives the simulator."""

import os
import re
import shlex
import signal
from typing import Any

from fixtures.up import ROOT, RunningKrake, StartKrake, alive, wait_for

TEMPLATE = ROOT / "rak" / "functionals" / "im-cluster.yaml"


def test_clouds_by_the_commands_that_krake_up_prints(start_krake: StartKrake) -> None:
    krake = start_krake("--simulated-clouds", "1", variables={"KRAKE_POLL_INTERVAL": "0.3"})
    printed = re.findall(r"Simulated: rok (.*)", krake.log)
    assert [line.split()[:2] for line in printed if line.startswith("infra")] == [["infra", "provider"], ["infra", "cloud"]]
    for line in printed:
        krake.rok(*shlex.split(line))
    krake.rok("kube", "cluster", "create", "-f", TEMPLATE, "my-cluster", "--wait", "online")
    before = cluster_of(krake)

    simulator = krake.ready["pids"]["simulator"]
    os.kill(simulator, signal.SIGKILL)
    wait_for("the simulator to run again", lambda: krake.ready["pids"]["simulator"] != simulator)
    assert not alive(simulator)
    krake.rok("kube", "app", "create", "-f", ROOT / "rak" / "functionals" / "echo-demo.yaml", "echo-demo", "--wait", "running")
    after = cluster_of(krake)
    assert (after["spec"]["kubeconfig"], after["status"]["cluster_id"]) == (
        before["spec"]["kubeconfig"],
        before["status"]["cluster_id"],
    )

    for words in (("kube", "app", "delete", "echo-demo"), ("kube", "cluster", "delete", "my-cluster")):
        krake.rok(*words, "--wait", "deleted")
    assert not any((krake.directory / "clusters" / "clouds" / "infrastructures").iterdir())


def cluster_of(krake: RunningKrake) -> Any:
    return krake.rok_json("kube", "cluster", "get", "my-cluster")
