"""Debian's package of Prometheus, unpacked into the user's cache: nothing is installed, and nobody needs to be root."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from realidentity.installing import Unavailable, provide
from realkube.apt import prepare_apt

_PACKAGE = "prometheus"
_LIMIT = 600
_SUPPORT = Path(__file__).resolve().parent.parent


def find_program() -> Path:
    """Return the program: that of the PATH, or else the one in the cache, which is filled if need be.

    :raises Unavailable: it can not be had.
    """
    if found := shutil.which("prometheus"):
        return Path(found)
    return find_unpacked()


def find_unpacked() -> Path:
    """Return the program in the cache, which is filled if need be.

    :raises Unavailable: it can not be had.
    """
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise Unavailable(f"Prometheus is not on the PATH, and can not be got without {missing[0]}: install it by other means.")
    code = f"import sys; sys.path.insert(0, {str(_SUPPORT)!r}); from realmetrics.package import unpack; unpack()"
    folder = provide("prometheus", "debian", [(sys.executable, "-c", code)])
    return folder / "usr" / "bin" / "prometheus"


def unpack() -> None:
    """Get the package and unpack it into the present folder."""
    folder = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="krake-apt-") as scratch:
        apt = prepare_apt(Path(scratch) / "apt")
        for command in (["apt-get", *apt, "update"], ["apt-get", *apt, "download", _PACKAGE]):
            subprocess.run(command, cwd=scratch, timeout=_LIMIT, check=True)
        for archive in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, folder], timeout=_LIMIT, check=True)
