"""What is kept of a cluster: a folder, with what it should be, how it is, and a lock that its keeper holds."""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import marked
from .template import Host

_DROPPED = ".dropped-"
_UNBORN = ".unborn-"


class Occupied(Exception):
    """Others work on the clusters for too long."""


@dataclass(frozen=True)
class Plan:
    """What a cluster should be.

    Attributes:
        mark: By which Krake finds it again.
        port: Of its API server.
        hosts: Its machines; the first one has the control plane.
        version: Counts the changes.
    """

    mark: str
    port: int
    hosts: list[Host]
    version: int = 1


@dataclass(frozen=True)
class Report:
    """How a cluster is, as its keeper says.

    Attributes:
        version: Of the plan that this is about.
        phase: ``creating``, ``configured`` or ``unconfigured``.
        machines: The phase of each by name.
        message: What is wrong.
        complete: Whether the cluster was configured once.
    """

    version: int = 0
    phase: str = "creating"
    machines: dict[str, str] = field(default_factory=dict)
    message: str | None = None
    complete: bool = False


class Folder:
    """The folder of one cluster, named like it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.path / "keeper.log"

    @property
    def plan(self) -> Plan:
        content = json.loads((self.path / "plan.json").read_text())
        return Plan(**content | {"hosts": [Host(**host) for host in content["hosts"]]})

    @plan.setter
    def plan(self, plan: Plan) -> None:
        _write(self.path / "plan.json", dataclasses.asdict(plan))

    @property
    def report(self) -> Report:
        try:
            return Report(**json.loads((self.path / "report.json").read_text()))
        except FileNotFoundError:
            return Report()

    @report.setter
    def report(self, report: Report) -> None:
        _write(self.path / "report.json", dataclasses.asdict(report))

    def create(self, plan: Plan) -> None:
        """Make it, with all or nothing in it."""
        unborn = Folder(self.path.with_name(_UNBORN + self.name))
        unborn.path.mkdir(parents=True, mode=0o700)
        unborn.plan = plan
        unborn.path.rename(self.path)

    def drop(self) -> None:
        """Remove it; if this is interrupted, it is either there or not."""
        dropped = self.path.with_name(_DROPPED + self.name)
        self.path.rename(dropped)
        shutil.rmtree(dropped, ignore_errors=True)

    @property
    def kept(self) -> bool:
        """Whether its keeper lives."""
        lock = self.lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def lock(self) -> int | None:
        """Take the lock that a keeper holds as long as it lives, and return its file descriptor; None if one has it."""
        lock = os.open(self.path / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def kill(self) -> bool:
        """End all processes of the cluster, its keeper first; return whether all have ended."""
        return marked.kill(self.path)


class Folders:
    """The folders of all clusters, below one. Hold :meth:`alone` while working on them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Folder]:
        return (self[path.name] for path in sorted(self._path.iterdir()) if path.is_dir() and not path.name.startswith("."))

    def __getitem__(self, name: str) -> Folder:
        return Folder(self._path / name)

    @contextlib.contextmanager
    def alone(self, limit: float = 10) -> Iterator[None]:
        """Keep all others out for the block, and begin with removing what those left who were killed.

        Raises:
            Occupied: Somebody else has been in for *limit* seconds.
        """
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + limit
        with (self._path / ".lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Occupied(f"Others work on the clusters in {self._path} for more than {limit:g} s.") from None
                    time.sleep(0.02)
            for prefix in (_DROPPED, _UNBORN):
                for left in self._path.glob(f"{prefix}*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of which readers see all or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
