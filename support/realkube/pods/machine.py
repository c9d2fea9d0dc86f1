"""What a machine needs so that containers can run on it, and the control groups that hold them."""

import os
import shutil
import sys
from pathlib import Path

TOOLS = ("ip", "unshare", "nsenter", "setpriv", "mount", "umount")
_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids")
_PREFIX = "krake-pods-"


def why_no_pods() -> str | None:
    """Say why real containers cannot run here; None where they can."""
    if not sys.platform.startswith("linux"):
        return "real Pods run on Linux only"
    if os.geteuid() != 0:
        return "real Pods need root, for their namespaces, mounts and control groups"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"real Pods need {' and '.join(missing)}; install the packages util-linux and iproute2"
    present = {controller for controllers in control_groups() for controller in controllers.split(",")}
    if missing := [controller for controller in _NEEDED if controller not in present]:
        return (
            f"real Pods need control groups of version 1, and this machine lacks {', '.join(missing)} among them"
            " (this kubelet does not know version 2; the kernel's argument systemd.unified_cgroup_hierarchy=0 brings version 1)"
        )
    return None


def control_groups() -> dict[str, Path]:
    """Return the control groups of version 1 in which this process is, by controllers such as ``memory`` or ``cpu,cpuacct``."""
    found = {}
    for line in _MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        name = controllers.removeprefix("name=")
        folder = _GROUPS / name / path.strip("/")
        if name and folder.is_dir():
            found[name] = folder
    return found


def make_control_groups() -> dict[str, Path]:
    """Make a control group below each one that this process is in, and remove what killed runs have left.

    Raises:
        OSError: Not allowed.
    """
    made = {}
    for controllers, home in control_groups().items():
        for stale in home.glob(f"{_PREFIX}*"):
            if not Path("/proc", stale.name.removeprefix(_PREFIX)).exists():
                remove_control_group(stale)
        group = made[controllers] = home / f"{_PREFIX}{os.getpid()}"
        group.mkdir(exist_ok=True)
        if "cpuset" in controllers.split(","):  # a new one has no processors and no memory
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((home / setting).read_text())
            (group / "cgroup.clone_children").write_text("1")
    return made


def remove_control_group(group: Path) -> bool:
    """Remove *group* and all below it unless processes are in there; return whether it is gone."""
    try:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        group.rmdir()
    except FileNotFoundError:
        return not group.exists()
    except OSError:
        return False
    return True


def members(group: Path) -> set[int]:
    """Return the processes in *group* and all below it."""
    found: set[int] = set()
    for listing in (group / "cgroup.procs", *group.rglob("*/cgroup.procs")):
        try:
            found.update(int(number) for number in listing.read_text().split())
        except OSError:
            continue  # just removed
    return found
