"""A whole cluster: control plane, scheduler and one real node."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realkube.admin import Administrator
from realkube.binaries import Binaries
from realkube.certificates import Credentials
from realkube.control_plane import COLLECT_OFTEN, api_server_options, controller_manager_options, scheduler_options
from realkube.etcd import Etcd
from realkube.process import Process

from .mounts import GATEWAY, address_of
from .node import Node, NodePlace
from .packages import Packages

_STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/host-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}


class PodCluster:
    """Cluster *number* of a sandbox. The machine reaches it at *address*, *port*; its node is on the sandbox's bridge."""

    def __init__(self, number: int, port: int, folder: Path, binaries: Binaries, packages: Packages, etcd: Etcd) -> None:
        self.name = f"cluster-{number}"
        self.address = address_of(number)
        self.port = port
        self.kubeconfig_path = folder / self.name / "kubeconfig"
        self._number = number
        self._folder = folder / self.name
        self._binaries = binaries
        self._etcd = etcd
        self._credentials = Credentials(self._folder / "credentials")
        self._processes: list[Process] = []
        self.node = Node(f"{self.name}-node", NodePlace(number), self._folder / "node", binaries.folder, packages)
        self._write_kubeconfigs()
        self.administrator = Administrator(self.url, self._credentials)

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def processes(self) -> list[Process]:
        return [*self._processes, *self.node.processes]

    def start(self) -> None:
        """Start all of it, and return when its node is Ready and Pods can be created.

        Raises:
            StartError: A process ended, or something is not there in time.
        """
        self.node.prepare()
        api = self._run("kube-apiserver", self._api_server_options())
        api.wait_until(self._answers("/readyz"), "a good answer of /readyz", 120)
        self._run("kube-controller-manager", self._controller_manager_options(), self.node.enter(network=False))
        self._run("kube-scheduler", scheduler_options(self._binaries, self.kubeconfig_path))
        self.node.start(self._folder / "node" / "kubeconfig")
        api.wait_until(self._answers("/api/v1/namespaces/default/serviceaccounts/default"), "the default service account", 60)
        api.wait_until(self._has_storage_class, "its storage class", 30)
        self.node.processes[1].wait_until(self._is_node_ready, "the node being Ready", 120)

    def _run(self, program: str, options: list[str | Path], inside: list[str] | None = None) -> Process:
        process = Process(
            [*(inside or []), self._binaries.folder / program, *options], self._folder / f"{program}.log", COLLECT_OFTEN
        )
        process.name = program
        self._processes.append(process)
        return process

    def _answers(self, path: str) -> Callable[[], bool]:
        return lambda: self.administrator.answers(path)

    def _has_storage_class(self) -> bool:
        classes = "/apis/storage.k8s.io/v1/storageclasses"
        return self.administrator.answers(f"{classes}/standard") or self.administrator.create(classes, _STORAGE_CLASS)

    def _is_node_ready(self) -> bool:
        node = self.administrator.get(f"/api/v1/nodes/{self.node.name}") or {}
        ready = any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in node.get("status", {}).get("conditions", ())
        )
        return ready and not node["spec"].get("taints")

    def _write_kubeconfigs(self) -> None:
        """Write one for the machine and one for the node, which is another way from the API server."""
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._credentials.create([self.address, "127.0.0.1", GATEWAY, f"10.{95 + self._number}.0.1"], names)
        _write(self.kubeconfig_path, self._credentials.kubeconfig(self.name, self.url))
        inside = self._credentials.kubeconfig(self.name, f"https://{GATEWAY}:{self.port}")
        _write(self._folder / "node" / "kubeconfig", inside)

    def _api_server_options(self) -> list[str | Path]:
        return [
            *api_server_options(self.name, self._folder, self._etcd, self._credentials, self.port),
            "--bind-address=0.0.0.0",
            f"--advertise-address={GATEWAY}",
            "--endpoint-reconciler-type=lease",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-cluster-ip-range=10.{95 + self._number}.0.0/16",
        ]

    def _controller_manager_options(self) -> list[str | Path]:
        return [
            *controller_manager_options(self._binaries, self.kubeconfig_path, self._credentials),
            # Its volumes are folders of the node, whose mounts it shares.
            "--enable-hostpath-provisioner=true",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=8s",
        ]


def _write(path: Path, kubeconfig: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig, indent=2) + "\n")
