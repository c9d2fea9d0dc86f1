"""Kubernetes control planes on loopback, each a cluster of its own: API server, controller manager, simulated node."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .admin import Administrator
from .binaries import Binaries
from .certificates import Credentials
from .etcd import Etcd
from .fake_node import FakeNode, Machine
from .process import Process, free_port

AT_ONCE = 2  # more at a time are not ready any sooner: an API server needs some three seconds of CPU to start
# A small server for a handful of objects: half the memory, a quarter of the idle load of the default settings.
_LEAN = ("--watch-cache=false", "--enable-priority-and-fairness=false", "--profiling=false")
COLLECT_OFTEN = {"GOGC": "40"}
_PORT_FLAG_UNTIL = 23  # controller manager and scheduler 1.24 dropped the plain-text port together with its flag


class Servers:
    """API server and controller manager of one cluster, without any node. Their state lives in `etcd` under the cluster's name.

    Attributes:
        name: Name of the cluster; also of the kubeconfig's current context.
        kubeconfig_path: File with the administrator's kubeconfig, everything embedded.
        administrator: Asks the API server.
    """

    def __init__(self, name: str, folder: Path, binaries: Binaries, etcd: Etcd, port: int | None = None) -> None:
        self.name = name
        self.kubeconfig_path = folder / "kubeconfig"
        self._folder = folder
        self._binaries = binaries
        self._etcd = etcd
        self._credentials = Credentials(folder / "credentials")
        self._api: Process | None = None
        self._controllers: Process | None = None
        self._port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._credentials.create()
        self.kubeconfig_path.touch(mode=0o600)
        self.kubeconfig_path.write_text(json.dumps(self.kubeconfig, indent=2) + "\n")
        self.administrator = Administrator(self.url, self._credentials)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def kubeconfig(self) -> dict[str, Any]:
        return self._credentials.kubeconfig(self.name, self.url)

    @property
    def processes(self) -> list[Process]:
        """The running processes of this cluster, without the shared etcd."""
        return [process for process in (self._controllers, self._api) if process]

    def make_node(self, machine: Machine) -> FakeNode:
        """Return a simulated node of this cluster that does not work yet."""
        return FakeNode(self.url, self.administrator.tls, self._credentials.token, machine)

    def start(self) -> None:
        """Start them, and return when the API server serves and the controllers work. Does nothing if they run.

        Raises:
            StartError: A process ended, or the cluster is not ready after two minutes.
        """
        if self._api:
            return
        try:
            self._api = Process(self._api_server_command(), self._folder / "kube-apiserver.log", COLLECT_OFTEN)
            self._api.wait_until(self._answers("/readyz"), "a good answer of /readyz", 120)
            self._api.wait_until(self._answers("/api/v1/namespaces/default"), "namespace default", 30)
            self._controllers = Process(
                self._controller_manager_command(), self._folder / "kube-controller-manager.log", COLLECT_OFTEN
            )
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._controllers.wait_until(self._answers(account), "the service account it makes", 60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop them; connections are refused until :meth:`start`, which finds the old state. Leaves no process."""
        for process in self.processes:
            process.kill()  # they keep nothing, and asked kindly an API server would wait long for open watches
        self._api = self._controllers = None

    def pause(self) -> None:
        """Freeze the API server: it accepts connections and never answers."""
        if self._api:
            self._api.pause()

    def resume(self) -> None:
        """Let a paused API server go on."""
        if self._api:
            self._api.resume()

    def _answers(self, path: str) -> Callable[[], bool]:
        return lambda: self.administrator.answers(path)

    def _api_server_command(self) -> list[str | Path]:
        return [
            self._binaries.api_server,
            *api_server_options(self.name, self._folder, self._etcd, self._credentials, self._port),
            *("--bind-address", "127.0.0.1"),
            *("--advertise-address", "127.0.0.1"),
            # Kubernetes refuses a loopback address as an endpoint, so `default/kubernetes` must stay without one.
            *("--endpoint-reconciler-type", "none"),
            *("--service-cluster-ip-range", "10.96.0.0/16"),
            # Nothing runs in simulated Pods that could use a token, and without it they start at once in a new namespace.
            *("--disable-admission-plugins", "ServiceAccount"),
        ]

    def _controller_manager_command(self) -> list[str | Path]:
        return [
            self._binaries.controller_manager,
            *controller_manager_options(self._binaries, self.kubeconfig_path, self._credentials),
        ]


class ControlPlane(Servers):
    """One cluster with one node. Its state survives :meth:`stop` and :meth:`start`.

    Attributes:
        node: The simulated node; ``node.set_ready(False)`` makes it NotReady.
    """

    def __init__(self, name: str, folder: Path, binaries: Binaries, etcd: Etcd) -> None:
        super().__init__(name, folder, binaries, etcd)
        self.node = self.make_node(Machine())

    def start(self) -> None:
        """Start it, and return when it serves and its controllers work; its node is ready soon. Does nothing if it runs.

        Raises:
            StartError: A process ended, or the cluster is not ready after two minutes.
        """
        super().start()
        self.node.start()

    def stop(self) -> None:
        """Stop it; connections are refused until :meth:`start`, which finds the old state. Leaves no process."""
        super().stop()
        self.node.stop()  # last: what the server has closed leaves no half-closed TLS connection to wait for


def api_server_options(name: str, folder: Path, etcd: Etcd, credentials: Credentials, port: int) -> list[str | Path]:
    """Return what every API server here is told, wherever it listens; its state is in *etcd* under *name*."""
    certificate, key = credentials.server
    return [
        *("--etcd-servers", etcd.url),
        *("--etcd-prefix", f"/{name}"),
        *("--secure-port", str(port)),
        *("--cert-dir", folder),
        *("--tls-cert-file", certificate),
        *("--tls-private-key-file", key),
        *("--client-ca-file", credentials.ca),
        *("--token-auth-file", credentials.tokens),
        *("--authorization-mode", "RBAC"),
        *("--service-account-issuer", "https://kubernetes.default.svc"),
        *("--service-account-key-file", credentials.service_accounts),
        *("--service-account-signing-key-file", credentials.service_accounts),
        "--allow-privileged=true",
        *_LEAN,
    ]


def controller_manager_options(binaries: Binaries, kubeconfig: Path, credentials: Credentials) -> list[str | Path]:
    """Return what every controller manager here is told."""
    return [
        *("--kubeconfig", kubeconfig),
        *("--controllers", "*"),
        *("--service-account-private-key-file", credentials.service_accounts),
        *("--root-ca-file", credentials.ca),
        *("--kube-api-qps", "200"),
        *("--kube-api-burst", "400"),
        "--leader-elect=false",
        *("--bind-address", "127.0.0.1"),
        "--secure-port=0",
        *_without_plain_text_port(binaries),
    ]


def scheduler_options(binaries: Binaries, kubeconfig: Path) -> list[str | Path]:
    """Return what every scheduler here is told."""
    return [
        *("--kubeconfig", kubeconfig),
        *("--authentication-kubeconfig", kubeconfig),
        *("--authorization-kubeconfig", kubeconfig),
        "--leader-elect=false",
        "--secure-port=0",
        *_without_plain_text_port(binaries),
    ]


def _without_plain_text_port(binaries: Binaries) -> list[str]:
    return ["--port=0"] if binaries.minor <= _PORT_FLAG_UNTIL else []


class ControlPlanes:
    """Any number of control planes in one folder, on one etcd.

    Which are there can grow: :meth:`provide` starts what is missing. :meth:`close` stops all.
    """

    def __init__(self, binaries: Binaries, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._etcd = Etcd(binaries.etcd, folder / "etcd")
        self._planes: list[ControlPlane] = []

    def provide(self, count: int) -> Sequence[ControlPlane]:
        """Return the first `count` control planes, all running; those that were stopped or paused run again.

        Raises:
            StartError: One of them did not start.
        """
        if not self._etcd.processes:
            self._etcd.start()
        for number in range(len(self._planes) + 1, count + 1):
            name = f"cluster-{number}"
            self._planes.append(ControlPlane(name, self._folder / name, self._binaries, self._etcd))
        wanted = self._planes[:count]
        with ThreadPoolExecutor(AT_ONCE) as starters:
            list(starters.map(_run, wanted))
        return wanted

    def close(self) -> None:
        """Stop everything; no process is left."""
        if self._planes:
            with ThreadPoolExecutor(len(self._planes)) as stoppers:
                list(stoppers.map(ControlPlane.stop, self._planes))
        self._etcd.stop()

    @property
    def processes(self) -> Iterator[Process]:
        """All running processes."""
        for plane in self._planes:
            yield from plane.processes
        yield from self._etcd.processes


def _run(plane: ControlPlane) -> None:
    plane.resume()
    plane.start()
    plane.node.set_ready(True)
