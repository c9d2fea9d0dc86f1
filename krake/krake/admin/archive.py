"""The file of a backup: compressed lines of JSON, of which the first one tells what it is and the last one that it is whole.

Between them is one line for each entry of the store, ``{"key": …, "value": …}``; a value that is no text is in ``base64``.
"""

import base64
import contextlib
import gzip
import hashlib
import json
import os
import typing
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

FORMAT = "krake-backup"
VERSION = 1
_LONGEST_LINE = 64 * 2**20


class Damaged(Exception):
    """The file is no whole backup, or one that this version of Krake does not know; the message says why."""


@dataclass(frozen=True)
class Header:
    """What is in a backup."""

    krake: str
    schema: int
    """Of the objects."""
    revision: int
    """Of the store, whose state at that moment this is."""
    created: str


@dataclass(frozen=True)
class Archive:
    """A backup that was read to its end and found whole."""

    path: Path
    header: Header
    keys: frozenset[str]
    digest: str

    def entries(self) -> Iterator[tuple[str, bytes]]:
        """Yield keys and values, in the order in which they were stored. Raises Damaged if the file has changed."""
        with _opened(self.path) as file:
            lines = _lines(file)
            digest = hashlib.sha256(next(lines, b""))
            for line in lines:
                entry = _decode(line)
                if "key" not in entry:
                    break
                digest.update(line)
                yield _read_entry(entry)
        if digest.hexdigest() != self.digest:
            raise Damaged(f"{self.path} has been changed meanwhile.")


class ArchiveWriter:
    """Writes a file that is there only when it is whole. Raises OSError."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._header = header
        self.count = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> "ArchiveWriter":
        # What is sealed in the store is sealed here as well; what is not sealed there is for its owner only.
        self._partial.unlink(missing_ok=True)
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._raw = os.fdopen(descriptor, "wb")
        self._file = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=6)
        line = _encode({"format": FORMAT, "version": VERSION, **asdict(self._header)})
        self._digest.update(line)
        self._file.write(line)
        return self

    def add(self, key: str, value: bytes) -> None:
        """Write an entry."""
        entry = {"key": key}
        try:
            entry["value"] = value.decode()
        except UnicodeDecodeError:
            entry["base64"] = base64.b64encode(value).decode()
        line = _encode(entry)
        self._digest.update(line)
        self._file.write(line)
        self.count += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                self._file.write(_encode({"count": self.count, "sha256": self._digest.hexdigest()}))
                self._file.close()
                self._raw.flush()
                os.fsync(self._raw.fileno())
                self._partial.replace(self._path)
                _sync_folder(self._path.parent)
        finally:
            self._raw.close()
            with contextlib.suppress(OSError):
                self._partial.unlink(missing_ok=True)


def read_archive(path: Path) -> Archive:
    """Read a file to its end.

    :raises Damaged: it is not a whole backup.
    :raises OSError: it can not be read.
    """
    with _opened(path) as file:
        lines = _lines(file)
        first = next(lines, b"")
        header = _read_header(path, first)
        keys: set[str] = set()
        digest = hashlib.sha256(first)
        for count, line in enumerate(lines):
            entry = _decode(line)
            if "key" not in entry:
                if (entry.get("count"), entry.get("sha256")) != (count, digest.hexdigest()) or len(keys) != count:
                    raise Damaged(f"{path} is damaged: its content is not what was written.")
                if next(lines, None) is not None:
                    raise Damaged(f"{path} is damaged: something follows its end.")
                return Archive(path, header, frozenset(keys), digest.hexdigest())
            keys.add(_read_entry(entry)[0])
            digest.update(line)
    raise Damaged(f"{path} is not whole: its end is missing.")


def _read_header(path: Path, line: bytes) -> Header:
    told = _decode(line) if line else {}
    if told.get("format") != FORMAT:
        raise Damaged(f"{path} is no backup of Krake.")
    if told.get("version") != VERSION:
        raise Damaged(
            f"{path} has version {told.get('version')} of the format of backups; this version of Krake knows {VERSION} only."
        )
    try:
        return Header(str(told["krake"]), int(told["schema"]), int(told["revision"]), str(told["created"]))
    except (KeyError, TypeError, ValueError):
        raise Damaged(f"{path} is damaged: it does not tell what it holds.") from None


def _read_entry(entry: dict[str, Any]) -> tuple[str, bytes]:
    try:
        value = entry["value"].encode() if "value" in entry else base64.b64decode(entry["base64"], validate=True)
        return str(entry["key"]), value
    except (KeyError, ValueError, AttributeError, TypeError):
        raise Damaged("The backup is damaged: an entry is none.") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path, "rb") as file:
            yield typing.cast(IO[bytes], file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged(f"{path} is damaged, or no backup at all: {error}") from None


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_LONGEST_LINE):
        yield line


def _encode(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _decode(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not line.endswith(b"\n"):
        raise Damaged("The backup is damaged: a line is not what was written.")
    return told


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
