"""The user's cache: what is got or built once, by one run at a time."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of this user that holds the built binaries, the unpacked packages, the locks and the logs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "krake" / "kubernetes"


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at *path* for the block, after waiting for the run that holds it and does *what*."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"another run (process {lock.read().strip() or '?'}) is {what}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
