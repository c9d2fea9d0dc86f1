"""Writes lines to a file in a thread of its own, so that a slow or full disk holds up nobody."""

import json
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"
MOST_WAITING = 50_000
"""So many lines wait for a disk that does not take them; what comes then is lost."""

_RETRY = 1.0
_LAST_CHANCE = 5.0
"""Seconds in which `close` tries to get rid of what waits."""
_BATCH = 500


class Sink:
    """A file of JSON lines, written in the order in which they came; it may be moved or removed at any time (log rotation).

    :param path: of the file; ``-`` is the standard output.
    :raises OSError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.lost = 0
        """How many lines could not be written."""
        self.failing = False
        """Whether lines wait because the file cannot be written now."""
        self._path = path
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._rest = b""
        """Of the batch that is being written; a full disk may have taken a part of a line."""
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._descriptor = self._open()
        self._thread = threading.Thread(target=self._run, name=f"sink {path}", daemon=True)
        self._thread.start()

    def write(self, line: Mapping[str, Any]) -> None:
        """Have a line written. Never blocks."""
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(line)
        self._changed.set()

    def close(self) -> None:
        """Write all that waits, for a few seconds at most."""
        self._closed.set()
        self._changed.set()
        self._thread.join(_LAST_CHANCE)
        if self._waiting or self._rest:
            self.lost += len(self._waiting) + self._rest.count(b"\n")
            logger.error("%d lines could not be written to %s and are lost.", self.lost, self._path)

    def _open(self) -> int:
        if self._path == STANDARD_OUTPUT:
            return sys.stdout.fileno()
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _run(self) -> None:
        while self._waiting or self._rest or not self._closed.is_set():
            self._changed.clear()
            if not self._waiting and not self._rest and not self._closed.is_set():
                self._changed.wait()
            try:
                self._write_batch()
                self._recovered()
            except Exception as error:
                self._failed(error)
                if self._closed.wait(_RETRY):
                    return

    def _write_batch(self) -> None:
        if not self._rest:
            taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._rest = "".join(json.dumps(line) + "\n" for line in taken).encode()
        self._follow_rotation()
        while self._rest:
            self._rest = self._rest[os.write(self._descriptor, self._rest) :]

    def _follow_rotation(self) -> None:
        if self._path == STANDARD_OUTPUT:
            return
        try:
            same = os.path.samestat(Path(self._path).stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            same = False
        if not same:
            fresh = self._open()
            os.close(self._descriptor)
            self._descriptor = fresh

    def _failed(self, error: Exception) -> None:
        if not self.failing:
            logger.error("%s cannot be written (%s); requests are served, and their lines wait.", self._path, error)
        self.failing = True

    def _recovered(self) -> None:
        if self.failing:
            logger.warning("%s can be written again; %d lines were lost.", self._path, self.lost)
        self.failing = False
