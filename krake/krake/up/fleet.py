"""Which parts make a whole Krake on one machine, and with which settings."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from krake.api.secrets.keyfile import create_key_file, make_key
from krake.up.etcd import EtcdProcess
from krake.up.local import LocalClusters
from krake.up.parts import CommandPart, answers, signs
from krake.up.process import free_port
from krake.up.supervisor import Stage

CONTROLLERS = {
    "gc": "krake.controller.gc",
    "scheduler": "krake.controller.scheduler",
    "cluster": "krake.controller.kubernetes.cluster",
    "application": "krake.controller.kubernetes.application",
    "infrastructure": "krake.controller.infrastructure",
    "magnum": "krake.controller.magnum",
}
OPTIONS = {
    # Who tries archives, metrics and clouds has them here; and nobody could send Krake here without being here already.
    "application": ("--fetching-allow", "127.0.0.1"),
    "scheduler": ("--metrics-allow", "127.0.0.1", "--metrics-allow", "localhost"),
    "infrastructure": ("--providers-allow", "127.0.0.1", "--providers-allow", "localhost"),
    "magnum": ("--openstack-allow", "127.0.0.1", "--openstack-allow", "localhost"),
}
WITH_QUICK_CLOUDS = {
    # Machines that are simulated, or local, take seconds, not minutes. Variables, so that those of the user outdo them.
    "infrastructure": {"KRAKE_POLL_INTERVAL": "1", "KRAKE_OBSERVE_INTERVAL": "15"},
    "magnum": {"KRAKE_POLL_INTERVAL": "1", "KRAKE_OBSERVE_INTERVAL": "15"},
}

USER = "system:admin"


@dataclass(frozen=True)
class Fleet:
    """The stages to start, and how to reach what will run.

    :param api: base URL of the API.
    :param etcd_port: of the store, for the tools of administrators.
    :param ready_file: that the simulator writes; says what it simulates.
    """

    stages: Sequence[Stage]
    api: str
    etcd_port: int
    ready_file: Path | None

    def kubeconfigs(self) -> list[str]:
        """The kubeconfig files of the simulated clusters, once they run."""
        return [each["kubeconfig"] for each in self.simulated.get("clusters", ())]

    @property
    def simulated(self) -> dict[str, Any]:
        """What is simulated, once it runs: lists of ``clusters`` and ``clouds``, and the ``provider`` for those."""
        return {} if self.ready_file is None else dict(json.loads(self.ready_file.read_text()))

    def commands(self) -> list[str]:
        """The commands that tell Krake of what is simulated, once it runs."""
        found = [f"rok kube cluster register -k {path}" for path in self.kubeconfigs()]
        if (provider := self.simulated.get("provider")) is not None:
            login = f"--username {provider['username']} --password {provider['password']}"
            found.append(f"rok infra provider register --type im --url {provider['url']} {login} im-provider")
        for cloud in self.simulated.get("clouds", ()):
            login = f"--project {cloud['project']} --username {cloud['username']} --password {cloud['password']}"
            found.append(
                f"rok infra cloud register --type openstack --url {cloud['url']} {login}"
                f" --infra-provider im-provider {cloud['name']}"
            )
            login = f"--user-id {cloud['user_id']} --password {cloud['password']} --project-id {cloud['project_id']}"
            found.append(
                f"rok os project create --auth-url {cloud['url']}/v3 {login} --template {cloud['template']} {cloud['name']}"
            )
        return found


def plan_fleet(
    data_dir: Path,
    *,
    api_port: int,
    simulated_clusters: int,
    simulated_clouds: int = 0,
    local: LocalClusters | None = None,
    printer: Callable[[str], Callable[[str], None]],
) -> Fleet:
    """Return the parts of a whole Krake on loopback, with one user who may do everything.

    :param local: what makes clusters on this machine.
    :param printer: gives for the name of a part the function that prints a line of its log.
    """
    etcd = EtcdProcess(data_dir / "etcd", client_port=free_port())
    api_port = api_port or free_port()
    api = f"http://127.0.0.1:{api_port}"
    serving = {"api": _api_part(etcd.client_port, api_port, _key_file(data_dir), printer("api"))}
    ready_file = data_dir / "clusters" / "ready.json" if simulated_clusters or simulated_clouds else None
    if ready_file is not None:
        serving["simulator"] = _simulator_part(simulated_clusters, simulated_clouds, ready_file, printer("simulator"))
    controllers = {
        name: _controller_part(
            module,
            api,
            printer(name),
            [*OPTIONS.get(name, ()), *(local.options if local and name == "infrastructure" else ())],
            WITH_QUICK_CLOUDS.get(name, {}) if simulated_clouds or local else {},
        )
        for name, module in CONTROLLERS.items()
    }
    return Fleet([Stage({"etcd": etcd}), Stage(serving), Stage(controllers)], api, etcd.client_port, ready_file)


def _python(module: str, *options: str) -> list[str]:
    # A configuration file of another installation on this machine must not reach these parts.
    return [sys.executable, "-m", module, "--config", os.devnull, *options]


def _key_file(data_dir: Path) -> Path:
    """Return the file with the keys that seal secrets in this data directory; made if there is none."""
    path = data_dir / "secrets.keys"
    if not path.exists():
        create_key_file(path, make_key(datetime.now(UTC).date()))
    return path


def _api_part(etcd_port: int, port: int, key_file: Path, print_line: Callable[[str], None]) -> CommandPart:
    command = _python(
        "krake.api",
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--etcd-host", "127.0.0.1", "--etcd-port", str(etcd_port)),
        *("--authentication-strategy-static-enabled", "--authentication-strategy-static-name", USER),
        *("--authorization", "always-allow"),
        *("--secrets-key-file", str(key_file)),
        # All parts and people are one user here, who need not be kept from anything.
        *("--rate-per-second", "0"),
    )
    return CommandPart(command, ready=answers(f"http://127.0.0.1:{port}/readyz"), print_line=print_line)


def _controller_part(
    module: str, api: str, print_line: Callable[[str], None], options: Sequence[str], defaults: Mapping[str, str]
) -> CommandPart:
    port = free_port()
    command = _python(module, "--api-endpoint", api, "--health-port", str(port), *options)
    ready = answers(f"http://127.0.0.1:{port}/readyz")
    return CommandPart(command, ready=ready, print_line=print_line, defaults=defaults)


def _simulator_part(clusters: int, clouds: int, ready_file: Path, print_line: Callable[[str], None]) -> CommandPart:
    directory = ready_file.parent
    command = [sys.executable, "-m", "krake.simulator", "--clusters", str(clusters), "--clouds", str(clouds)]
    command += ["--dir", str(directory), "--ready-file", str(ready_file)]
    return CommandPart(command, ready=signs(ready_file), print_line=print_line)
