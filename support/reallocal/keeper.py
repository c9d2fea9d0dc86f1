"""The process that keeps one cluster running: what it starts ends with it, and it ends when something of it does.

It has no parent that waits for it: it outlives the program that started it, and Krake. What the cluster should be it reads
from the folder, and there it says how it is.
"""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from realkube.binaries import Binaries, Unavailable, find
from realkube.process import StartError, free_port

from . import marked
from .cluster import Cluster
from .folder import Folder, Plan, Report

PROGRAM = Path(__file__).resolve().parents[1] / "local-clusters"
VERB = "keep"
_INTERVAL = 0.3


def provide_binaries() -> Binaries:
    """Return the programs of a cluster that are there.

    Raises:
        Unavailable: One is missing.
    """
    binaries = find()
    if not os.access(binaries.folder / "kube-scheduler", os.X_OK):
        raise Unavailable(f"{binaries.folder} lacks kube-scheduler; put it there, or have it built by `support/kubernetes`.")
    return binaries


def start(folder: Folder) -> None:
    """Start the keeper of a cluster, unless it lives; returns at once."""
    lock = folder.lock()
    if lock is None:
        return
    try:
        plan = folder.plan
        if plan.port != (port := _port(plan.port)):
            folder.plan = plan = dataclasses.replace(plan, port=port)
        folder.report = Report(
            machines=_phases(plan, "pending") | {plan.hosts[0].name: "creating"}, complete=folder.report.complete
        )
        with folder.log.open("ab") as log:
            # In a session of its own: the end of whoever started us is not its end. The lock is its own from the first moment.
            subprocess.Popen(
                [sys.executable, PROGRAM, VERB, folder.path, str(lock)],
                env=os.environ | {marked.VARIABLE: str(folder.path)},
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],
            )
    finally:
        os.close(lock)


def keep(folder: Folder, lock: int) -> int:
    """Keep a cluster running until something of it ends, or a signal asks for the end; return the exit status."""
    os.set_inheritable(lock, False)
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _keep(folder)
    except (StartError, Unavailable, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):  # it is being removed
            folder.report = dataclasses.replace(folder.report, phase="unconfigured", message=str(error).splitlines()[0])
    return 1


def _keep(folder: Folder) -> None:
    plan = folder.plan
    if not marked.kill(folder.path):
        raise StartError("Processes of an earlier run of this cluster do not end.")
    with Cluster(folder.name, folder.path, provide_binaries(), plan.port) as running:
        done = 0
        while not (ended := running.ended()):
            if (plan := folder.plan).version != done:
                _tell(folder, plan, "creating")
                running.set_hosts(plan.hosts)
                _tell(folder, plan, "configured", complete=True)
                done = plan.version
            time.sleep(_INTERVAL)
        raise StartError(f"{ended.name} ended by itself. Its log is {ended.log}.")


def _tell(folder: Folder, plan: Plan, phase: str, *, complete: bool = False) -> None:
    """Write how the cluster is, where its plan is carried out or not yet."""
    before = folder.report
    machines = _phases(plan, phase)
    if phase == "creating":  # those that are there already work
        machines |= {name: old for name, old in before.machines.items() if name in machines and old == "configured"}
    folder.report = Report(plan.version, phase, machines, complete=complete or before.complete)


def _phases(plan: Plan, phase: str) -> dict[str, str]:
    return {host.name: phase for host in plan.hosts}


def _port(wanted: int) -> int:
    """Return the port if nobody has taken it meanwhile, else another one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return wanted
