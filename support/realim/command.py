"""The command line of `support/im`."""

import argparse
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from realidentity.installing import Unavailable
from realkube.kubeconfigs import leave_one_context
from realkube.process import Process, StartError

from . import machines, manager

_DATA = Path(__file__).resolve().parents[2] / "tmp" / "im"
_IMAGE = "grycap/im"
_PORT = 8800
_LIMIT = 60
_DESCRIPTION = f"""\
Start an Infrastructure Manager (IM), which creates virtual machines on clouds and clusters on these, until Ctrl-C.

Where Docker runs, it is the container {_IMAGE}; elsewhere, or with --no-docker, it is IM {manager.VERSION} from PyPI, which is
installed into your cache folder once (half a minute, 210 MB) and listens on 127.0.0.1 only. It is set up for trying: any user
name and password are good, and each of them sees its own infrastructures only. What it has made is remembered in tmp/im, or in
the container.

With --machines, it needs no cloud: whichever OpenStack it is asked for, it has machines here, to which it logs in by SSH and
which it configures by Ansible. They are root folders of Debian with namespaces of their own, for which it has to be root; they
are made once, in a minute or two, and 760 MB large. Logins are those of the OpenStack's Keystone, such as that of
support/keystone. No Kubernetes is installed: the front end gives out the kubeconfig that --machines names, such as one of
support/kubernetes.

Its URL is all that is printed to standard output. For Krake:

  rok infra provider register --type im --url http://localhost:{_PORT} --username test --password test im-provider
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `support/im` and return its exit status."""
    options = _parser().parse_args(arguments)
    _stop_on_signals()
    try:
        if options.stop:
            _stop(options)
        elif options.machines:
            _run_with_machines(options)
        elif options.docker and _has_docker():
            _run_container(options)
        else:
            _run_process(options)
    except (Unavailable, StartError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="support/im", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=_PORT, help=f"its port (default: {_PORT})")
    parser.add_argument("--name", default="im", help="of the container, or of the folder below tmp/im (default: im)")
    parser.add_argument("--detach", action="store_true", help="let it run on in the background, until --stop")
    parser.add_argument("--stop", action="store_true", help="stop the one of this name that runs in the background")
    parser.add_argument("--no-docker", dest="docker", action="store_false", help="use the one from PyPI, even if Docker runs")
    parser.add_argument("--image", default=_IMAGE, help=f"of the container (default: {_IMAGE})")
    parser.add_argument(
        "--machines", type=Path, metavar="KUBECONFIG", help="let it configure machines that run here; see above"
    )
    parser.add_argument("--install-only", action="store_true", help="install what is missing and end")
    return parser


def _run_process(options: argparse.Namespace) -> None:
    manager.install()
    if options.install_only:
        return
    _check_port(options.port)
    folder = _folder_of(options)
    if options.detach:
        pid = manager.start_detached(folder, options.port, _LIMIT)
        (folder / "pid").write_text(str(pid))
        _tell(options.port, f"support/im --stop --name {options.name} stops it; its log is {folder / 'im.log'}.")
        return
    process = manager.start(folder, options.port)
    try:
        _tell(options.port, f"Ctrl-C stops it; its log is {folder / 'im.log'}.")
        _wait(process)
    finally:
        process.stop(limit=5)


def _run_with_machines(options: argparse.Namespace) -> None:
    if options.detach:
        raise StartError("Machines run until Ctrl-C: leave out --detach.")
    kubeconfig = _read_kubeconfig(options.machines)
    machines.install()
    if options.install_only:
        manager.install()
        return
    _check_port(options.port)
    with contextlib.closing(manager.Manager(_folder_of(options), with_machines=True, port=options.port)) as running:
        running.cloud.offer(kubeconfig)
        _tell(options.port, f"Ctrl-C stops it; it keeps logs and all else in {_folder_of(options)}.")
        _wait(running.process)


def _read_kubeconfig(path: Path) -> str:
    """Return a kubeconfig as the tools of Kubernetes would leave it on a machine."""
    try:
        return str(yaml.safe_dump(leave_one_context(yaml.safe_load(path.read_text()))))
    except OSError as error:
        raise StartError(f"{path} can not be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise StartError(f"{path} is no kubeconfig.") from None


def _wait(process: Process) -> None:
    while process.alive:
        time.sleep(0.5)
    raise StartError("IM ended by itself.")


def _run_container(options: argparse.Namespace) -> None:
    if options.install_only:
        _docker("pull", options.image)
        return
    _check_port(options.port)
    detach = ("--detach",) if options.detach else ("--rm",)
    published = f"127.0.0.1:{options.port}:{_PORT}"
    command = ("docker", "run", *detach, "--name", options.name, "--publish", published, options.image)
    if options.detach:
        _docker(*command[1:])
        _wait_for_answer(options.port)
        _tell(options.port, f"support/im --stop --name {options.name} stops it; docker logs {options.name} shows its log.")
        return
    with subprocess.Popen(command, stdout=sys.stderr, stdin=subprocess.DEVNULL) as container:
        try:
            _wait_for_answer(options.port, container)
            _tell(options.port, "Ctrl-C stops it.")
            container.wait()
        finally:
            container.terminate()
    raise StartError("The container ended by itself.")


def _stop(options: argparse.Namespace) -> None:
    file = _folder_of(options) / "pid"
    if file.exists():
        manager.stop_detached(int(file.read_text()))
        file.unlink()
    elif options.docker and _has_docker():
        _docker("rm", "--force", options.name)
    else:
        raise StartError(f"No IM of the name {options.name} runs in the background.")


def _wait_for_answer(port: int, container: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + _LIMIT
    while not manager.answers(port):
        if container is not None and container.poll() is not None:
            raise StartError(f"Docker ended with status {container.returncode}; what it says is above.")
        if time.monotonic() > deadline:
            raise StartError(f"IM does not answer within {_LIMIT} seconds.")
        time.sleep(0.2)


def _has_docker() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(("docker", "info"), capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker(*arguments: str) -> None:
    if status := subprocess.run(("docker", *arguments), stdout=sys.stderr).returncode:
        raise StartError(f"docker {arguments[0]} ended with status {status}; what it says is above.")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StartError(f"The port {port} of this machine is in use: stop what listens there, or take --port.") from None


def _folder_of(options: argparse.Namespace) -> Path:
    return _DATA / Path(options.name).name


def _tell(port: int, how_to_stop: str) -> None:
    print(f"http://localhost:{port}", flush=True)
    _say(f"Ready. For trying only: everybody may use it. {how_to_stop}")


def _stop_on_signals() -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # INT too: a shell starts background jobs with it ignored
        signal.signal(number, interrupt)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
