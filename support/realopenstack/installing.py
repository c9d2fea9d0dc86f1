"""Debian's packages of OpenStack, in a root folder of their own in the user's cache."""

import os
import re
import shutil
import sys
from pathlib import Path

from realidentity.installing import Unavailable, provide
from realkube.apt import SOURCES

VERSION = "26"
"""That of Nova, the version by which OpenStack's own releases are told apart; change it and everything is installed anew."""
SUITE = "bookworm"
_PACKAGES = (
    *("rabbitmq-server", "mariadb-server", "uwsgi", "uwsgi-plugin-python3", "python3-pymysql"),
    *("glance-api", "placement-api", "neutron-server", "magnum-api", "magnum-conductor"),
    *("nova-api", "nova-conductor", "nova-scheduler", "nova-compute"),
)
_TOOLS = ("chroot", "unshare", "mount", "debootstrap")
_MIRROR = "KRAKE_DEBIAN_MIRROR"
_NOTHING_STARTS = "#!/bin/sh\nexit 101\n"
"""Says to the installation of packages that they are to start no services."""


def why_not() -> str | None:
    """Return why OpenStack can not be had on this machine, if so."""
    if os.geteuid() != 0:
        return "OpenStack runs in a root folder and namespaces of its own, for which it needs root"
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            return f"`{tool}` is missing, which OpenStack's root folder needs; install it (on Debian: apt-get install {tool})"
    return None


def install() -> Path:
    """Return the root folder; its installation takes some minutes and 2.5 GB, once.

    :raises Unavailable: it is not possible here, or failed.
    """
    if reason := why_not():
        raise Unavailable(f"{reason}.")
    mirror = find_mirror()
    prepare = (
        "import pathlib; root = pathlib.Path('root'); (root / 'os').mkdir();"
        f"rule = root / 'usr/sbin/policy-rc.d'; rule.write_text({_NOTHING_STARTS!r}); rule.chmod(0o755);"
        "[(root / 'etc' / name).write_text(pathlib.Path('/etc', name).read_text()) for name in ('resolv.conf', 'hosts')]"
    )
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "chroot", "root", "apt-get", "-o", "Acquire::Retries=3")
    return (
        provide(
            "openstack",
            VERSION,
            [
                ("debootstrap", "--variant=minbase", SUITE, "root", mirror),
                (sys.executable, "-c", prepare),
                (*quiet, "update"),
                (*quiet, "install", "--yes", "--no-install-recommends", *_PACKAGES),
                (*quiet, "clean"),
            ],
        )
        / "root"
    )


def find_mirror() -> str:
    if mirror := os.environ.get(_MIRROR):
        return mirror
    for path in SOURCES:
        if path.is_file() and (mirror := mirror_of(path.read_text())):
            return mirror
    raise Unavailable(f"This machine names no mirror of Debian; put the URL of one into {_MIRROR}.")


def mirror_of(sources: str) -> str | None:
    """Return the first mirror of Debian that one of apt's files names, in either of its two languages."""
    found = re.search(r"^(?:URIs:|deb\s+(?:\[[^]]*\]\s*)?)\s*(\S+/debian/?)(?:\s|$)", sources, re.MULTILINE)
    return found[1] if found else None
