"""The story of the README, with containers that really run: `krake up`, `rok` and `curl`."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.kubernetes import MakeNamespace
from fixtures.real_pods import RealPods
from fixtures.up import RunningKrake, StartKrake, wait_for
from integration.kubernetes.conftest import in_namespace

ECHO_DEMO = "examples/templates/applications/echo-demo.yaml"
UPDATE = "examples/templates/applications/echo-demo-update.yaml"


@pytest.fixture
def running(start_krake: StartKrake) -> Iterator[RunningKrake]:
    krake = start_krake()
    yield krake
    krake.stop()


@pytest.fixture
async def kubeconfigs(real_pods: RealPods, real_namespace: MakeNamespace, tmp_path: Path) -> dict[str, Path]:
    """Those of both clusters, by the name of the cluster."""
    found = {}
    for cluster in real_pods.clusters:
        found[cluster.name] = tmp_path / f"{cluster.name}.yaml"
        found[cluster.name].write_text(yaml.safe_dump(in_namespace(cluster.kubeconfig, await real_namespace(cluster))))
    return found


def curl(address: str) -> str:
    """Fetch from a NodePort, which answers about a second after its Pods are ready."""
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "5"]
    retry = ["--retry", "20", "--retry-delay", "1", "--retry-all-errors"]
    done = subprocess.run(
        [*command, *retry, f"http://{address}/hello"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def listens(address: str) -> bool:
    """Whether something listens at an address of this machine's loopback; nothing may listen at its port everywhere."""
    host, port = address.split(":")
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    listening = {fields[1] for fields in lines if fields[3] == "0A"}
    hosts = {each.split(":")[0] for each in listening if int(each.split(":")[1], 16) == int(port)}
    assert not {each for each in hosts if set(each) == {"0"}}, "a NodePort is for loopback only"
    return socket.inet_aton(host)[::-1].hex().upper() in hosts


def test_the_echo_story(running: RunningKrake, kubeconfigs: dict[str, Path]) -> None:
    first, second = kubeconfigs
    for name, location in ((first, "DE"), (second, "SK")):
        running.rok("kube", "cluster", "register", "-k", kubeconfigs[name], "-l", f"location={location}")
    running.rok(
        "kube", "app", "create", "-f", ECHO_DEMO, "echo-demo", "-L", "location=DE", "--wait", "running", "--timeout", "60"
    )

    def place() -> tuple[str, str]:
        status = running.rok_json("kube", "app", "get", "echo-demo")["status"]
        return status["running_on"]["name"], status["services"]["echo-demo"]

    cluster, address = place()
    assert cluster == first
    answer = curl(address)
    assert "Hostname: echo-demo-" in answer
    assert "real path=/hello" in answer
    assert address.startswith("127.")
    assert listens(address)

    running.rok("kube", "app", "update", "echo-demo", "-f", UPDATE, "--wait", "running", "--timeout", "60")
    running.rok("kube", "app", "update", "echo-demo", "-L", "location=SK")
    wait_for("the other cluster", lambda: place()[0] == second, 90)
    cluster, moved = place()
    assert moved != address
    assert "Hostname: echo-demo-" in curl(moved)
    wait_for("the end of the way to the NodePort", lambda: not listens(address), 30)

    running.rok("kube", "app", "delete", "echo-demo", "--wait", "deleted", "--timeout", "60")
    wait_for("the end of the way to the NodePort", lambda: not listens(moved), 30)
