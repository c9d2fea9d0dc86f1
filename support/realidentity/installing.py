"""Programs that are installed once, into the user's cache."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_LIMIT = 1200
"""Seconds that one step may take."""
_COMPLETE = "complete"


class Unavailable(Exception):
    """A program cannot be had; the text says why and what to do."""


def provide(name: str, version: str, steps: Sequence[Sequence[str]]) -> Path:
    """Return the folder of a program; if it is not installed yet, do so now.

    :param steps: commands, run in the folder.
    :raises Unavailable: a step failed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krake"
    folder = cache / f"{name}-{version}"
    if (folder / _COMPLETE).exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _COMPLETE).exists():  # Another run may have installed it meanwhile.
            _install(folder, f"{name} {version}", steps)
    return folder


def _install(folder: Path, what: str, steps: Sequence[Sequence[str]]) -> None:
    log = folder.with_name(f"{folder.name}.log")
    print(f"Installing {what} into {folder}, once (log: {log}) …", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with log.open("wb") as output:
        for step in steps:
            try:
                subprocess.run(
                    step, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=_LIMIT, check=True
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise Unavailable(f"{what} cannot be installed: {error}. The log is {log}.") from None
    (folder / _COMPLETE).touch()
