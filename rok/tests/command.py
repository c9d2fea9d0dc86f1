"""Runs commands: in this process, which is quick, or as a user does."""

import asyncio
import contextlib
import io
import json
import os
import pty
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rok.__main__ import main

LIMIT = 60.0
"""Seconds that a command may take."""


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> dict[str, str]:
        """The rows of a table of one object; lines of a cell are joined by ``/``."""
        found: dict[str, str] = {}
        last = ""
        for line in self.out.splitlines():
            if line.startswith("|"):
                name, value = (part.strip() for part in line.strip("|").split("|", 1))
                last = name or last
                found[last] = value if name else f"{found[last]}/{value}"
        return found

    @property
    def lines(self) -> list[list[str]]:
        """The cells of a table of several objects, without its header."""
        cells = [
            [part.strip() for part in line.strip("|").split("|")] for line in self.out.splitlines() if line.startswith("|")
        ]
        return cells[1:]

    @property
    def json(self) -> Any:
        """What was printed, read as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Rok:
    """Runs commands in *directory*."""

    directory: Path

    def use(self, url: str, **settings: Any) -> None:
        """Write the configuration that leads to an API."""
        self.write("rok.yaml", {"user": "system:admin", **settings, "api_url": url})

    def write(self, name: str, *documents: Any) -> str:
        """Write a YAML file and return its name."""
        (self.directory / name).write_text(yaml.safe_dump_all(documents))
        return name

    async def __call__(self, line: str, *words: str) -> Done:
        """Run a command in this process; *words* may contain spaces."""
        return await asyncio.wait_for(asyncio.to_thread(_run, [*line.split(), *words]), LIMIT)

    async def process(self, line: str, **variables: str) -> Done:
        """Run a command as a process of its own."""
        process = await self.start(line, **variables)
        out, err = await asyncio.wait_for(process.communicate(), LIMIT)
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def start(self, line: str, **variables: str) -> asyncio.subprocess.Process:
        """Start a command as a process of its own."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rok",
            *line.split(),
            cwd=self.directory,
            env=os.environ | variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def on_terminal(self, line: str, typed: str = "") -> Done:
        """Run a command whose input and messages are a terminal, where *typed* is typed when it asks for something."""
        above, below = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "rok", *line.split()),
            cwd=self.directory,
            stdin=below,
            stdout=asyncio.subprocess.PIPE,
            stderr=below,
            start_new_session=True,
        )
        os.close(below)
        try:
            seen, (out, _) = await asyncio.wait_for(
                asyncio.gather(asyncio.to_thread(_watch, above, typed), process.communicate()), LIMIT
            )
        finally:
            if process.returncode is None:
                process.kill()
            os.close(above)
        return Done(process.returncode or 0, out.decode(), seen.replace("\r\n", "\n"))


def _watch(terminal: int, typed: str) -> str:
    """Return what is shown on a terminal until nobody writes there any more."""
    seen = b""
    with contextlib.suppress(OSError):  # which is how the end of a terminal shows
        while chunk := os.read(terminal, 1 << 12):
            seen += chunk
            if typed and seen.endswith(b": "):
                os.write(terminal, f"{typed}\n".encode())
    return seen.decode()


def _run(argv: list[str]) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(status, out.getvalue(), err.getvalue())
