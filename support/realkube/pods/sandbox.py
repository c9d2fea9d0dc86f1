"""The sandbox as the machine sees it: one process, and nothing of it is left when that ends."""

import json
import os
import queue
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from realkube.binaries import Binaries, Unavailable
from realkube.process import StartError, free_port, spawn

from .machine import make_control_groups, why_no_pods
from .mounts import MACHINE, address_of
from .packages import Packages

_NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")
_SUPPORT = Path(__file__).parents[2]
_START_LIMIT = 240.0
_LIMIT = 30.0
NEEDED = ("kubelet", "kube-proxy", "kube-scheduler")


@dataclass(frozen=True)
class RunningCluster:
    """A cluster in a sandbox, as the machine sees it."""

    name: str
    kubeconfig_path: Path
    address: str
    """Where its API server and its NodePorts are on this machine's loopback."""
    node_address: str
    """Address of its node in the sandbox: Pods of all clusters reach its NodePorts there."""

    @cached_property
    def kubeconfig(self) -> dict[str, Any]:
        return dict(json.loads(self.kubeconfig_path.read_text()))


class Sandbox:
    """Clusters with real Pods; all that they are ends with this process, even if it is killed.

    Without a *folder*, state and logs are in a temporary one that goes, too.
    """

    machine_address = MACHINE
    """Where Pods reach what :meth:`admit` lets them reach."""

    def __init__(self, binaries: Binaries, packages: Packages, folder: Path | None = None) -> None:
        self._binaries = binaries
        self._packages = packages
        self._folder = folder
        self._turn = threading.Lock()
        self._answers: queue.Queue[str] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._sweeper: subprocess.Popen[bytes] | None = None
        self.log: Path | None = None

    def start(self, count: int) -> Sequence[RunningCluster]:
        """Start *count* clusters, side by side, and return them when all are ready. To be called once.

        Raises:
            Unavailable: Real Pods cannot run here.
            StartError: Something did not start.
        """
        if reason := why_no_pods() or self._lack():
            raise Unavailable(f"{reason[0].upper()}{reason[1:]}.")
        try:
            groups = make_control_groups()
        except OSError as error:
            raise Unavailable(f"Real Pods need to make control groups, and {error.filename}: {error.strerror}.") from error
        folder = self._folder or Path(tempfile.mkdtemp(prefix="krake-pods-"))
        self._sweeper = _start_sweeper(self._folder is None, folder, [str(group) for group in groups.values()])
        machine = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            self._process = self._enter(folder, [str(group) for group in groups.values()], machine)
            answer = self._ask(
                _START_LIMIT,
                do="start",
                folder=str(folder),
                groups=list(groups),
                machine=machine,
                programs=str(self._binaries.folder),
                etcd=str(self._binaries.etcd),
                packages=str(self._packages.folder),
                ports=[free_port(address_of(number)) for number in range(1, count + 1)],
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(machine)
        return [RunningCluster(**{**each, "kubeconfig_path": Path(each["kubeconfig_path"])}) for each in answer["clusters"]]

    def admit(self, port: int) -> str:
        """Let Pods reach *port* of this machine's 127.0.0.1, and return where they find it: ``ADDRESS:PORT``."""
        self._ask(_LIMIT, do="admit", port=port)
        return f"{MACHINE}:{port}"

    def cut(self, cluster: RunningCluster, *, node_only: bool = False) -> None:
        """Cut a cluster off: its API server loses its node and, unless that is all, connections from this machine hang."""
        self._ask(_LIMIT, do="cut", cluster=cluster.name, node_only=node_only)

    def heal(self, cluster: RunningCluster) -> None:
        """Join a cluster again; what hung goes on."""
        self._ask(_LIMIT, do="heal", cluster=cluster.name)

    def ended(self) -> Sequence[str]:
        """Return which of its programs have ended by themselves."""
        return list(self._ask(_LIMIT, do="check")["ended"])

    def close(self) -> None:
        """End everything; returns when nothing is left."""
        if self._process:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.kill()  # with it, the first process of the sandbox, and with that all others
            self._process.wait()
            self._process = None
        if self._sweeper:
            assert self._sweeper.stdin
            self._sweeper.stdin.close()
            self._sweeper.wait()
            self._sweeper = None

    def _lack(self) -> str | None:
        missing = [program for program in NEEDED if not os.access(self._binaries.folder / program, os.X_OK)]
        return f"real Pods need {', '.join(missing)}, which {self._binaries.folder} lacks" if missing else None

    def _enter(self, folder: Path, groups: Sequence[str], machine: int) -> subprocess.Popen[str]:
        """Start the first program of the sandbox, in its control groups and namespaces."""
        join = "".join(f"echo $$ > {shlex.quote(group)}/cgroup.procs\n" for group in groups)
        inside = [sys.executable, "-m", "realkube.pods.inside"]
        self.log = folder / "sandbox.log"

        def start() -> subprocess.Popen[str]:
            assert self.log
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-ec", f'{join}exec "$@"', "sh", *_NAMESPACES, *inside],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env={**os.environ, "PYTHONPATH": str(_SUPPORT)},
                    pass_fds=[machine],
                    start_new_session=True,
                )

        process = spawn(start)
        threading.Thread(target=self._listen, args=(process,), name="listens-to-sandbox", daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put("")

    def _ask(self, limit: float, **request: object) -> dict[str, Any]:
        with self._turn:
            assert self._process, "start() comes first"
            assert self._process.stdin
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
                line = self._answers.get(timeout=limit)
            except (queue.Empty, OSError):
                line = ""
        if not line:
            raise StartError(f"The sandbox of the Pods gave no answer to {request['do']}.{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise StartError(answer["error"])
        return answer

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:] if self.log and self.log.exists() else []
        return f" Its log is {self.log}; the last lines:\n" + "\n".join(f"    {line}" for line in lines)


def _start_sweeper(sweep_folder: bool, folder: Path, groups: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "realkube.pods.sweeper", str(folder) if sweep_folder else "", *groups]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(_SUPPORT)},
        start_new_session=True,
    )
