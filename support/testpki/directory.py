"""The files of a public key infrastructure for Krake: which there are, and how they are kept."""

import datetime
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .authority import CLIENT, SERVER, Authority, Pair

LOOPBACK = ("localhost", "127.0.0.1", "::1")
API_SERVER = "system:api-server"
USERS = (
    "system:admin",
    "system:gc",
    "system:scheduler",
    "system:kubernetes-application",
    "system:kubernetes-cluster",
    "system:infrastructure",
    "system:magnum",
)
"""The administrator, and the controllers as the shipped roles name them."""
HOOK_SIGNERS = ("system:complete-signing", "system:shutdown-signing")
"""The authorities with which the application controller issues the certificates of hooks."""
ETCD_SERVER, ETCD_CLIENT = "etcd-server", "etcd-client"

_DECADE = 3650.0
_NAME = re.compile(r"[\w@+-]([\w.:@+ -]*[\w@+-])?")


class Problem(Exception):
    """The files cannot be made or used; the message says which and why."""


class Files(NamedTuple):
    """Where a certificate and its key are."""

    certificate: Path
    key: Path


class Directory:
    """Certificates in a folder, as ``NAME.pem`` with ``NAME-key.pem``; what is there already and still valid is kept.

    :param hosts: under which servers are reached, besides this machine's own loopback.
    :param report: told of each certificate that is made.
    """

    def __init__(
        self, folder: Path, hosts: Sequence[str] = (), days: float = 365, report: Callable[[str], None] = lambda name: None
    ) -> None:
        self.folder = folder
        self._hosts = (*LOOPBACK, *hosts)
        self._days = days
        self._report = report

    def make_all(self) -> None:
        """Make what a whole installation needs. Raises Problem."""
        self.make(API_SERVER)
        for name in USERS:
            self.make(name)
        self.hook_authority()
        self.etcd(ETCD_SERVER)
        self.etcd(ETCD_CLIENT)

    def files(self, name: str) -> Files:
        """Where the certificate and the key of a name are, or would be."""
        return Files(self.folder / f"{name}.pem", self.folder / f"{name}-key.pem")

    def make(self, name: str) -> Files:
        """Make the certificate of a user, or that of the API. Raises Problem."""
        if not _NAME.fullmatch(name) or len(name) > 64:
            raise Problem(f"{name!r} cannot be a user: write 1 to 64 letters, digits and . : @ + - _, also blanks in between.")
        if name in ("ca", "hook-ca", "etcd-ca", ETCD_SERVER, ETCD_CLIENT, *HOOK_SIGNERS):
            raise Problem(f"{name} cannot be a user: its files are those of another part of Krake.")
        server = name == API_SERVER
        return self._pair(
            name,
            lambda: self.authority("ca", "Krake test CA").issue(
                name, [SERVER] if server else [CLIENT], days=self._days, hosts=self._hosts if server else ()
            ),
        )

    def authority(self, name: str, title: str) -> Authority:
        """The authority whose certificate and key have this name. Raises Problem."""
        self._pair(name, lambda: Authority.make(title, _DECADE).pair)
        return Authority(self._read(name))

    def hook_authority(self) -> Authority:
        """The authority of the certificates of hooks; its file names the authorities below it, too. Raises Problem."""
        root = self.authority("hook-ca", "Krake test hook CA")
        for name in HOOK_SIGNERS:
            self._pair(name, lambda name=name: root.make_below(name, _DECADE).pair)  # type: ignore[misc]
        bundle = Pair(root.pair.certificate, root.pair.key, tuple(self._read(name).certificate for name in HOOK_SIGNERS))
        _write(self.files("hook-ca").certificate, bundle.certificate_pem, 0o644)
        return root

    def etcd(self, name: str) -> Files:
        """The certificate of etcd or of its client. It has an authority of its own, or every user could reach the store."""
        purposes = [SERVER, CLIENT] if name == ETCD_SERVER else [CLIENT]
        hosts = self._hosts if name == ETCD_SERVER else ()
        return self._pair(
            name, lambda: self.authority("etcd-ca", "Krake test etcd CA").issue(name, purposes, days=self._days, hosts=hosts)
        )

    def _pair(self, name: str, make: Callable[[], Pair]) -> Files:
        files = self.files(name)
        if not (files.certificate.exists() and files.key.exists() and _is_valid(self._read(name))):
            pair = make()
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(files.key, pair.key_pem, 0o600)
                _write(files.certificate, pair.certificate_pem, 0o644)
            except OSError as error:
                raise Problem(f"{error.filename} cannot be written: {error.strerror}.") from None
            self._report(name)
        return files

    def _read(self, name: str) -> Pair:
        files = self.files(name)
        try:
            return Pair.from_pem(files.certificate.read_bytes(), files.key.read_bytes())
        except (OSError, ValueError) as error:
            raise Problem(f"{files.certificate} and {files.key} cannot be used ({error}); delete them.") from None


def _is_valid(pair: Pair) -> bool:
    return pair.certificate.not_valid_after_utc > datetime.datetime.now(datetime.UTC)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that nobody ever sees half, nor a key with the rights of others."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
