"""Machines that really run, for the cloud that stands in for an OpenStack: IM configures them by SSH and Ansible.

Each is a root folder of Debian with an SSH server, in namespaces of its own; what it writes is kept in memory. It has addresses
of the loopback, and shares the rest of the network with the machine on which it runs. Which ones there are is what the files of
the `Cloud` say, as with a cloud whose machines are those files only.
"""

import json
import os
import random
import shutil
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realidentity.installing import Unavailable, provide
from realkube.process import Process, StartError
from realopenstack.installing import SUITE, find_mirror

VERSION = "12"
"""That of Debian; change it and the root folder is made anew."""
_SCRIPT = Path(__file__).with_name("machine.sh")
_TOOLS = ("chroot", "debootstrap", "mount", "unshare")
_NAMESPACES = ("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private")
_BOOT = """\
set -e
base=$1 place=$2 kubeconfigs=$3 name=$4 address=$5 other=$6 key=$7
mount -t tmpfs tmpfs "$place"
mkdir "$place/written" "$place/work" "$place/root"
root=$place/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$place/written,workdir=$place/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount --bind "$kubeconfigs" "$root/etc/kubernetes"
mount -o remount,bind,ro "$root/etc/kubernetes"
hostname "$name"
printf '127.0.0.1 localhost\n%s %s\n' "$other" "$name" >"$root/etc/hosts"
mkdir -p "$root/run/sshd" "$root/home/ubuntu/.ssh"
echo "$key" >"$root/home/ubuntu/.ssh/authorized_keys"
chroot "$root" chown -R ubuntu: /home/ubuntu/.ssh
chroot "$root" chmod -R go= /home/ubuntu/.ssh
chroot "$root" /usr/sbin/sshd -D -e -o UsePAM=no -o UseDNS=no -o "ListenAddress=$address" -o "ListenAddress=$other" &
wait $!
"""
"""The shell stays the first process: with it the kernel ends all that is in its namespace, and with that all mounts."""
_INTERVAL = 0.1


def why_not() -> str | None:
    """Return why machines can not be had here, if so."""
    if os.geteuid() != 0:
        return "machines are root folders with namespaces of their own, for which root is needed"
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            return f"`{tool}` is missing, which machines need; install it (on Debian: apt-get install {tool})"
    return None


def install() -> Path:
    """Return the root folder that all machines share; it is made once, in a minute or two, of 900 MB.

    :raises Unavailable: it is not possible here, or failed.
    """
    if reason := why_not():
        raise Unavailable(f"{reason}.")
    return provide("machine", VERSION, [("sh", str(_SCRIPT), SUITE, find_mirror())]) / "root"


class Machines:
    """Starts and ends machines as the files of a cloud say, until it is closed.

    :param cloud: the folder of a `Cloud`, at which no IM has begun yet.
    :raises Unavailable: machines can not be had here.
    """

    def __init__(self, cloud: Path) -> None:
        self._base = install()
        self._cloud = cloud
        self._running: dict[str, Process] = {}
        self._closed = threading.Event()
        if not (network := cloud / "network").exists():  # those that are there already have addresses
            network.write_text(_free_network())
        for name in ("places", "logs"):
            (cloud / name).mkdir(exist_ok=True)
        self._keeper = threading.Thread(target=self._keep, name="keeps-machines")
        self._keeper.start()

    @property
    def collections(self) -> Path:
        """The folder with collections of Ansible, of which IM needs more than it brings along."""
        return self._base / "usr" / "lib" / "python3" / "dist-packages"

    def close(self) -> None:
        """End all machines; nothing is left of them but their logs."""
        self._closed.set()
        self._keeper.join()

    def _keep(self) -> None:
        try:
            while not self._closed.wait(_INTERVAL):
                self._settle()
        finally:
            for id in list(self._running):
                self._end(id)

    def _settle(self) -> None:
        wanted = self._wanted()
        for id in self._running.keys() - wanted.keys():
            self._end(id)
        for id in wanted.keys() - self._running.keys():
            self._running[id] = self._boot(id, wanted[id])

    def _wanted(self) -> Mapping[str, Mapping[str, Any]]:
        documents = {path.stem: _read(path) for path in (self._cloud / "machines").glob("*.json")}
        return {id: document for id, document in documents.items() if document and document["state"] == "running"}

    def _boot(self, id: str, machine: Mapping[str, Any]) -> Process:
        place = self._cloud / "places" / id
        place.mkdir(exist_ok=True)
        words = (self._base, place, self._cloud / "kubeconfigs", machine["name"], *machine["addresses"], machine["key"])
        return Process([*_NAMESPACES, "sh", "-c", _BOOT, "boot", *words], self._cloud / "logs" / f"{id}.log")

    def _end(self, id: str) -> None:
        self._running.pop(id).kill()
        (self._cloud / "places" / id).rmdir()


def _free_network() -> str:
    """Return the first three numbers of addresses where no SSH server is in the way."""
    for _ in range(20):
        network = f"127.{random.randrange(64, 128)}.{random.randrange(256)}"
        with socket.socket() as probe:
            try:
                probe.bind((f"{network}.1", 22))
            except OSError:
                continue
            return network
    raise StartError(
        "The port 22 of this machine's loopback is in use, where the machines need it:"
        " let its SSH server listen on its outer addresses only (ListenAddress)."
    )


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):  # it went meanwhile
        return None
