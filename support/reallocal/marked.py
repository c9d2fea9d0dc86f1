"""Processes that belong to a cluster: those in whose environment its folder is written.

Unlike a process id in a file, that cannot be out of date, cannot mean a stranger who has got the id meanwhile, and is there
from the first moment of a process, whatever ends its parent.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "KRAKE_LOCAL_CLUSTER"


def find(folder: Path) -> Iterator[int]:
    """Yield the ids of the running processes of the cluster in *folder*, but not of this one."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid() and _belongs(int(name), folder):
            yield int(name)


def kill(folder: Path, limit: float = 10) -> bool:
    """Kill the processes of the cluster in *folder*, and whatever they start meanwhile; return whether all have ended."""
    deadline = time.monotonic() + limit
    while found := list(find(folder)):
        if time.monotonic() > deadline:
            return False
        for pid in found:
            _kill(pid, folder, deadline)
    return True


def _kill(pid: int, folder: Path, deadline: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _belongs(pid, folder):  # asked once more: from now on the handle means this very process
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        finally:
            os.close(handle)


def _belongs(pid: int, folder: Path) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False
    return f"{VARIABLE}={folder}".encode() in variables
