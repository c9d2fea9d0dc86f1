"""Parts as the supervisor runs them: real processes that end as they like."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from krake.up.parts import CommandPart, PartError, signs
from krake.up.supervisor import Stage, StartError, Supervisor

LIMIT = 90.0

# Writes its pid as ready file into the path it is given, says something and waits.
SERVER = """
import json, os, pathlib, sys, time
path = pathlib.Path(sys.argv[1])
path.with_suffix(".part").write_text(json.dumps({"pid": os.getpid()}))
path.with_suffix(".part").replace(path)
print("Serving.", flush=True)
time.sleep(600)
"""


def part(script: str, ready_file: Path, lines: list[str] | None = None, start_limit: float = LIMIT) -> CommandPart:
    command = [sys.executable, "-I", "-c", script, str(ready_file)]
    print_line = (lines if lines is not None else []).append
    return CommandPart(command, ready=signs(ready_file), print_line=print_line, start_limit=start_limit)


async def test_a_part_that_ends_at_once_tells_its_last_words(tmp_path: Path) -> None:
    lines: list[str] = []
    broken = part("import sys; print('Starting.', flush=True); sys.exit('The port is taken.')", tmp_path / "ready", lines)
    with pytest.raises(PartError, match=r"^it ended with status 1 before it was ready; its last words: The port is taken\.$"):
        await broken.start()
    assert sorted(lines) == ["Starting.", "The port is taken."]


async def test_a_part_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    stuck = part("import time; time.sleep(600)", tmp_path / "ready", start_limit=1.0)
    with pytest.raises(PartError, match="not ready after 1 s"):
        await stuck.start()
    with pytest.raises(ProcessLookupError):
        os.kill(stuck.pid, 0)


async def test_the_start_error_names_the_part(tmp_path: Path) -> None:
    parts = {"good": part(SERVER, tmp_path / "good"), "bad": part("raise SystemExit('No luck.')", tmp_path / "bad")}
    supervisor = Supervisor([Stage(parts)], report=lambda name, what: None)
    with pytest.raises(StartError, match=r"^bad did not start: it ended .*: No luck\.$"):
        await supervisor.start()
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(parts["good"].pid, 0)


async def test_a_ready_file_of_an_earlier_process_counts_for_nothing(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready"
    changed = asyncio.Event()
    reports: list[tuple[str, str]] = []
    supervisor = Supervisor(
        [Stage({"server": part(SERVER, ready_file)})],
        report=lambda name, what: reports.append((name, what)),
        on_change=changed.set,
    )
    await supervisor.start()
    try:
        for _ in range(2):
            changed.clear()
            killed = supervisor.pids["server"]
            os.kill(killed, signal.SIGKILL)
            await asyncio.wait_for(changed.wait(), LIMIT)
            # The file is written by the process, so whoever is told of the change can rely on it.
            assert await signs(ready_file)(supervisor.pids["server"])
            assert not await signs(ready_file)(killed)
    finally:
        await supervisor.stop()
    assert reports == [("server", "was ended by SIGKILL; it is started again"), ("server", "runs again")] * 2
