"""Makes volumes equal to those that are served."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import json
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

from .source import Changed, Final, Lost, Source
from .tree import END, IGNORED, PARTIAL, Entry, children, digest_of, read_attributes

WORKERS = 4
PENDING = 1000
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 30.0


class Counter:
    """How many bytes of a volume are here and verified, or on their way."""

    def __init__(self) -> None:
        self.total = 0
        self._verified = 0
        self._partial: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, total: int) -> None:
        with self._lock:
            self.total, self._verified = total, 0

    def reach(self, path: str, received: int, checked: int = 0) -> None:
        """A file counts by half as it arrives, and by the other half as it is checked."""
        with self._lock:
            self._partial[path] = (received + checked) // 2

    def finish(self, path: str, size: int) -> None:
        with self._lock:
            self._partial.pop(path, None)
            self._verified += size

    @property
    def done(self) -> int:
        with self._lock:
            return min(self.total, self._verified + sum(self._partial.values()))


class Volume:
    """One volume here, and the same one there.

    :param attempts: for each file, not counting those that brought something.
    """

    def __init__(self, root: str, source: Source, attempts: int, counter: Counter) -> None:
        self.root, self.source, self.attempts, self.counter = root, source, attempts, counter
        self.partial = os.path.join(root, PARTIAL)

    def fetch(self) -> None:
        """Make it equal, until nothing has changed on the other side meanwhile.

        :raises Final: it can not be done, or the other side can not be reached.
        """
        done, passes = None, 0
        while True:
            with tempfile.TemporaryFile() as listing:
                last = self._list(listing)
                if last["digest"] == done:
                    break
                if passes > self.attempts:
                    raise Final("The volume keeps changing while it is copied; something else writes to it.")
                self.counter.begin(last["size"])
                top = json.loads(listing.readline())
                listing.seek(0)
                self._take(json.loads(line) for line in listing)
            done, passes = last["digest"], passes + 1
        shutil.rmtree(self.partial)
        describe_as(self.root, top)

    def _list(self, listing: IO[bytes]) -> Entry:
        """Keep what is there in a file of ours: the source does not wait until all of it has been dealt with."""
        failures = 0
        while True:
            listing.seek(0)
            listing.truncate()
            digest = hashlib.sha256()
            try:
                last = self._receive_list(listing, digest)
            except Lost as error:
                failures = self._pause(failures, error)
                continue
            if last.get("type") == "all" and last["digest"] == digest.hexdigest():
                listing.seek(0)
                return last
            failures = self._pause(failures, Lost("The list of what is in the volume did not arrive as it was sent."))

    def _receive_list(self, listing: IO[bytes], digest: Any) -> Entry:
        for line in self.source.entries():
            if line.startswith(b'{"type": "all"'):
                last: Entry = json.loads(line)
                return last
            digest.update(line)
            listing.write(line)
        return {}

    def _take(self, entries: Iterator[Entry]) -> None:
        os.makedirs(self.partial, mode=0o700, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            try:
                Pass(self, pool).take(entries)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def fetch_file(self, entry: Entry, usable: bool) -> None:
        """Fetch a file, unless it is here already.

        :param usable: whether what is in its place may be it.
        """
        path, failures = entry["path"], 0
        while True:
            before = self._partial_size(entry)
            try:
                if not (usable and self._is_same(entry)):
                    self._receive(entry)
                break
            except Changed:
                break  # it is listed anew, and fetched or removed then
            except Lost as error:
                gained = self._partial_size(entry) > before
                failures = self._pause(0 if gained else failures, error, path)
        self.counter.finish(path, entry["size"])

    def _pause(self, failures: int, error: Lost, path: str = "") -> int:
        if failures + 1 >= self.attempts:
            raise Final(f"{path}: {error}" if path else str(error)) from error
        time.sleep(min(SHORTEST_PAUSE * 2**failures, LONGEST_PAUSE))
        return failures + 1

    def _is_same(self, entry: Entry) -> bool:
        """Whether a file is here already, as it is there."""
        full = self.full(entry)
        found = os.lstat(full) if os.path.lexists(full) else None
        if (
            found is None
            or not stat.S_ISREG(found.st_mode)
            or found.st_size != entry["size"]
            or found.st_mtime_ns != entry["time"]
        ):
            return False
        if entry["names"] == 1 and found.st_nlink > 1:
            return False  # what is done to it would be done to another one
        for position, _, data in self.source.read(entry["path"], entry["size"]):
            self.counter.reach(entry["path"], position)
            digest = data
        if digest != self._check(full, entry):
            return False
        describe_as(full, entry)
        return True

    def _receive(self, entry: Entry) -> None:
        partial = self._partial_of(entry)
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            digest = self._write(file, entry, os.fstat(file).st_size)
        finally:
            os.close(file)
        if digest != self._check(partial, entry):
            os.unlink(partial)
            raise Lost("What arrived is not what was sent.")
        describe_as(partial, entry)
        self.put(partial, entry)

    def _write(self, file: int, entry: Entry, offset: int) -> bytes:
        for position, length, data in self.source.read(entry["path"], offset):
            if length == END:
                os.ftruncate(file, position)
                return data
            while data:
                written = os.pwrite(file, data, position)
                data, position = data[written:], position + written
            self.counter.reach(entry["path"], position)
        raise Lost("The file was not sent completely.")

    def _check(self, path: str, entry: Entry) -> bytes:
        """Read back what is here."""
        return digest_of(path, lambda checked: self.counter.reach(entry["path"], entry["size"], checked))

    def _partial_of(self, entry: Entry) -> str:
        name = repr([entry["path"], entry["size"], entry["time"], entry["changed"]])
        return os.path.join(self.partial, hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest())

    def _partial_size(self, entry: Entry) -> int:
        try:
            return os.lstat(self._partial_of(entry)).st_size
        except FileNotFoundError:
            return 0

    def full(self, entry: Entry) -> str:
        return os.path.join(self.root, entry["path"])

    def put(self, partial: str, entry: Entry) -> None:
        """Give something that is complete its name."""
        full = self.full(entry)
        if os.path.isdir(full) and not os.path.islink(full):
            shutil.rmtree(full)
        os.replace(partial, full)


class Pass:
    """Goes once through all that is in a volume."""

    def __init__(self, volume: Volume, pool: concurrent.futures.Executor) -> None:
        self.volume, self.pool = volume, pool
        self.folders: list[tuple[Entry, set[str], list[concurrent.futures.Future[None]]]] = []
        self.named: dict[str, concurrent.futures.Future[None]] = {}
        self.claimed: set[int] = set()

    def take(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            self._check(entry)
            if entry["type"] == "end":
                self._leave()
                continue
            if self.folders:
                self.folders[-1][1].add(os.path.basename(entry["path"]))
            if entry["type"] == "folder":
                self._enter(entry)
            elif entry["type"] == "file":
                self._fetch(entry)
            elif entry["type"] == "name":
                self._name(entry)
            else:
                self._make(entry)

    def _check(self, entry: Entry) -> None:
        """Whoever lists what is in a volume leads to nowhere else: each thing is in the folder that was entered last."""
        path = entry["path"]
        inside = self.folders[-1][0]["path"] if self.folders else None
        if entry["type"] == "end" or inside is None:
            allowed = path == (inside or "") and (inside is None) == (entry["type"] == "folder")
        else:
            name = os.path.basename(path)
            ignored = IGNORED if inside == "" else ()
            allowed = path == os.path.join(inside, name) and name not in ("", ".", "..", *ignored)
        if not allowed:
            raise Final(f"The source lists {path!r}, which is not where it says.")

    def _enter(self, entry: Entry) -> None:
        full = self.volume.full(entry)
        if not os.path.isdir(full) or os.path.islink(full):
            if os.path.lexists(full):
                os.unlink(full)
            os.mkdir(full)
        os.chmod(full, stat.S_IMODE(os.lstat(full).st_mode) | 0o700)
        self.folders.append((entry, set(), []))

    def _leave(self) -> None:
        """What is there on no other side goes, and what was done in the folder leaves no trace in its times."""
        entry, names, pending = self.folders.pop()
        for future in pending:
            future.result()
        for name in children(self.volume.root, entry["path"]):
            if name not in names:
                remove(os.path.join(self.volume.full(entry), name))
        describe_as(self.volume.full(entry), entry)

    def _fetch(self, entry: Entry) -> None:
        pending = self.folders[-1][2]
        future = self.pool.submit(self.volume.fetch_file, entry, self._may_be(entry))
        pending.append(future)
        if entry["names"] > 1:
            self.named[entry["path"]] = future
        if len(pending) > PENDING:
            pending.pop(0).result()

    def _may_be(self, entry: Entry) -> bool:
        """Whether what is in the place of a file may be it; not if it is another file of the volume as well."""
        full = self.volume.full(entry)
        if entry["names"] == 1 or not os.path.lexists(full):
            return True
        number = os.lstat(full).st_ino
        if number in self.claimed:
            return False
        self.claimed.add(number)
        return True

    def _name(self, entry: Entry) -> None:
        if entry["of"] in self.named:
            self.named[entry["of"]].result()
        full, original = self.volume.full(entry), os.path.join(self.volume.root, entry["of"])
        if not os.path.lexists(original):
            return  # it has changed, and is listed anew
        if os.path.lexists(full) and os.path.samestat(os.lstat(full), os.lstat(original)):
            return
        partial = os.path.join(self.volume.partial, "name")
        remove(partial)
        os.link(original, partial, follow_symlinks=False)
        self.volume.put(partial, entry)

    def _make(self, entry: Entry) -> None:
        partial = os.path.join(self.volume.partial, "special")
        remove(partial)
        if entry["type"] == "link":
            os.symlink(entry["to"], partial)
        else:
            os.mknod(partial, entry["kind"] | 0o600, entry["device"])
        describe_as(partial, entry)
        self.volume.put(partial, entry)


def remove(path: str) -> None:
    """Remove whatever is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def describe_as(path: str, entry: Entry) -> None:
    """Give a file the owner, mode, attributes and time that it has on the other side."""
    found = os.lstat(path)
    if [found.st_uid, found.st_gid] != entry["owner"]:
        os.chown(path, *entry["owner"], follow_symlinks=False)
    wanted: dict[str, str] = entry.get("attributes", {})
    present = read_attributes(path)
    for name in present.keys() - wanted.keys():
        os.removexattr(path, name, follow_symlinks=False)
    for name, value in wanted.items():
        if present.get(name) != value:
            os.setxattr(path, name, base64.b64decode(value), follow_symlinks=False)
    if entry["type"] != "link":
        os.chmod(path, entry["mode"])
    os.utime(path, ns=(entry["time"], entry["time"]), follow_symlinks=False)
