"""Child processes that cannot outlive this one, and what one needs to start servers on loopback."""

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# The kernel sends a child its "parent died" signal when the THREAD that started it ends. So all children are started
# by this one thread, which lives as long as the process, whichever short-lived thread asks for one.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starts-children")
# Below the range from which the kernel takes ports for outgoing connections, and beside that from which `krake up` takes
# those of its parts: a port stays ours while its server is stopped for a test.
_PORTS = range(20000, 25000)
_given: set[int] = set()


def spawn(start: Callable[[], T]) -> T:
    """Start a child that the kernel is to end together with this process, from whichever thread."""
    return _STARTER.submit(start).result()


class StartError(Exception):
    """A server did not become ready; the text says which, why, and shows the end of its log."""


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of this address of the loopback on which nothing listens now.

    It is given only once, and to no other process of this user before this one ends: its server may need a while to start.
    """
    for port in random.sample(_PORTS, 200):
        if port not in _given:
            with contextlib.suppress(OSError), socket.socket() as probe:
                fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                _given.add(port)
                return port
    raise StartError(f"No free port from {_PORTS.start} to {_PORTS.stop - 1} was found on {address}; stop some servers.")


@cache
def _claims() -> int:
    """A file that is never written or closed: who has locked the byte with the number of a port has been given that port.

    It is the same for all, whatever they have instead of /tmp.
    """
    return os.open(f"/tmp/krake-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


class Process:
    """A running server; its output goes to `log`. It is killed when this process ends, even by SIGKILL."""

    def __init__(self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = Path(argv[0]).name
        self.log = log
        guard = [setpriv, "--pdeathsig", "KILL", "--"] if (setpriv := shutil.which("setpriv")) else []
        command = [*guard, *map(str, argv)]
        self._popen = spawn(lambda: self._spawn(command, {**os.environ, **(env or {})}))

    def _spawn(self, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            # A session of its own: Ctrl-C in the terminal reaches us only, and we stop the children in order.
            return subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def pause(self) -> None:
        """Freeze it: connections to it are accepted by the kernel and never answered."""
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._popen.send_signal(signal.SIGCONT)

    def stop(self, limit: float = 20) -> None:
        """End it, kindly at first and by force after `limit` seconds."""
        self._popen.terminate()
        self.resume()  # a frozen process would never see the signal
        try:
            self._popen.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it by force, at once."""
        self._popen.kill()
        self._popen.wait()

    def wait_until(self, ready: Callable[[], bool], what: str, limit: float) -> None:
        """Wait until `ready()`, at most `limit` seconds.

        Raises:
            StartError: It ended before that, or the time is over.
        """
        deadline = time.monotonic() + limit
        while not ready():
            if not self.alive:
                raise StartError(f"{self.name} ended with status {self._popen.returncode}.{self._last_words()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name}: {what} not seen within {limit:.0f} seconds.{self._last_words()}")
            time.sleep(0.05)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return f" Its log is {self.log}; the last lines:\n" + "\n".join(f"    {line}" for line in lines)
