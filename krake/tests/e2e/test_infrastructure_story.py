"""The story of `docs/user/infrastructure-providers.md`, as its reader types it: on a simulated cloud, and on real services.

The real services are an Infrastructure Manager and a Keystone, with a cloud of files where OpenStack would have machines. On
request, they have machines that are really configured; or a whole OpenStack, whose machines are pretended.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures import im as real
from fixtures.kubernetes import RealClusters
from fixtures.machines import traces_of
from fixtures.terminal import commands
from fixtures.up import ROOT, RunningKrake, StartKrake, wait_for
from realidentity.keystone import ADMIN, PASSWORD, Keystone
from realim.manager import Manager
from realim.manager import start as start_manager
from realkube.kubeconfigs import leave_one_context
from realkube.process import free_port
from realopenstack.services import OpenStack

PAGE = ROOT / "docs" / "user" / "infrastructure-providers.md"
CREATION_LIMIT = 120.0
CONFIGURATION_LIMIT = 600.0
"""Two minutes are enough for a machine that does nothing else."""
QUICK = {"KRAKE_POLL_INTERVAL": "0.5"}
"""What is being created is looked at all the time, as it takes seconds here."""
ELSEWHERE = {"support/im"}
"""Commands of the page that are run by other tests: what they start runs already."""


@dataclass
class Reader:
    """Types the commands of the page, in a folder that looks like the repository.

    :param values: what stands in place of words of the page.
    :param machines: the names of the machines that there are at the cloud.
    :param limit: seconds that the machines of a cluster may take.
    """

    krake: RunningKrake
    folder: Path
    values: Mapping[str, str]
    machines: Callable[[], Sequence[str]]
    limit: float = CREATION_LIMIT
    typed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not (self.folder / "rak").exists():
            (self.folder / "rak").symlink_to(ROOT / "rak")
        shutil.copy(self.krake.directory / "rok.yaml", self.folder / "rok.yaml")

    def type(self, command: str) -> str:
        """Run a command, which must succeed, and return what it says."""
        self.typed.append(command)
        if command in ELSEWHERE:
            return ""
        words = re.sub("|".join(map(re.escape, self.values)), lambda found: shlex.quote(self.values[found[0]]), command)
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"}
        done = subprocess.run(
            words, shell=True, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}\n{self.krake.log[-6000:]}"
        return done.stdout

    def await_state(self, state: str, *words: str) -> Any:
        """Wait until something is in a state, and return it."""

        def reached() -> Any:
            found = self.krake.rok_json(*words)
            print(found["status"]["state"], found["status"]["reason"])  # shown if the time is up
            return found if found["status"]["state"] == state else None

        return wait_for(f"{' '.join(words)} to be {state}", reached, CREATION_LIMIT)

    def await_cluster(self, machines: int) -> Any:
        """Wait until the cluster is at work, on so many machines."""

        def reached() -> Any:
            found = self.krake.rok_json("kube", "cluster", "get", "my-cluster")
            known = (found["status"]["infrastructure"] or {"machines": {}})["machines"]
            print(found["status"]["state"], found["status"]["reason"], known)  # shown if the time is up
            ready = found["status"]["state"] == "ONLINE" and len(known) == machines
            return found if ready and set(known.values()) == {"configured"} else None

        return wait_for(f"my-cluster on {machines} machines", reached, self.limit)


def tell(reader: Reader) -> None:
    """Go through the whole page."""
    reader.type("support/im")
    reader.type("rok infra provider register --type im --url http://localhost:8800 --username test --password test im-provider")
    reader.await_state("ONLINE", "infra", "provider", "get", "im-provider")
    assert "ONLINE" in reader.type("rok infra provider get im-provider")
    reader.type(
        "rok infra cloud register --type openstack --url <os-auth-url> --project <os-project-name> --username <os-username>"
        " --password <os-password> --infra-provider im-provider os-cloud"
    )
    wait_for("a check", lambda: reader.krake.rok_json("infra", "cloud", "get", "os-cloud")["status"]["checked"])
    assert "ONLINE" in reader.type("rok infra cloud get os-cloud")
    create(reader)
    use(reader)
    clean_up(reader)
    assert reader.typed == commands(PAGE), "the page and its test tell different stories"


def create(reader: Reader) -> None:
    assert "my-cluster" not in reader.type("rok kube cluster list  # No Cluster resource is present")
    reader.type("rok kube cluster create -f rak/functionals/im-cluster.yaml my-cluster")
    assert "my-cluster" in reader.type('rok kube cluster list  # One Cluster resource with name "my-cluster"')
    reader.await_cluster(2)
    assert len(reader.machines()) == 2
    assert "ONLINE" in reader.type("rok kube cluster list")
    assert "os-cloud" in reader.type("rok kube cluster get my-cluster")


def use(reader: Reader) -> None:
    reader.type("rok kube app create -f rak/functionals/echo-demo.yaml echo-demo")
    reader.await_state("RUNNING", "kube", "app", "get", "echo-demo")
    assert "my-cluster" in reader.type('rok kube app get echo-demo  # See "running_on"')
    before = reader.machines()
    reader.type("rok kube cluster update -f rak/functionals/im-cluster-scale-up.yaml my-cluster")
    reader.await_cluster(3)
    assert set(before) < (scaled := set(reader.machines()))
    reader.type('rok kube cluster get my-cluster  # See "nodes"')
    reader.type("rok kube cluster update -f rak/functionals/im-cluster-scale-down.yaml my-cluster")
    reader.await_cluster(2)
    wait_for("the superfluous machine to be gone", lambda: len(reader.machines()) == 2)
    assert set(reader.machines()) < scaled
    reader.type('rok kube cluster get my-cluster  # See "nodes"')
    reader.await_state("RUNNING", "kube", "app", "get", "echo-demo")


def clean_up(reader: Reader) -> None:
    reader.type("rok kube cluster delete my-cluster")
    reader.type("rok infra cloud delete os-cloud")
    reader.type("rok infra provider delete im-provider")
    for words in (("kube", "cluster"), ("infra", "cloud"), ("infra", "provider")):
        wait_for(f"no {words[1]} to be left", lambda words=words: not reader.krake.rok_json(*words, "list"), CREATION_LIMIT)
    wait_for("no machine to be left", lambda: not reader.machines())
    reader.type("rok kube app delete echo-demo")
    wait_for("no application to be left", lambda: not reader.krake.rok_json("kube", "app", "list"))


def machines_at(url: str) -> list[str]:
    """The machines that a provider has made for the user of the story."""

    def ask(address: str) -> list[str]:
        header = {"Authorization": "id = im;username = test;password = test;type = InfrastructureManager"}
        with urllib.request.urlopen(urllib.request.Request(address, headers=header), timeout=10) as answer:
            return [str(line) for line in answer.read().decode().split()]

    return sorted(machine for infrastructure in ask(f"{url}/infrastructures") for machine in ask(infrastructure))


def machines_of(provider: Manager) -> list[str]:
    """The machines that there are at the cloud behind a provider."""
    return sorted(machine.id for machine in provider.cloud.machines())


def values_of(provider: Manager, keystone: Keystone) -> dict[str, str]:
    """What stands in place of words of the page, where the provider is a real one."""
    return {
        "http://localhost:8800": provider.url,
        "<os-auth-url>": keystone.endpoint.removesuffix("/v3"),
        "<os-project-name>": real.PROJECT,
        "<os-username>": real.USER,
        "<os-password>": real.PASSWORD,
    }


@pytest.mark.slow
def test_on_a_simulated_cloud(start_krake: StartKrake, tmp_path: Path) -> None:
    krake = start_krake("--simulated-clouds", "1", variables=QUICK)
    simulated = krake.ready["simulated"]
    (cloud,) = simulated["clouds"]
    values = {
        "http://localhost:8800": simulated["provider"]["url"],
        "<os-auth-url>": cloud["url"],
        "<os-project-name>": cloud["project"],
        "<os-username>": cloud["username"],
        "<os-password>": cloud["password"],
    }
    tell(Reader(krake, tmp_path, values, lambda: machines_at(simulated["provider"]["url"])))
    krake.stop()


@pytest.mark.slow
def test_on_a_real_provider(
    start_krake: StartKrake, own_im: Manager, keystone: Keystone, cloud_project: str, tmp_path: Path
) -> None:
    krake = start_krake("--simulated-clusters", "1", variables=QUICK)
    own_im.cloud.offer(krake.kubeconfigs[0].read_text())
    tell(Reader(krake, tmp_path, values_of(own_im, keystone), lambda: machines_of(own_im)))
    krake.stop()


@pytest.mark.slow
def test_on_machines_that_are_configured(
    start_krake: StartKrake,
    real_machines: Manager,
    real_clusters: RealClusters,
    keystone: Keystone,
    cloud_project: str,
    tmp_path: Path,
) -> None:
    """What the cluster is reached by comes from a machine: Ansible reads it there, and IM gives it out."""
    krake = start_krake(variables=QUICK)
    (kubernetes,) = real_clusters(1)
    real_machines.cloud.offer(yaml.safe_dump(leave_one_context(kubernetes.kubeconfig)))
    values = values_of(real_machines, keystone)
    tell(Reader(krake, tmp_path, values, lambda: machines_of(real_machines), CONFIGURATION_LIMIT))
    wait_for("nothing of the machines to be left", lambda: not traces_of(real_machines.cloud.folder))
    krake.stop()


@pytest.mark.slow
def test_a_playbook_that_fails(
    start_krake: StartKrake,
    real_machines: Manager,
    real_clusters: RealClusters,
    keystone: Keystone,
    cloud_project: str,
    tmp_path: Path,
) -> None:
    """Why a machine is not configured is told in the words of Ansible; it is tried again, until the cause is mended."""
    krake = start_krake(variables=QUICK)
    (kubernetes,) = real_clusters(1)
    values = values_of(real_machines, keystone)
    reader = Reader(krake, tmp_path, values, lambda: machines_of(real_machines))
    for command in commands(PAGE)[1:]:
        if command.startswith(("rok infra provider register", "rok infra cloud register")):
            reader.type(command)
    reader.type("rok kube cluster create -f rak/functionals/im-cluster.yaml my-cluster --backoff-delay 5")

    def complaint() -> str | None:
        status = krake.rok_json("kube", "cluster", "get", "my-cluster")["status"]
        return str(status["reason"]["message"]) if status["state"] == "FAILING_RECONCILIATION" else None

    complaint_told = wait_for("a complaint", complaint, CONFIGURATION_LIMIT)
    assert "Read the kubeconfig" in complaint_told
    assert "/etc/kubernetes/default.yaml: No such file or directory" in complaint_told
    machines = reader.machines()
    assert traces_of(real_machines.cloud.folder)

    real_machines.cloud.offer(yaml.safe_dump(leave_one_context(kubernetes.kubeconfig)))
    reader.limit = CONFIGURATION_LIMIT
    reader.await_cluster(2)
    assert reader.machines() == machines, "they are configured anew, not made anew"
    reader.type("rok kube app create -f rak/functionals/echo-demo.yaml echo-demo")
    reader.await_state("RUNNING", "kube", "app", "get", "echo-demo")
    reader.type("rok kube app delete echo-demo")
    reader.type("rok kube cluster delete my-cluster")
    wait_for("nothing of the machines to be left", lambda: not traces_of(real_machines.cloud.folder), CREATION_LIMIT)
    wait_for("no cluster to be left", lambda: not krake.rok_json("kube", "cluster", "list"))
    krake.stop()


@pytest.fixture
def types() -> Iterator[str]:
    """The address of what the templates import, for an Infrastructure Manager that is as in production but for the internet."""
    handler = partial(QuietHandler, directory=str(ROOT / "support" / "realim"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/types.yaml"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Does not log requests."""

    def log_message(self, *_: object) -> None:
        return


def rewrite_templates(folder: Path, types: str, kubeconfig: str) -> None:
    """Let the templates import their types from somewhere else, and give out a kubeconfig that is there already."""
    functionals = folder / "rak" / "functionals"
    shutil.copytree(ROOT / "rak" / "functionals", functionals)
    for path in functionals.glob("im-*.yaml"):
        template = yaml.safe_load(path.read_text())
        template["imports"] = [{"types": types}]
        template["topology_template"]["outputs"]["kubeconfig"]["value"] = kubeconfig
        path.write_text(yaml.safe_dump(template))


@pytest.mark.slow
def test_on_a_real_openstack(start_krake: StartKrake, real_openstack: OpenStack, types: str, tmp_path: Path) -> None:
    krake = start_krake("--simulated-clusters", "1", variables=QUICK)
    rewrite_templates(tmp_path, types, krake.kubeconfigs[0].read_text())
    port = free_port()
    provider = start_manager(tmp_path / "im", port)
    values = {
        "http://localhost:8800": f"http://127.0.0.1:{port}",
        "<os-auth-url>": real_openstack.auth_url,
        "<os-project-name>": "admin",
        "<os-username>": ADMIN,
        "<os-password>": PASSWORD,
    }
    try:
        tell(Reader(krake, tmp_path, values, real_openstack.machines))
    finally:
        provider.kill()
        krake.stop()
