"""Programs in the root folder, each in namespaces of its own: what it starts ends with it, and the root folder stays intact."""

import contextlib
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from realkube.process import Process, StartError

HOME = "/os"
"""Where the programs find the folder of the run."""
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
_ENTER = """\
set -e
root=$1 run=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$run" "$root/os"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
chroot "$root" env HOME=/os LC_ALL=C.UTF-8 PYTHONPATH=/os/plugins PYTHONDONTWRITEBYTECODE=1 "$@" &
wait $!
"""
"""The shell stays: with it the kernel ends all that is in its namespace. A program that changes its user would outlive us."""


class Sandbox:
    """Runs programs of the root folder.

    :param run: the folder of the run, for all that they write.
    """

    def __init__(self, root: Path, run: Path) -> None:
        self._enter = [*_NAMESPACES, "sh", "-c", _ENTER, "enter", str(root), str(run)]
        self._logs = run / "log"
        self._processes: list[Process] = []
        self._logs.mkdir(parents=True)

    def start(self, name: str, *argv: str) -> Process:
        """Start a server; words like ``NAME=value`` before the program set its environment."""
        process = Process([*self._enter, *argv], self._logs / f"{name}.out")
        process.name = name
        self._processes.append(process)
        return process

    def call(self, name: str, *commands: Sequence[str], limit: float = 300) -> None:
        """Run programs one after the other, each to its end, within so many seconds.

        :raises StartError: one failed or took too long.
        """
        log = self._logs / f"{name}.out"
        for command in commands:
            try:
                with log.open("ab") as output:
                    words = [*self._enter, *command]
                    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=limit, check=True)
            except subprocess.SubprocessError:
                raise StartError(f"`{' '.join(command)}` did not succeed within {limit:.0f} s; its log is {log}.") from None

    @property
    def ended(self) -> str | None:
        """The name of a server that has ended by itself."""
        return next((process.name for process in self._processes if not process.alive), None)

    def stop(self) -> None:
        """End all servers, by force: nothing that they wrote is needed again."""
        with ThreadPoolExecutor(max(len(self._processes), 1)) as pool:
            list(pool.map(_kill, self._processes))


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
