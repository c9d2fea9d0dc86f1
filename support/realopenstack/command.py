"""The command line of `support/openstack`."""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from realidentity.installing import Unavailable
from realidentity.keystone import environment_of
from realkube.process import StartError

from .contents import CLUSTER_IMAGE, FLAVOR, IMAGE
from .installing import SUITE, install
from .services import OpenStack

_DESCRIPTION = f"""\
A real OpenStack on 127.0.0.1, to try clouds with: Keystone, Glance, Placement, Neutron, Nova and Magnum of Debian {SUITE}.

Its machines are only pretended: they become ACTIVE and have addresses, and nothing answers there. So do the clusters of
Magnum. It needs root, for a root folder and namespaces of its own; the installation takes some minutes and 2 GB in your
cache folder, once; a start takes a minute or two and 2.5 GB of memory. What is in it is forgotten when it stops.

  start    start it in the background, wait until it is ready, and print the variables for OpenStack's own commands
  status   print them again, if it runs
  stop     stop it
  run      start it and stay until Ctrl-C
  install  only install what is missing
"""
_STOP_LIMIT = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        "support/openstack", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {"start": _start, "status": _status, "stop": _stop, "run": _run, "install": install}
    parser.add_argument("command", choices=commands)
    command = parser.parse_args(arguments).command
    _stop_on_signals()
    try:
        commands[command]()
    except (Unavailable, StartError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _start() -> None:
    if _pid() is None:
        install()
        _folder().mkdir(parents=True, exist_ok=True)
        log = _folder() / "log"
        with log.open("wb") as output:
            words = [sys.executable, sys.argv[0], "run"]
            server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        _say("Starting OpenStack, which takes a minute or two …")
        while not _variables().exists() or _pid() is None:
            if server.poll() is not None:
                raise StartError(f"OpenStack did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.2)
    _status()


def _status() -> None:
    if _pid() is None:
        raise StartError("OpenStack does not run; `support/openstack start` starts it.")
    if not _variables().exists():
        raise StartError("OpenStack is starting or stopping; ask again soon.")
    print(_variables().read_text(), end="", flush=True)


def _stop() -> None:
    if (pid := _pid()) is None:
        _say("OpenStack does not run.")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_LIMIT
    while _pid() is not None:
        if time.monotonic() > deadline:
            raise StartError(f"OpenStack (process {pid}) has not stopped within {_STOP_LIMIT} seconds.")
        time.sleep(0.1)


def _run() -> None:
    with _only_one():
        run = _folder() / "run"
        shutil.rmtree(run, ignore_errors=True)
        try:
            with contextlib.closing(OpenStack(run)) as running:
                _variables().write_text(_exports(running))
                _status()
                _say(f"Ready; images {IMAGE!r} and {CLUSTER_IMAGE!r}, flavor {FLAVOR!r}, networks 'machines' and 'public'.")
                _say(f"Magnum's template is {running.contents.template}.")
                _say("For tests on loopback only: its passwords are known to everybody.")
                while running.ended is None:
                    time.sleep(0.5)
                raise StartError(f"{running.ended} ended by itself, so all is stopped now; its log is in {run / 'log'}.")
        finally:
            _variables().unlink(missing_ok=True)


def _exports(running: OpenStack) -> str:
    variables = {**environment_of(running.keystone), "OS_REGION_NAME": "RegionOne"}
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Hold the lock that says who runs."""
    _folder().mkdir(parents=True, exist_ok=True)
    with _lock().open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError("OpenStack runs already; `support/openstack stop` stops it.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _pid() -> int | None:
    """The process that runs OpenStack, if one does."""
    with contextlib.suppress(FileNotFoundError), _lock().open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or "0") or None
    return None


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krake" / "openstack-running"


def _lock() -> Path:
    return _folder() / "lock"


def _variables() -> Path:
    return _folder() / "variables"


def _stop_on_signals() -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # INT too: a shell starts background jobs with it ignored
        signal.signal(number, interrupt)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
