"""Reads CSAR archives. Nothing is ever written to a disk, and of the archive only the documents that are needed are read."""

import io
import posixpath
import stat
import zipfile
import zlib

from krake.data.tosca import InvalidTemplate

META = "TOSCA-Metadata/TOSCA.meta"
ENTRY_LIMIT = 10_000
SIZE_LIMIT = 4_000_000
"""Bytes that one document, unpacked, may have."""
_ENTRY = "Entry-Definitions"


class Archive:
    """A CSAR archive.

    :raises InvalidTemplate: it is none.
    """

    def __init__(self, content: bytes, what: str) -> None:
        self._what = what
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeError, EOFError):
            raise InvalidTemplate(f"{what} is no CSAR archive: it is not a zip file.") from None
        entries = self._zip.infolist()
        if len(entries) > ENTRY_LIMIT:
            raise InvalidTemplate(f"{what} has more than {ENTRY_LIMIT} files.")
        self._entries = {posixpath.normpath(each.filename): each for each in entries if not each.is_dir()}

    def entry(self) -> str:
        """Return the path of the template: the one that the metadata name, or the only one at the root.

        :raises InvalidTemplate: there is none, or there are several.
        """
        if META in self._entries:
            return self._named()
        found = [path for path in self._entries if "/" not in path and path.endswith((".yaml", ".yml"))]
        if len(found) == 1:
            return found[0]
        count = "no template" if not found else f"{len(found)} templates"
        raise InvalidTemplate(f"{self._what} has {count} at its root; name one in {META} as {_ENTRY}.")

    def _named(self) -> str:
        for line in self.read(META).decode(errors="replace").splitlines():
            key, colon, value = line.partition(":")
            if colon and key.strip() == _ENTRY and value.strip():
                return posixpath.normpath(value.strip())
        raise InvalidTemplate(f"{META} of {self._what} has no {_ENTRY}.")

    def read(self, path: str) -> bytes:
        """Return the content of a file of the archive.

        :raises InvalidTemplate: there is no such file, or it is too large, a link, encrypted or damaged.
        """
        info = self._entries.get(path)
        if info is None:
            raise InvalidTemplate(f"{self._what} has no file {path!r:.200}.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InvalidTemplate(f"{path!r:.200} of {self._what} is a link; put the file itself there.")
        if info.flag_bits & 1:
            raise InvalidTemplate(f"{path!r:.200} of {self._what} is encrypted.")
        try:
            with self._zip.open(info) as file:
                content = file.read(SIZE_LIMIT + 1)
        except (zipfile.BadZipFile, zlib.error, ValueError, OSError, NotImplementedError, RuntimeError, EOFError):
            raise InvalidTemplate(f"{path!r:.200} of {self._what} is damaged, or packed in an unknown way.") from None
        if len(content) > SIZE_LIMIT:
            raise InvalidTemplate(f"{path!r:.200} of {self._what} is larger than {SIZE_LIMIT} bytes.")
        return content
