"""Machines that an IM can configure: they are there as long as the cloud says so, and no longer than who has started them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.machines import traces_of
from fixtures.up import wait_for
from realim.machines import install
from realim.manager import Cloud, Machine
from realkube.process import free_port

pytestmark = pytest.mark.machines
KUBECONFIG = """
current-context: a
contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: c, user: v}}]
users: [{name: u, user: {token: t}}, {name: v, user: {token: t}}]
"""
SUPPORT = Path(__file__).parents[3] / "support"
KEEPER = """
import signal, sys
from pathlib import Path
from realim.machines import Machines
Machines(Path(sys.argv[1]))
signal.pause()
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    install()
    return Cloud(tmp_path / "cloud")


@pytest.fixture
def keeper(cloud: Cloud) -> Iterator["subprocess.Popen[bytes]"]:
    """What keeps the machines of a cloud."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(cloud.folder)], env=os.environ | {"PYTHONPATH": str(SUPPORT)}
    ) as process:
        try:
            wait_for("machines to be kept", (cloud.folder / "logs").exists)
            yield process
        finally:
            process.kill()


def add(cloud: Cloud, name: str, number: int) -> str:
    """Let the cloud have another machine, and return its address."""
    addresses = [f"{(cloud.folder / 'network').read_text()}.{each}" for each in (number, number + 128)]
    machine = {
        "name": name,
        "mark": "test",
        "state": "running",
        "number": number,
        "addresses": addresses,
        "key": "ssh-rsa none",
    }
    (cloud.folder / "machines" / f"{name}.json").write_text(json.dumps(machine))
    return addresses[1]


def answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), 5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_they_are_what_the_cloud_says(cloud: Cloud, keeper: "subprocess.Popen[bytes]") -> None:
    first, second = add(cloud, "first", 1), add(cloud, "second", 2)
    for address in (first, second):
        wait_for("a machine to answer", lambda address=address: answers(address))
    machines: dict[str, Machine] = {machine.name: machine for machine in cloud.machines()}
    cloud.change(machines["first"], "stopped")
    cloud.lose(machines["second"])
    wait_for("nothing to be left of them", lambda: not traces_of(cloud.folder))
    assert not answers(first)
    assert not answers(second)
    cloud.change(machines["first"], "running")
    wait_for("the first one to answer again", lambda: answers(first))


def test_they_end_with_what_keeps_them(cloud: Cloud, keeper: "subprocess.Popen[bytes]") -> None:
    address = add(cloud, "machine", 1)
    wait_for("the machine to answer", lambda: answers(address))
    assert [trace for trace in traces_of(cloud.folder) if trace.startswith("/proc/")]
    keeper.send_signal(signal.SIGKILL)
    wait_for("no process to be left", lambda: not [each for each in traces_of(cloud.folder) if each.startswith("/proc/")])
    assert not answers(address)


def test_an_im_that_has_them_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    """What is offered to its front ends has the form that tools of Kubernetes leave on a machine."""
    (given := tmp_path / "kubeconfig").write_text(KUBECONFIG)
    port = free_port()
    folder = SUPPORT.parent / "tmp" / "im" / f"test-{port}"
    command = [sys.executable, SUPPORT / "im", "--machines", given, "--port", str(port), "--name", folder.name]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline().decode() == f"http://localhost:{port}\n"
            cloud = Cloud(folder / "cloud")
            offered = yaml.safe_load((cloud.folder / "kubeconfigs" / "default.yaml").read_text())
            assert [context["name"] for context in offered["contexts"]] == ["a"]
            assert [user["name"] for user in offered["users"]] == ["u"]
            address = add(cloud, "machine", 1)
            wait_for("the machine to answer", lambda: answers(address))
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        wait_for("nothing to be left of it", lambda: not traces_of(cloud.folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "can not be read: No such file or directory"), ("a: b", "is no kubeconfig"), ("[", "is no kubeconfig")],
)
def test_what_is_no_kubeconfig_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    given = tmp_path / "kubeconfig"
    if content is not None:
        given.write_text(content)
    done = subprocess.run([sys.executable, SUPPORT / "im", "--machines", given], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"{given} {told}" in done.stderr
