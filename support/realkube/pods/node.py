"""A real node: containerd, kubelet and kube-proxy in a mount and a network namespace of its own."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realkube.process import Process

from .images import PAUSE
from .mounts import BRIDGE, GATEWAY, call
from .packages import Packages
from .registry import PORT

_REGISTRY = f"http://{GATEWAY}:{PORT}"
_SOCKET = "/run/containerd.sock"
_NO_NAMES = "echo nameserver 127.0.0.1 > /run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf"
_IN_MEMORY = ("/run", "/var/log/pods", "/var/log/containers", "/var/lib/cni")
# On disk, and under short names: those of sockets have at most 107 characters.
_KUBELET, _CONTAINERD, _VOLUMES = "/var/lib/kubelet", "/var/lib/containerd", "/tmp/hostpath_pv"


@dataclass(frozen=True)
class NodePlace:
    """Where a node is, among all of the sandbox."""

    number: int

    @property
    def address(self) -> str:
        return f"10.200.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """The addresses of its Pods."""
        return f"10.244.{self.number}.0/24"

    @property
    def link(self) -> str:
        """The sandbox's end of the node's only cable."""
        return f"node{self.number}"


class Node:
    """The only node of a cluster; it can be cut off, and goes on when it is joined again."""

    def __init__(self, name: str, place: NodePlace, folder: Path, programs: Path, packages: Packages) -> None:
        self.name = name
        self.place = place
        self.processes: list[Process] = []
        self._folder = folder
        self._programs = programs
        self._packages = packages
        self._holder: Process | None = None

    def enter(self, *, network: bool = True) -> list[str]:
        """Return the beginning of a command that is to run on this node."""
        assert self._holder is not None, "prepare() comes first"
        namespaces = ["-m", "-n"] if network else ["-m"]
        return ["nsenter", "-t", str(self._holder.pid), *namespaces, f"--wd={self._folder}"]

    def prepare(self) -> None:
        """Make its namespaces, its network and its configuration."""
        self._folder.mkdir(parents=True, exist_ok=True)
        holder = ["unshare", "-mn", "--propagation", "private", "sleep", "infinity"]
        self._holder = Process(holder, self._folder / "holder.log")
        self._holder.wait_until(lambda: _is_apart(self._pid), "namespaces of its own", 10)
        place, inside = self.place, self.enter()
        call("ip", "link", "add", place.link, "type", "veth", "peer", "name", "eth0", "netns", str(self._pid))
        call("ip", "link", "set", place.link, "master", BRIDGE, "up")
        call(*inside, "ip", "link", "set", "lo", "up")
        call(*inside, "ip", "address", "add", f"{place.address}/24", "dev", "eth0")
        call(*inside, "ip", "link", "set", "eth0", "up")
        call(*inside, "ip", "route", "add", "default", "via", GATEWAY)
        for setting in ("ip_forward", "conf/all/route_localnet"):
            call(*inside, "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/{setting}")
        for path in _IN_MEMORY:
            call(*inside, "mkdir", "-p", path)
            call(*inside, "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
        for path in (_KUBELET, _CONTAINERD, _VOLUMES):
            kept = self._folder / Path(path).name
            call(*inside, "mkdir", "-p", path, kept)
            call(*inside, "mount", "--bind", kept, path)
        call(*inside, "sh", "-c", _NO_NAMES)
        for controller in Path("/sys/fs/cgroup").iterdir():
            (controller / self.name).mkdir()
        self._configure_containerd()

    def start(self, kubeconfig: Path) -> None:
        """Start what makes it a node; returns when its containers can run, not yet when it is Ready.

        Raises:
            StartError: containerd does not start.
        """
        containerd = self._run("containerd", ["-c", self._folder / "containerd.toml"], self._packages.node / "usr/bin")
        socket = Path(f"/proc/{self._pid}/root{_SOCKET}")
        containerd.wait_until(socket.is_socket, "its socket", 30)
        self._run("kubelet", self._kubelet_options(kubeconfig), self._programs)
        self._run("kube-proxy", self._proxy_options(kubeconfig), self._programs)

    def join(self, joined: bool) -> None:
        """Plug its cable in, or out."""
        call("ip", "link", "set", self.place.link, "up" if joined else "down")

    @property
    def _pid(self) -> int:
        assert self._holder is not None
        return self._holder.pid

    def _run(self, name: str, options: Sequence[str | Path], folder: Path) -> Process:
        process = Process([*self.enter(), folder / name, *options], self._folder / f"{name}.log", _ENVIRONMENT)
        process.name = name
        self.processes.append(process)
        return process

    def _configure_containerd(self) -> None:
        network = self._folder / "network"
        mirrors = self._folder / "mirrors" / "_default"
        for folder in (network, mirrors):
            folder.mkdir(parents=True, exist_ok=True)
        (network / "10-pods.conflist").write_text(json.dumps(self._pod_network()))
        # Both lines are needed: without the first, what is not found here would be looked for in the world.
        (mirrors / "hosts.toml").write_text(f'server = "{_REGISTRY}"\n[host."{_REGISTRY}"]\n')
        (self._folder / "containerd.toml").write_text(f'''\
version = 2
root = "{_CONTAINERD}"
state = "/run/containerd"
[grpc]
  address = "{_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{_CONTAINERD}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Root of a container or virtual machine may lack the right that lower scores need.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self._packages.node}/usr/lib/cni"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{self._folder}/mirrors"
''')

    def _pod_network(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "dataDir": f"{self._folder}/addresses",
            "ranges": [[{"subnet": self.place.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": addresses}
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}

    def _kubelet_options(self, kubeconfig: Path) -> list[str]:
        return [
            f"--kubeconfig={kubeconfig}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{_SOCKET}",
            f"--image-service-endpoint=unix://{_SOCKET}",
            f"--root-dir={_KUBELET}",
            f"--cert-dir={_KUBELET}/pki",
            f"--volume-plugin-dir={_KUBELET}/volume-plugins",
            "--cgroup-driver=cgroupfs",
            "--cgroups-per-qos=true",
            f"--cgroup-root=/{self.name}",  # two kubelets with the same one end each other's Pods
            "--enforce-node-allocatable=pods",
            "--fail-swap-on=false",
            f"--hostname-override={self.name}",
            f"--node-ip={self.place.address}",
            "--address=0.0.0.0",
            "--read-only-port=0",
            "--resolv-conf=",
            "--eviction-hard=",
            "--image-gc-high-threshold=100",
            "--feature-gates=DevicePlugins=false",
            "--node-status-update-frequency=2s",
            "--kube-api-qps=100",
            "--kube-api-burst=200",
            "--event-qps=0",
        ]

    def _proxy_options(self, kubeconfig: Path) -> list[str]:
        return [
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={self.name}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={self.place.pods}",
            "--bind-address=0.0.0.0",
            # What would change settings of the whole machine stays as it is.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ]


# Otherwise kubelet looks for the metadata of a cloud, for six seconds.
_ENVIRONMENT = {"AWS_EC2_METADATA_DISABLED": "true"}


def _is_apart(pid: int) -> bool:
    def namespace(process: str, kind: str) -> str:
        return os.readlink(f"/proc/{process}/ns/{kind}")

    # The very program comes last: by then the mounts are private, too.
    program = Path(f"/proc/{pid}/comm").read_text().strip()
    return program == "sleep" and all(namespace(str(pid), kind) != namespace("self", kind) for kind in ("mnt", "net"))
