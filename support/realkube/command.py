"""The command line of `support/kubernetes`."""

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .binaries import Binaries, Unavailable, find, provide
from .control_plane import ControlPlanes
from .pods.machine import why_no_pods
from .pods.mounts import MACHINE
from .pods.packages import Packages, provide_packages
from .pods.sandbox import Sandbox
from .process import StartError

KRAKE_PORT = 8080

_DESCRIPTION = """\
Start real Kubernetes clusters on 127.0.0.1: each a kube-apiserver with kube-controller-manager, all on one etcd.

The machines are simulated: Pods become ready and no container runs. An image with "missing" in its name cannot be
pulled, one with "crash" in its name keeps crashing, and Pods of Jobs complete after half a second.

With --pods, containers run: each cluster has kubelet, containerd and kube-proxy in namespaces of their own. That needs
root, and control groups of version 1. There is no registry; stand-ins made of Debian packages serve the images busybox,
python (3.11, its standard library only) and echoserver, each with any tag.

Kubernetes is built once, from Debian 12's source package, into your cache folder (4 to 9 minutes). It is version 1.20:
long out of support, with known security holes, so for tests on loopback only.
"""
_EPILOG = """\
The paths of the kubeconfigs are all that is printed to standard output. Each has two contexts: cluster-N, by client
certificate, and cluster-N-token. With --pods, the API server and the NodePorts of cluster-N are on 127.10.0.N.

environment:
  KRAKE_KUBERNETES_BIN  folder with kube-apiserver and kube-controller-manager to use instead of building them
  KUBEBUILDER_ASSETS    the same, where it holds both
  XDG_CACHE_HOME        what is built goes to krake/kubernetes below it (default: ~/.cache)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    _stop_on_signals()
    try:
        if options.which:
            return _show(find())
        if options.pods and not options.build_only and (reason := why_no_pods()):
            raise Unavailable(f"{reason[0].upper()}{reason[1:]}.")
        binaries = provide()
        packages = provide_packages() if options.pods else None
        if options.build_only:
            return _show(binaries)
        if packages:
            return _serve_pods(binaries, packages, options)
        with _folder(options.dir) as folder, contextlib.closing(ControlPlanes(binaries, folder)) as planes:
            return _serve(planes, options.clusters or 1, binaries)
    except (Unavailable, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "support/kubernetes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clusters", type=_count, metavar="N", help="how many, side by side (default: 1; with --pods: 2)")
    parser.add_argument("--pods", action="store_true", help="run real containers; needs root")
    parser.add_argument(
        "--let-pods-reach",
        type=_port,
        action="append",
        metavar="PORT",
        help=f"with --pods: let Pods reach this port of 127.0.0.1 at {MACHINE}; again for more (default: {KRAKE_PORT})",
    )
    parser.add_argument(
        "--dir", type=Path, help="keep state, logs and kubeconfigs here (default: a folder that is deleted at the end)"
    )
    parser.add_argument("--build-only", action="store_true", help="build what is missing and end")
    parser.add_argument("--which", action="store_true", help="show which programs would be used and end; build nothing")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 100")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return int(text)


def _stop_on_signals() -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # INT too: a shell starts background jobs with it ignored
        signal.signal(number, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        signal.signal(signal.SIGHUP, interrupt)


def _show(binaries: Binaries) -> int:
    print(f"kube-apiserver           {binaries.api_server}")
    print(f"kube-controller-manager  {binaries.controller_manager}")
    print(f"etcd                     {binaries.etcd}")
    _say(f"Kubernetes {binaries.version}, {binaries.origin}.")
    return 0


@contextlib.contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    """Yield the folder to work in, and make sure that no other run works in it."""
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix="krake-kubernetes-") as name:
            yield Path(name)
        return
    folder = chosen.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StartError(f"The folder {folder} cannot be used: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"Another run uses {folder}; stop it or choose another folder.") from None
        yield folder


def _serve(planes: ControlPlanes, count: int, binaries: Binaries) -> int:
    started = time.monotonic()
    _say(f"Starting {count} cluster{'s' if count > 1 else ''} with Kubernetes {binaries.version} ({binaries.origin}) …")
    running = planes.provide(count)
    _say(f"Ready after {time.monotonic() - started:.1f} s; Ctrl-C stops all.")
    _say("Pods are SIMULATED: they become ready and no container runs. For tests on loopback only: this Kubernetes gets")
    _say("no security updates. The kubeconfigs, for `kubectl --kubeconfig …`:")
    for plane in running:
        print(plane.kubeconfig_path, flush=True)
    while not (ended := [process for process in planes.processes if not process.alive]):
        time.sleep(1)
    raise StartError(f"{ended[0].name} ended by itself, so all is stopped now. Its log was {ended[0].log}.")


def _serve_pods(binaries: Binaries, packages: Packages, options: argparse.Namespace) -> int:
    count, reachable = options.clusters or 2, options.let_pods_reach or [KRAKE_PORT]
    started = time.monotonic()
    _say(f"Starting {count} cluster{'s' if count > 1 else ''} with Kubernetes {binaries.version} and real Pods …")
    chosen = _folder(options.dir) if options.dir else contextlib.nullcontext()
    with chosen as folder, contextlib.closing(Sandbox(binaries, packages, folder)) as sandbox:
        running = sandbox.start(count)
        for port in reachable:
            sandbox.admit(port)
        _say(f"Ready after {time.monotonic() - started:.1f} s; Ctrl-C stops all.")
        _say("Containers run, of stand-in images, and what has root in them has root here: start nothing you do not trust.")
        _say("For tests on loopback only: this Kubernetes gets no security updates.")
        ports = " and ".join(map(str, reachable))
        _say(f"Pods reach port {ports} of 127.0.0.1 at {MACHINE}. The kubeconfigs, for `kubectl --kubeconfig …`:")
        for cluster in running:
            _hand_over(cluster.kubeconfig_path)
            print(cluster.kubeconfig_path, flush=True)
        while not (ended := sandbox.ended()):
            time.sleep(1)
        raise StartError(f"{ended[0]} ended by itself, so all is stopped now.")


def _hand_over(kubeconfig: Path) -> None:
    """Let the one who called sudo read a kubeconfig."""
    user, group = (int(os.environ.get(f"SUDO_{kind}", "0")) for kind in ("UID", "GID"))
    for path in (kubeconfig, kubeconfig.parents[1]):
        os.chown(path, user, group)


def _say(text: str) -> None:
    # A reader that closed our output must not keep us from stopping the servers.
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)
