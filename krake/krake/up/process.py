"""Child processes that end when they should: on request, and with the process that started them."""

import asyncio
import contextlib
import fcntl
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from functools import cache

# Runs in a fresh interpreter before the command. (Code of our own right after the fork, `preexec_fn`, is no way: it can hang in
# a process that has threads, as gRPC starts them.) 1 is PR_SET_PDEATHSIG, which survives the exec.
_TETHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("The parent process is gone.")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tethered(command: Sequence[str], parent: int) -> list[str]:
    """A command that runs `command` in the same process (same pid) and is killed when its parent process, `parent`, ends.

    Start it from the main thread: to Linux the parent is the thread. On other systems the command is returned as it is.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(parent), *command]


async def stop(process: asyncio.subprocess.Process, grace: float) -> int:
    """Ask the process to end (SIGTERM), kill it if it has not after `grace` seconds; returns its exit status."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(grace):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def how_it_ended(status: int) -> str:
    """Words for the exit status of a process, for example "ended with status 1"."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


_PORTS = range(25_000, 30_000)
"""Below the ports of outgoing connections, and those of nodes of Kubernetes."""
_given: set[int] = set()


def free_port(wanted: int = 0) -> int:
    """A port of the loopback interface that nobody listens on at this moment: the one wanted, or any, but none given before.

    Where any will do, it is given to no other process of this user that asks in this way before this one ends, as who listens
    there may need a while to start, or to start again. And it is not one of those that systems use for outgoing connections:
    the next connection of a part that has started already could take it.

    Raises OSError if the port wanted is taken.
    """
    if wanted:
        return _probe(wanted)
    for port in random.sample(_PORTS, 100):
        if port not in _given:
            with contextlib.suppress(OSError):
                fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                _given.add(_probe(port))
                return port
    return _probe(0)


@cache
def _claims() -> int:
    """A file that is never written or closed: who has locked the byte with the number of a port has been given that port.

    It is the same for all, whatever they have instead of /tmp.
    """
    return os.open(f"/tmp/krake-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _probe(port: int) -> int:
    with socket.socket() as probe:
        # A server that has just ended leaves its port in a state that only this option overlooks.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        found: int = probe.getsockname()[1]
        return found
