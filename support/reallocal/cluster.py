"""One running cluster: etcd, API server, controller manager, scheduler and its simulated machines."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from realkube.binaries import Binaries
from realkube.control_plane import COLLECT_OFTEN, Servers, scheduler_options
from realkube.etcd import Etcd
from realkube.fake_node import FakeNode, Machine
from realkube.process import Process, StartError

from .template import Host

_DRAIN_LIMIT = 30.0
_READY_LIMIT = 60.0
_ADDRESSES = 3000  # of the Pods of a machine
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


class Cluster:
    """A cluster in a folder, which runs for a block. Its state is there again when it runs the next time."""

    def __init__(self, name: str, folder: Path, binaries: Binaries, port: int) -> None:
        self._folder = folder
        self._binaries = binaries
        self._etcd = Etcd(binaries.etcd, folder / "etcd")
        self._servers = Servers(name, folder, binaries, self._etcd, port)
        self._scheduler: Process | None = None
        self._nodes: dict[Machine, FakeNode] = {}

    def __enter__(self) -> Self:
        """Start all but the machines, and return when it serves.

        Raises:
            StartError: A process ended, or is not ready in time.
        """
        try:
            self._etcd.start()
            self._servers.start()
            scheduler = self._binaries.folder / "kube-scheduler"
            options = scheduler_options(self._binaries, self._servers.kubeconfig_path)
            self._scheduler = Process([scheduler, *options], self._folder / "kube-scheduler.log", COLLECT_OFTEN)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of it. Leaves no process."""
        self._stop()

    def _stop(self) -> None:
        if self._scheduler:
            self._scheduler.kill()
        self._servers.stop()
        for node in self._nodes.values():
            node.stop()
        self._nodes.clear()
        self._etcd.stop()

    def ended(self) -> Process | None:
        """Return a process that has ended by itself."""
        processes = [*self._etcd.processes, *self._servers.processes, *([self._scheduler] if self._scheduler else [])]
        return next((process for process in processes if not process.alive), None)

    def set_hosts(self, hosts: Sequence[Host]) -> None:
        """Have these machines, and no others. The Pods of those that go are deleted first, and made anew on others.

        Raises:
            StartError: One is not ready in time.
        """
        machines = [_machine(host, number) for number, host in enumerate(hosts)]
        names = [machine.name for machine in machines]
        for machine in [machine for machine in self._nodes if machine not in machines]:
            if machine.name not in names:
                self._drain(machine.name)
            self._nodes.pop(machine).stop()
        for machine in machines:
            if machine not in self._nodes:
                self._nodes[machine] = self._servers.make_node(machine)
                self._nodes[machine].start()
        self._forget_strangers(names)
        deadline = time.monotonic() + _READY_LIMIT
        while missing := [name for name in names if not self._is_ready(name)]:
            if time.monotonic() > deadline:
                raise StartError(f"{', '.join(missing)} did not get ready within {_READY_LIMIT:g} seconds.")
            time.sleep(0.1)
        if not self._reserve(names[0], alone=len(names) == 1):
            raise StartError(f"{names[0]} could not be kept for the control plane.")

    def _is_ready(self, name: str) -> bool:
        node = self._servers.administrator.get(f"/api/v1/nodes/{name}") or {}
        conditions = {each["type"]: each["status"] for each in node.get("status", {}).get("conditions", ())}
        taints = {each["key"] for each in node.get("spec", {}).get("taints", ())}
        return conditions.get("Ready") == "True" and taints <= {_CONTROL_PLANE}

    def _reserve(self, name: str, *, alone: bool) -> bool:
        """Keep Pods off the machine with the control plane, unless it is alone; return whether that was done."""
        taints = None if alone else [{"key": _CONTROL_PLANE, "effect": "NoSchedule"}]
        change = {"metadata": {"labels": {_CONTROL_PLANE: ""}}, "spec": {"taints": taints}}
        return self._servers.administrator.change(f"/api/v1/nodes/{name}", change)

    def _forget_strangers(self, names: Sequence[str]) -> None:
        """Remove nodes that nobody plays any more, such as those that were removed while the keeper was not there."""
        for node in (self._servers.administrator.get("/api/v1/nodes") or {"items": []})["items"]:
            if (name := node["metadata"]["name"]) not in names:
                self._servers.administrator.delete(f"/api/v1/nodes/{name}")

    def _drain(self, name: str) -> None:
        """Have the Pods of a machine made anew on others."""
        administrator = self._servers.administrator
        administrator.change(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
        deadline = time.monotonic() + _DRAIN_LIMIT
        while time.monotonic() < deadline:
            pods = (administrator.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}") or {"items": []})["items"]
            if not pods:
                return
            for pod in pods:
                metadata = pod["metadata"]
                administrator.delete(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}")
            time.sleep(0.2)


def _machine(host: Host, number: int) -> Machine:
    return Machine(
        name=host.name,
        cpu=host.cpu,
        memory=host.memory,
        binds=False,
        balances=number == 0,
        first_address=1 + number * _ADDRESSES,
    )
