"""The sandbox's own view of the machine: its files are read-only but for one folder, its network is empty."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

BRIDGE = "krake0"
GATEWAY = "10.200.0.1"
MACHINE = "10.200.0.254"
"""Address at which Pods reach what the machine lets them reach."""


def address_of(number: int) -> str:
    """Where a cluster is on the machine's loopback: not 127.0.0.1, as others may use the same ports there."""
    return f"127.10.0.{number}"


# kubelet writes these for the whole machine unless they have the value it wants; so it is shown that value.
_WANTED = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# Folders whose paths Kubernetes does not let us choose, such as /var/log/pods.
_SHADOWED = ("/var/lib", "/var/log", "/tmp")


def prepare(folder: Path, controllers: Iterable[str]) -> None:
    """Make the view; *folder* is where everything may be written. To be called once, in new namespaces.

    Raises:
        subprocess.CalledProcessError: A mount or a network command was refused.
    """
    call("mount", "--make-rprivate", "/")
    _mount_run(folder)
    _mount_control_groups(controllers)
    _shadow(folder)
    _show_wanted_settings()
    call("mount", "-o", "remount,bind,ro", "/")
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", BRIDGE, "type", "bridge")
    for address in (GATEWAY, MACHINE):
        call("ip", "address", "add", f"{address}/24", "dev", BRIDGE)
    call("ip", "link", "set", BRIDGE, "up")
    # What is meant for the world is refused at once.
    call("ip", "route", "add", "unreachable", "default")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def call(*argv: str | Path) -> None:
    """Run a command that ends soon."""
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def mount_empty(*paths: str) -> None:
    """Mount a fresh file system in memory on each of the folders."""
    for path in paths:
        Path(path).mkdir(parents=True, exist_ok=True)
        call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)


def _mount_run(folder: Path) -> None:
    call("mount", "--bind", folder, folder)  # a mount of its own: it stays writable
    mount_empty("/run")


def _mount_control_groups(controllers: Iterable[str]) -> None:
    call("umount", "-l", "/sys/fs/cgroup")
    call("mount", "-t", "sysfs", "sysfs", "/sys")
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for controller in controllers:
        place = Path("/sys/fs/cgroup", controller)
        place.mkdir()
        call("mount", "-t", "cgroup", "-o", "none,name=systemd" if controller == "systemd" else controller, "cgroup", place)


def _shadow(folder: Path) -> None:
    """Lay an empty layer over folders: what is written there is seen in the sandbox only, and goes with it."""
    kept = Path("/run/kept")
    kept.mkdir()
    call("mount", "--bind", folder, kept)
    for number, path in enumerate(_SHADOWED):
        upper, work = Path(f"/run/shadow/{number}/upper"), Path(f"/run/shadow/{number}/work")
        for each in (upper, work):
            each.mkdir(parents=True)
        call("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", path)
    call("mount", "--bind", kept, folder)  # it may be in one of them


def _show_wanted_settings() -> None:
    shown = Path("/run/settings")
    shown.mkdir()
    for setting, value in _WANTED.items():
        file = shown / setting.replace("/", "-")
        file.write_text(f"{value}\n")
        call("mount", "--bind", file, Path("/proc/sys", setting))
