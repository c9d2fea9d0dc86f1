"""What outlives a process that is killed: files that are whole, or not there."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner may read, which at no moment is there in part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


class Shelf:
    """Keeps a JSON document for each thing that a service has made.

    :param directory: where they are; ``None`` keeps nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def documents(self) -> Iterator[Any]:
        """Yield what was put here, as far as it can be read."""
        for path in sorted(self._directory.glob("*.json")) if self._directory is not None else ():
            with suppress(OSError, ValueError):
                yield json.loads(path.read_text())

    def put(self, id: str, document: Any) -> None:
        """Keep a document, instead of an earlier one."""
        if self._directory is not None:
            write_whole(self._directory / f"{id}.json", json.dumps(document, default=str))

    def drop(self, id: str) -> None:
        """Keep nothing of something any more."""
        if self._directory is not None:
            (self._directory / f"{id}.json").unlink(missing_ok=True)
