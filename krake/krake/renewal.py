"""What is made of files, and made anew when they change: certificates, keys and tokens are replaced while a process runs."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

Stamp = tuple[tuple[int, int, int] | None, ...]

log = logging.getLogger(__name__)


class Renewed(Generic[T]):
    """A value made of files.

    The files are looked at whenever the value is asked for, but at most once in *interval* seconds. While they cannot be used,
    for example because only one of two was replaced yet, the value stays as it was.

    :param make: reads the files. Raises ValueError if they cannot be used; so does the constructor then.
    """

    def __init__(self, paths: Sequence[str], make: Callable[[], T], interval: float = 1.0) -> None:
        self._paths = [Path(path) for path in paths if path]
        self._make = make
        self._interval = interval
        self._looked = time.monotonic()
        # Taken before reading: what changes meanwhile is read once more.
        self._stamp = self._look()
        self._value = make()

    @property
    def value(self) -> T:
        now = time.monotonic()
        if now - self._looked >= self._interval:
            self._looked = now
            self._renew()
        return self._value

    def _renew(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._value = self._make()
        except ValueError as error:
            log.error("Changed files cannot be used, so that what they held before stays in use: %s", error)
        else:
            log.info("Read anew: %s.", ", ".join(map(str, self._paths)))

    def _look(self) -> Stamp:
        return tuple(_stamp_of(path) for path in self._paths)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
