"""The simulator as a program of its own."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from krake.controller.magnum.credentials import make_request
from krake.simulator.ports import is_free

LIMIT = 60.0


@contextmanager
def simulator(directory: Path) -> Iterator[dict[str, str]]:
    """Run one with two clusters; yield the URL of each by the path of its kubeconfig."""
    with program(directory, "--clusters", "2") as ready:
        yield {each["kubeconfig"]: each["url"] for each in ready["clusters"]}


@contextmanager
def program(directory: Path, *options: str, end: signal.Signals = signal.SIGTERM) -> Iterator[dict[str, Any]]:
    """Run one with some options until it is ended by a signal; yield what its ready file says."""
    ready_file = directory / "ready.json"
    ready_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "krake.simulator", *options]
    process = subprocess.Popen([*command, "--dir", str(directory), "--ready-file", str(ready_file)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + LIMIT
        while not ready_file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(ready_file.read_text())
    finally:
        process.send_signal(end)
        assert process.wait(LIMIT) == (0 if end is signal.SIGTERM else -end)


def kubeconfigs(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.glob("*.yaml")}


def test_kubeconfigs_of_an_earlier_run_stay_valid(tmp_path: Path) -> None:
    with simulator(tmp_path) as first:
        written = kubeconfigs(tmp_path)
    with simulator(tmp_path) as second:
        assert second == first
        assert kubeconfigs(tmp_path) == written


def test_a_port_that_is_taken_by_now_is_replaced(tmp_path: Path) -> None:
    with simulator(tmp_path) as first:
        pass
    one, two = first
    port = int(first[one].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), simulator(tmp_path) as second:
        assert second[one] != first[one]
        assert second[two] == first[two]


@pytest.mark.parametrize("content", ["", "nonsense", "{", "clusters: []", "clusters: [{cluster: {server: 'http://h:99999'}}]"])
def test_a_kubeconfig_that_is_none_is_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "sim-1.yaml").write_text(content)
    with simulator(tmp_path) as clusters:
        server = clusters[str(tmp_path / "sim-1.yaml")]
        assert f"server: {server}" in (tmp_path / "sim-1.yaml").read_text()


TEMPLATE = """
tosca_definitions_version: tosca_simple_yaml_1_0
topology_template:
  node_templates: {front: {type: tosca.nodes.indigo.Compute}}
  outputs: {kubeconfig: {value: {get_attribute: [front, kubeconfig]}}}
"""


def ask(ready: dict[str, Any], method: str, path: str, body: str | None = None) -> requests.Response:
    """Ask the Infrastructure Manager, as a user of the first cloud."""
    user, cloud = ready["provider"], ready["clouds"][0]
    lines = (
        f"id = im;username = {user['username']};password = {user['password']};type = InfrastructureManager",
        f"id = os;host = {cloud['url']};auth_version = 3.x_password;username = {cloud['username']};"
        f"password = {cloud['password']};tenant = {cloud['project']};type = OpenStack",
    )
    headers = {"Authorization": "\\n".join(lines), "Content-Type": "text/yaml"}
    return requests.request(method, user["url"] + path, data=body, headers=headers, timeout=LIMIT)


def test_clusters_of_simulated_clouds_outlive_the_program(tmp_path: Path) -> None:
    options = ("--clusters", "0", "--clouds", "2", "--im-port", "0", "--creation-time", "0.3")
    with program(tmp_path, *options) as first:
        assert [cloud["name"] for cloud in first["clouds"]] == ["cloud-1", "cloud-2"]
        one = ask(first, "POST", "/infrastructures?async=true", TEMPLATE).text.removeprefix(first["provider"]["url"])
        deadline = time.monotonic() + LIMIT
        while (state := ask(first, "GET", one + "/state").json()["state"]["state"]) != "configured":
            assert state in ("pending", "running")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        kubeconfig = ask(first, "GET", one + "/outputs").json()
    with program(tmp_path, *options) as second:
        assert {**second, "pid": 0} == {**first, "pid": 0}
        assert ask(second, "GET", one + "/outputs").json() == kubeconfig
        assert ask(second, "DELETE", one).status_code == 200
        assert ask(second, "GET", one + "/state").status_code == 404


class Magnum:
    """Asks the Magnum of the first cloud."""

    def __init__(self, ready: dict[str, Any]) -> None:
        cloud = ready["clouds"][0]
        self.template = cloud["template"]
        login = {"methods": ["password"], "password": {"user": {"id": cloud["user_id"], "password": cloud["password"]}}}
        body = {"auth": {"identity": login, "scope": {"project": {"id": cloud["project_id"]}}}}
        answer = requests.post(f"{cloud['url']}/v3/auth/tokens", json=body, timeout=LIMIT)
        self._token = answer.headers["X-Subject-Token"]
        self._url = f"{cloud['url']}/container-infra/v1"

    def ask(self, method: str, path: str, **body: Any) -> Any:
        headers = {"X-Auth-Token": self._token, "OpenStack-API-Version": "container-infra 1.7"}
        answer = requests.request(method, self._url + path, json=body or None, headers=headers, timeout=LIMIT)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def clusters(self) -> dict[str, str]:
        """The phases of all clusters by their ids."""
        return {each["uuid"]: each["status"] for each in self.ask("GET", "/clusters")["clusters"]}

    def reach(self, *phases: str) -> None:
        """Wait until the clusters there are in these phases."""
        deadline = time.monotonic() + LIMIT
        while sorted(self.clusters().values()) != sorted(phases):
            assert time.monotonic() < deadline, self.clusters()
            time.sleep(0.05)


def nodes(address: str, folder: Path) -> list[str]:
    """The nodes of a cluster, as it tells who shows the certificate in a folder."""
    login = (str(folder / "user.pem"), str(folder / "user.key"))
    answer = requests.get(f"{address}/api/v1/nodes", cert=login, verify=str(folder / "ca.pem"), timeout=LIMIT)
    return [each["metadata"]["name"] for each in answer.json()["items"]]


def test_clusters_of_a_simulated_magnum_outlive_a_program_that_is_killed(tmp_path: Path) -> None:
    options = ("--clusters", "0", "--clouds", "1", "--im-port", "0", "--creation-time", "0.5")
    with program(tmp_path, *options, end=signal.SIGKILL) as ready:
        magnum = Magnum(ready)
        id = magnum.ask("POST", "/clusters", name="one", cluster_template_id=magnum.template, node_count=2)["uuid"]
    with program(tmp_path, *options, end=signal.SIGKILL) as ready:
        magnum = Magnum(ready)
        magnum.reach("CREATE_COMPLETE")
        address = magnum.ask("GET", f"/clusters/{id}")["api_address"]
        request = make_request()
        (tmp_path / "user.key").write_text(request.key)
        (tmp_path / "user.pem").write_text(magnum.ask("POST", "/certificates", cluster_uuid=id, csr=request.csr)["pem"])
        (tmp_path / "ca.pem").write_text(magnum.ask("GET", f"/certificates/{id}")["pem"])
        assert nodes(address, tmp_path) == ["one-node-1", "one-node-2"]
        magnum.ask("POST", f"/clusters/{id}/actions/resize", node_count=3)
    with program(tmp_path, *options, end=signal.SIGKILL) as ready:
        magnum = Magnum(ready)
        magnum.reach("UPDATE_COMPLETE")
        assert magnum.ask("GET", f"/clusters/{id}")["api_address"] == address
        assert len(nodes(address, tmp_path)) == 3
        assert magnum.ask("GET", f"/certificates/{id}")["pem"] == (tmp_path / "ca.pem").read_text()
        magnum.ask("DELETE", f"/clusters/{id}")
    port = int(address.rpartition(":")[2])
    kept = tmp_path / "clouds" / "magnum" / "cloud-1"
    (kept / "broken.json").write_text('{"id": 1}')
    with program(tmp_path, *options) as ready:
        Magnum(ready).reach()
        assert [path.name for path in kept.iterdir()] == ["broken.json"]
        assert is_free(port)


def test_a_simulated_magnum_is_switched_over_http(tmp_path: Path) -> None:
    with program(tmp_path, "--clusters", "0", "--clouds", "1", "--im-port", "0") as ready:
        magnum, switches = Magnum(ready), f"{ready['clouds'][0]['url']}/_simulator"
        assert requests.patch(f"{switches}/settings", json={"create_delay": 3600}, timeout=LIMIT).ok
        assert requests.patch(f"{switches}/settings", json={"create_delays": 1}, timeout=LIMIT).status_code == 400
        id = magnum.ask("POST", "/clusters", name="one", cluster_template_id=magnum.template)["uuid"]
        assert magnum.clusters() == {id: "CREATE_IN_PROGRESS"}
        assert requests.post(f"{switches}/finish", timeout=LIMIT).ok
        magnum.reach("CREATE_COMPLETE")
        shown = requests.get(switches, timeout=LIMIT).json()
        assert shown["clusters"] == {id: "CREATE_COMPLETE"}
        assert shown["requests"]["POST /container-infra/v1/clusters"] == 1
        assert requests.delete(f"{switches}/clusters/{id}", timeout=LIMIT).ok
        assert requests.delete(f"{switches}/clusters/{id}", timeout=LIMIT).status_code == 400
        assert magnum.clusters() == {}


def test_a_simulated_cluster_of_magnum_yields_a_port_that_is_taken(tmp_path: Path) -> None:
    options = ("--clusters", "0", "--clouds", "1", "--im-port", "0", "--creation-time", "0")
    with program(tmp_path, *options) as ready:
        magnum = Magnum(ready)
        id = magnum.ask("POST", "/clusters", name="one", cluster_template_id=magnum.template)["uuid"]
        magnum.reach("CREATE_COMPLETE")
        address = magnum.ask("GET", f"/clusters/{id}")["api_address"]
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))), program(tmp_path, *options) as ready:
        assert Magnum(ready).clusters() == {id: "CREATE_COMPLETE"}
        assert Magnum(ready).ask("GET", f"/clusters/{id}")["api_address"] != address


def test_an_infrastructure_manager_yields_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with program(tmp_path, "--clouds", "1", "--im-port", str(port)) as ready:
            assert ready["provider"]["url"] != f"http://127.0.0.1:{port}"
            assert ask(ready, "GET", "/version").text == "2.0.0"
