"""What is in a volume."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Any

PARTIAL = ".krake-volume-copy"
"""The folder in a volume of what is not received completely yet."""
IGNORED = {PARTIAL, "lost+found"}
PIECE = 1 << 20
FRAME = struct.Struct(">QI")
"""How files are sent: where a piece belongs, and how many bytes follow; none is a sign of life."""
END = 0xFFFFFFFF
"""In place of a length: the position is the size of the file, and its SHA-256 follows."""

Entry = dict[str, Any]


def walk(root: str) -> Iterator[Entry]:
    """Yield all that is in a volume: each folder, what is in it, and its end."""
    first: dict[tuple[int, int], str] = {}
    yield describe(root, "", first) or {}
    stack = [("", iter(children(root, "")))]
    while stack:
        folder, names = stack[-1]
        name = next(names, None)
        if name is None:
            yield {"type": "end", "path": folder}
            stack.pop()
            continue
        path = os.path.join(folder, name)
        try:
            entry = describe(root, path, first)
            inside = children(root, path) if entry is not None and entry["type"] == "folder" else None
        except FileNotFoundError:
            continue
        if entry is not None:
            yield entry
        if inside is not None:
            stack.append((path, iter(inside)))


def children(root: str, path: str) -> list[str]:
    names = os.listdir(os.path.join(root, path))
    return sorted(names if path else set(names) - IGNORED)


def describe(root: str, path: str, first: dict[tuple[int, int], str]) -> Entry | None:
    """Return what there is to know of a file; nothing for sockets, which are of no use elsewhere."""
    full = os.path.join(root, path)
    found = os.lstat(full)
    entry: Entry = {"path": path, "mode": stat.S_IMODE(found.st_mode), "owner": [found.st_uid, found.st_gid]}
    entry["time"] = found.st_mtime_ns
    if attributes := read_attributes(full):
        entry["attributes"] = attributes
    if stat.S_ISDIR(found.st_mode):
        return {**entry, "type": "folder"}
    if found.st_nlink > 1:
        original = first.setdefault((found.st_dev, found.st_ino), path)
        if original != path:
            return {"path": path, "type": "name", "of": original}
    if stat.S_ISREG(found.st_mode):
        return {**entry, "type": "file", "size": found.st_size, "changed": found.st_ctime_ns, "names": found.st_nlink}
    if stat.S_ISLNK(found.st_mode):
        return {**entry, "type": "link", "to": os.readlink(full)}
    if stat.S_ISSOCK(found.st_mode):
        return None
    return {**entry, "type": "special", "kind": stat.S_IFMT(found.st_mode), "device": found.st_rdev}


def read_attributes(path: str) -> dict[str, str]:
    """The extended attributes that belong to the data: those of users, and access control lists."""
    try:
        names = [each for each in os.listxattr(path, follow_symlinks=False) if each.startswith(("user.", "system.posix_acl"))]
        return {each: base64.b64encode(os.getxattr(path, each, follow_symlinks=False)).decode() for each in sorted(names)}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):
            return {}
        raise


def pieces(file: int, position: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield where something is written in a file, and what; holes are left out."""
    while position < size:
        try:
            position = os.lseek(file, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # nothing but a hole until the end
            raise
        end = min(os.lseek(file, position, os.SEEK_HOLE), size)
        while position < end:
            data = os.pread(file, min(PIECE, end - position), position)
            if not data:
                return
            yield position, data
            position += len(data)


def digest_of(path: str, reach: Callable[[int], None]) -> bytes:
    """Return the digest of a file; *reach* is told how far it is."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(PIECE):
            digest.update(data)
            reach(file.tell())
    return digest.digest()


def read_text(folder: str, name: str) -> str:
    """Read anew each time: what is mounted into a container may change."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read().strip()
