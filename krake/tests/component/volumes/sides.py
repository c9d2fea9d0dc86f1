"""Both sides of a copy as processes on folders of this machine, as they run in the Pods."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from krake.controller.kubernetes.application.volumes import transfer
from krake.controller.kubernetes.application.volumes.credentials import issue

PACKAGE = Path(transfer.__file__).parent.parent


class Sides:
    """A folder with the volume `data` on each side, and what both know each other by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there, self.here = folder / "source" / "data", folder / "target" / "data"
        self.result = folder / "result"
        self.before: list[str] = []
        """What leads the command that fetches."""
        for each in (self.there, self.here, folder / "source-access", folder / "target-access"):
            each.mkdir(parents=True)
        self.issue(folder / "source-access", folder / "target-access")

    def issue(self, *folders: Path) -> None:
        """Give both new credentials."""
        made = issue(datetime.now(UTC))
        for each in folders:
            (each / "token").write_text(made.token)
            (each / "tls.crt").write_text(made.certificate)
            (each / "tls.key").write_text(made.key)

    def tell(self, *ports: int) -> None:
        """Tell the one that fetches where to look."""
        addresses = json.dumps([["127.0.0.1", port] for port in ports])
        (self.folder / "target-access" / "addresses").write_text(addresses)

    @contextmanager
    def serving(self, port: int = 0, package: Path = PACKAGE) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
        """Serve; yields the process and its port."""
        arguments = "serve", str(self.there.parent), str(self.folder / "source-access"), f"--port={port}"
        process = self._start(*arguments, package=package)
        try:
            assert process.stdout is not None
            found = json.loads(process.stdout.readline())["port"]
            self.tell(found)
            yield process, found
        finally:
            process.kill()
            process.communicate()

    def fetching(self, attempts: int = 10) -> "subprocess.Popen[bytes]":
        """Begin to fetch."""
        access = str(self.folder / "target-access")
        arguments = ["fetch", str(self.here.parent), access, f"--attempts={attempts}", f"--result={self.result}"]
        return self._start(*arguments, before=self.before)

    def fetch(self, attempts: int = 10, timeout: float = 60) -> str | None:
        """Fetch until it ends; returns why it failed."""
        process = self.fetching(attempts)
        output, complaints = process.communicate(timeout=timeout)
        assert not complaints, complaints.decode()
        result = json.loads(self.result.read_text())
        assert (process.returncode == 0) is (result["error"] is None), output
        return result["error"]

    def _start(self, *arguments: str, before: Sequence[str] = (), package: Path = PACKAGE) -> "subprocess.Popen[bytes]":
        command = [*before, sys.executable, "-m", "transfer", *arguments]
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(command, cwd=package, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def contents(root: Path) -> dict[str, object]:
    """Everything that counts about what is in a folder; names of the same file share a number."""
    found: dict[str, object] = {}
    numbers: dict[int, int] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in [b"", *files, *(each for each in folders if os.path.islink(os.path.join(folder, each)))]:
            path = os.path.join(folder, name) if name else folder
            status = os.lstat(path)
            kind = os.readlink(path) if os.path.islink(path) else b""
            data = b""
            if os.path.isfile(path) and not kind:
                with open(path, "rb") as file:
                    data = file.read()
            number = numbers.setdefault(status.st_ino, len(numbers)) if name and status.st_nlink > 1 else None
            key = os.path.relpath(path, os.fsencode(root)).decode(errors="surrogateescape")
            found[key] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, kind, data, number)
    return found
