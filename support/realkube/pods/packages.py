"""The programs that run containers, and what the images are made of: Debian packages, unpacked and not installed.

Unpacked packages start no service, run no script, and cannot get in the way of a Docker or containerd of the machine.
"""

import contextlib
import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from realkube.apt import prepare_apt
from realkube.binaries import NotBuilt, Unavailable
from realkube.cache import cache_folder, only_one, say

NODE = (
    *("containerd", "runc", "containernetworking-plugins", "conntrack", "libseccomp2", "iptables", "libip4tc2", "libip6tc2"),
    *("libxtables12", "libnftnl11", "libmnl0", "libnfnetlink0", "libnetfilter-conntrack3"),
)
BUSYBOX = ("busybox-static",)
PYTHON = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libssl3", "zlib1g"),
    *("libexpat1", "libbz2-1.0", "liblzma5", "libffi8", "libcrypt1", "libuuid1", "libsqlite3-0"),
)
FOLDERS = {"node": NODE, "busybox": BUSYBOX, "python": PYTHON}
_IPTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
_UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/x86_64-linux-gnu/gconv")


@dataclass(frozen=True)
class Packages:
    """The unpacked packages."""

    folder: Path

    @property
    def node(self) -> Path:
        """A root folder with containerd, runc, the network plugins and iptables."""
        return self.folder / "node"

    @property
    def busybox(self) -> Path:
        """The static busybox."""
        return self.folder / "busybox" / "bin" / "busybox"

    @property
    def python(self) -> Path:
        """A root folder with Python 3.11 and its standard library."""
        return self.folder / "python"

    @property
    def environment(self) -> dict[str, str]:
        """What the programs of :attr:`node` need in their environment."""
        libraries = f"{self.node}/usr/lib/{platform.machine()}-linux-gnu"
        programs = ":".join(f"{self.node}/{each}" for each in ("usr/bin", "usr/sbin", "sbin", "bin"))
        return {
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LD_LIBRARY_PATH": f"{libraries}:{self.node}/lib/{platform.machine()}-linux-gnu",
            "XTABLES_LIBDIR": f"{libraries}/xtables",
        }


def find_packages() -> Packages:
    """Return the packages that were unpacked before.

    Raises:
        NotBuilt: They were not.
    """
    folder = _folder()
    if not folder.is_dir():
        raise NotBuilt("containerd and its company are not there; run `support/kubernetes --pods --build-only`.")
    return Packages(folder)


def provide_packages() -> Packages:
    """Like :func:`find_packages`, but download (50 MB) and unpack what is not there.

    Raises:
        Unavailable: They cannot be had; the text says why.
    """
    with contextlib.suppress(NotBuilt):
        return find_packages()
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with only_one(cache / "packages.lock", "unpacking containerd"):
        with contextlib.suppress(NotBuilt):
            return find_packages()
        say(f"Unpacking containerd and its company into {_folder()}, once")
        with tempfile.TemporaryDirectory(prefix="unpacking-", dir=cache) as scratch:
            _unpack(Path(scratch))
            (Path(scratch) / "result").rename(_folder())  # all or nothing
    return find_packages()


def _folder() -> Path:
    recipe = json.dumps([FOLDERS, _IPTABLES, _UNNEEDED, platform.machine()])
    return cache_folder() / f"packages-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _unpack(scratch: Path) -> None:
    apt = prepare_apt(scratch)
    _call(["apt-get", *apt, "update"], scratch)
    for name, packages in FOLDERS.items():
        debs = scratch / f"{name}-debs"
        root = scratch / "result" / name
        for folder in (debs, root):
            folder.mkdir(parents=True)
        _call(["apt-get", *apt, "download", *packages], debs)
        for deb in sorted(debs.glob("*.deb")):
            _call(["dpkg", "-x", str(deb), str(root)], scratch)
        for unneeded in _UNNEEDED:
            shutil.rmtree(root / unneeded, ignore_errors=True)
    for program in _IPTABLES:  # an installation would make these links
        (scratch / "result" / "node" / "usr" / "sbin" / program).symlink_to("xtables-nft-multi")


def _call(argv: list[str], folder: Path) -> None:
    try:
        subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=600, check=True)
    except OSError as error:
        raise Unavailable(f"`{argv[0]}` cannot be run ({error.strerror}); real Pods need Debian 12.") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"`{argv[0]}` did not end within ten minutes; try again when the network is there.") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()[-3:]
        raise Unavailable(f"Debian's packages for real Pods could not be had: {' '.join(said)}") from error
