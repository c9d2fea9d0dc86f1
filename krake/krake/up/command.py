"""``krake up`` runs all of Krake on this machine."""

import argparse
import asyncio
import contextlib
import errno
import fcntl
import io
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from krake.up.fleet import Fleet, plan_fleet
from krake.up.local import LocalClusters, NoLocalClusters
from krake.up.signals import stop_on_signals
from krake.up.supervisor import StartError, Supervisor

COLOURS = (36, 32, 33, 35, 34, 96, 92, 95)
NAME_WIDTH = 14


class UsageError(Exception):
    """The command can not do what it was asked for; the message says what to do instead."""


HELP = "run all of Krake on this machine"
DESCRIPTION = (
    "Starts etcd, the API and all controllers, restarts what dies, and stops everything on Ctrl-C. Meant for one machine: it"
    " listens on loopback only and everyone who reaches it may do everything."
)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # A part may log what the terminal has no letters for.
    try:
        return asyncio.run(_up(options))
    except (UsageError, StartError) as error:
        with contextlib.suppress(OSError):
            print(f"krake up: {error}", file=sys.stderr)
        return 1


def add_arguments(up: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    up.add_argument(
        "--api-port", type=int, default=8080, metavar="PORT", help="port of the API; 0 picks a free one (default: 8080)"
    )
    up.add_argument("--data-dir", type=Path, default=Path("tmp"), metavar="DIR", help="where everything is kept (default: tmp)")
    up.add_argument(
        "--simulated-clusters",
        type=_count,
        default=0,
        metavar="N",
        help="also run N simulated Kubernetes clusters to play with (default: 0)",
    )
    up.add_argument(
        "--simulated-clouds",
        type=_count,
        default=0,
        metavar="N",
        help="also run N simulated OpenStack clouds, and an Infrastructure Manager that creates clusters there (default: 0)",
    )
    up.add_argument(
        "--local-clusters",
        nargs="?",
        const="",
        metavar="PROGRAM",
        help="also let clusters be created on this machine, which outlive Krake (by support/local-clusters, or PROGRAM)",
    )
    up.add_argument(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="written once all is ready: JSON with api, etcd_port, kubeconfigs, simulated and pids",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


async def _up(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    data_dir: Path = options.data_dir.resolve()
    with _sole_user_of(data_dir):
        if options.ready_file is not None:
            _prepare(options.ready_file)
        _check_port_is_free(options.api_port)
        local = await _prepare_local_clusters(options.local_clusters, data_dir / "local-clusters")
        fleet = plan_fleet(
            data_dir,
            api_port=options.api_port,
            simulated_clusters=options.simulated_clusters,
            simulated_clouds=options.simulated_clouds,
            local=local,
            printer=_printer(sys.stdout.isatty()),
        )
        await _run(fleet, options.ready_file, stop, local.hints if local else ())
    return 0


async def _prepare_local_clusters(program: str | None, directory: Path) -> LocalClusters | None:
    if program is None:
        return None
    try:
        return await LocalClusters.prepare(program, directory)
    except NoLocalClusters as error:
        raise UsageError(str(error)) from None


async def _run(fleet: Fleet, ready_file: Path | None, stop: asyncio.Event, hints: Sequence[str]) -> None:
    say = _printer(sys.stdout.isatty())("krake up")

    def write_ready_file() -> None:
        if ready_file is not None:
            try:
                facts = {"api": fleet.api, "etcd_port": fleet.etcd_port, "simulated": fleet.simulated}
                _write(ready_file, {**facts, "kubeconfigs": fleet.kubeconfigs(), "pids": supervisor.pids})
            except OSError as error:
                say(f"The ready file {ready_file} could not be written ({error.strerror}).")

    supervisor = Supervisor(fleet.stages, report=lambda name, what: say(f"{name} {what}."), on_change=write_ready_file)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            write_ready_file()
            say(f"Krake is ready at {fleet.api}. Ctrl-C stops it.")
            for command in fleet.commands():
                say(f"Simulated: {command}")
            for hint in hints:
                say(f"Local: {hint}")
            if hints:
                say("Local clusters go on when Krake stops; delete them beforehand if they are not to.")
            say(f"Objects of files: krake_bootstrap_db --db-port {fleet.etcd_port} FILE")
            await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        _remove(ready_file)
        say("Krake stops.")
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await supervisor.stop()


@contextlib.contextmanager
def _sole_user_of(directory: Path) -> Iterator[None]:
    """Hold the lock of a data directory, which names the process that has it.

    :raises UsageError: another process has it, or it can not be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        opened = (directory / "krake-up.lock").open("a+")
    except OSError as error:
        raise UsageError(f"Nothing can be kept in {directory} ({error.strerror}); choose another --data-dir.") from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UsageError(
                f"Process {holder} runs Krake in {directory} already; stop it or choose another --data-dir."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _check_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"Port {port} can not be used for the API ({error}); choose another --api-port, 0 picks a free one."
            ) from None


def _printer(coloured: bool) -> Callable[[str], Callable[[str], None]]:
    """Return what gives each name a function that prints lines led by the name, in a colour of its own."""
    names: list[str] = []
    coloured = coloured and "NO_COLOR" not in os.environ

    def printer(name: str) -> Callable[[str], None]:
        names.append(name)
        lead = f"{name:<{NAME_WIDTH}} |"
        if coloured:
            lead = f"\x1b[{COLOURS[len(names) % len(COLOURS)]}m{lead}\x1b[0m"
        return lambda line: _print(f"{lead} {line}")

    return printer


def _print(line: str) -> None:
    """Print a line, to nobody if whoever read them is gone: that is no reason to stop."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare(path: Path) -> None:
    """Make sure that a file is not there and can be written.

    :raises UsageError: it can not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(f"The ready file {path} can not be written ({error.strerror}).") from None


def _write(path: Path, content: object) -> None:
    """Write a file so that a reader sees either nothing or all of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def _remove(path: Path | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
