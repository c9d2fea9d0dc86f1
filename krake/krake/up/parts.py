"""The parts of Krake as processes: how each is started, when it is ready, and where its log lines go."""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import aiohttp

from krake.up.process import how_it_ended, stop, tethered

_PROBE_INTERVAL = 0.05
_PROBE_LIMIT = 2.0
_STOP_GRACE = 10.0

# Tells whether the process with this id is ready.
Ready = Callable[[int], Awaitable[bool]]


class PartError(Exception):
    """A part did not become ready; the message says why."""


class Part(Protocol):
    """A process that can be started again after it has ended."""

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        ...

    async def start(self) -> None:
        """Start, and return once the part is ready. Raises an exception whose message says why that did not work."""
        ...

    async def wait(self) -> int:
        """Wait until the process ends; return its exit status."""
        ...

    async def stop(self) -> None:
        """End the process, by force if it does not end in time."""
        ...


class CommandPart:
    """A command of which each line of output goes to *print_line*.

    :param defaults: variables that it has unless the environment of this process has them.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: Ready,
        print_line: Callable[[str], None],
        start_limit: float = 60.0,
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        self._defaults = defaults or {}
        self._command = command
        self._ready = ready
        self._print_line = print_line
        self._start_limit = start_limit
        self._process: asyncio.subprocess.Process | None = None
        self._relay: asyncio.Task[None] | None = None
        self._last_words = "nothing"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        # In a session of its own, so that Ctrl-C on the terminal reaches only the supervisor, which stops all parts in order.
        self._process = await asyncio.create_subprocess_exec(
            *tethered(self._command, os.getpid()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self._defaults)
            | os.environ
            | {"PYTHONIOENCODING": "utf-8:backslashreplace"},  # As it is read, whatever the user's terminal has.
            start_new_session=True,
            limit=2**20,
        )
        self._relay = asyncio.create_task(self._relay_output(self._process))
        try:
            await self._wait_until_ready(self._process)
        except BaseException:
            await self.stop()
            raise

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(self._start_limit):
                while not await self._ready(process.pid):
                    if process.returncode is not None:
                        await self.wait()
                        ended = how_it_ended(process.returncode)
                        raise PartError(f"it {ended} before it was ready; its last words: {self._last_words}")
                    await asyncio.sleep(_PROBE_INTERVAL)
        except TimeoutError:
            raise PartError(f"it is not ready after {self._start_limit:.0f} s") from None

    async def _relay_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue  # A line beyond the limit is dropped; what follows is read again.
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_words = text or self._last_words
            self._print_line(text)

    async def wait(self) -> int:
        if self._process is None:
            return 0
        status = await self._process.wait()
        if self._relay is not None:
            # A grandchild may hold the pipe open for longer than the part itself lives.
            await asyncio.wait({self._relay}, timeout=1.0)
            self._relay.cancel()
        return status

    async def stop(self) -> None:
        if self._process is not None:
            await stop(self._process, _STOP_GRACE)
            await self.wait()


def answers(url: str) -> Ready:
    """A readiness check: whether *url* answers 200."""

    async def check(_pid: int) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            timeout = aiohttp.ClientTimeout(total=_PROBE_LIMIT)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
                return response.status == 200
        return False

    return check


def signs(path: Path) -> Ready:
    """A readiness check: whether the process has written its ready file, a JSON object with its `pid`."""

    async def check(pid: int) -> bool:
        try:
            content = json.loads(path.read_bytes())  # noqa: ASYNC240 - a local file; asking a thread would take longer
        except (OSError, ValueError):
            return False
        return bool(content.get("pid") == pid)  # else it is left from a process before this one

    return check
