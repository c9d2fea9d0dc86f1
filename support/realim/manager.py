"""The Infrastructure Manager, and the cloud that stands in for one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realidentity.installing import provide
from realkube.process import Process, StartError, free_port

from .machines import Machines

VERSION = "2.0.0"
_SERVER = Path(__file__).with_name("server.py")
_START_LIMIT = 60
_NEEDED = (
    *("ansible-core", "apache-libcloud", "defusedxml", "fastapi", "hvac", "lxml", "netaddr", "packaging", "paramiko"),
    *("psutil", "pydantic", "python-multipart", "PyYAML", "RADL", "requests", "requests-cache", "scp", "suds-community"),
    *("tosca-parser", "uvicorn", "xmltodict"),
)
"""What it needs for OpenStack; all that it asks for is four times as much."""


def install() -> Path:
    """Return the folder with IM in a virtual environment; takes half a minute the first time.

    :raises Unavailable: it can not be installed.
    """
    pip = ("environment/bin/python", "-m", "pip", "install", "--quiet")
    return provide(
        "im",
        VERSION,
        [
            (sys.executable, "-m", "venv", "environment"),
            (*pip, "--no-deps", f"IM=={VERSION}"),
            (*pip, *_NEEDED),
        ],
    )


def start(
    folder: Path,
    port: int,
    address: str = "127.0.0.1",
    cloud: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start an IM that keeps its data in a folder, and return it when it answers.

    :param cloud: the folder of a `Cloud` that stands in for every OpenStack; without, IM asks real ones.
    :param environment: more variables.
    :raises StartError: it does not answer.
    """
    python = install() / "environment" / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [python, _SERVER, address, str(port), folder, *([cloud] if cloud else [])]
    process = Process(arguments, folder / "server.log", environment_of(python) | dict(environment or {}))
    process.wait_until(lambda: answers(port), "an answer", _START_LIMIT)
    return process


def start_detached(folder: Path, port: int, limit: float) -> int:
    """Start an IM that outlives this process; return the id of its process, and of its process group, when it answers.

    :param limit: seconds that it may take.
    :raises StartError: it does not answer.
    """
    python = install() / "environment" / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [python, _SERVER, "127.0.0.1", str(port), folder],
            env=os.environ | environment_of(python),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + limit
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise StartError(f"IM does not answer; its log is {log}.")
        time.sleep(0.1)
    return process.pid


def stop_detached(pid: int, limit: float = 10) -> None:
    """End an IM that outlives what has started it; nothing happens if it has ended, and the id is of something else now."""
    with contextlib.suppress(OSError):  # it has ended
        if _is_manager(pid):
            os.killpg(pid, signal.SIGTERM)
        deadline = time.monotonic() + limit
        while _is_manager(pid):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.1)


def _is_manager(pid: int) -> bool:
    return str(_SERVER).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


def environment_of(python: Path) -> dict[str, str]:
    """Return the variables that IM needs: it calls Ansible, which is beside its Python."""
    return {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "PYTHONWARNINGS": "ignore",
    }


def answers(port: int) -> bool:
    """Whether an IM answers on loopback."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(frozen=True)
class Machine:
    """A machine of the cloud that stands in; *mark* is the name of its infrastructure."""

    id: str
    name: str
    mark: str
    state: str


class Cloud:
    """An OpenStack without machines, in a folder; see ``stand_in.py``. Its Keystone is whichever the users log in at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("machines", "kubeconfigs"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def machines(self, mark: str | None = None) -> Sequence[Machine]:
        """Return the machines, those of one infrastructure only if its mark is given."""
        found = []
        for path in sorted((self.folder / "machines").glob("*.json")):
            document = json.loads(path.read_text())
            found.append(Machine(path.stem, document["name"], document["mark"], document["state"]))
        return [each for each in found if mark is None or each.mark == mark]

    def lose(self, machine: Machine) -> None:
        """Let a machine vanish, and nobody be told."""
        self._path_of(machine).unlink()

    def change(self, machine: Machine, state: str) -> None:
        """Let a machine be ``running``, ``stopped`` or ``failed``."""
        document = json.loads(self._path_of(machine).read_text())
        _replace(self._path_of(machine), json.dumps({**document, "state": state}))

    def offer(self, kubeconfig: str, mark: str = "default") -> None:
        """Let templates give out a kubeconfig as what Ansible says: those of one mark, or all that have none of their own."""
        _replace(self.folder / "kubeconfigs" / f"{mark}.yaml", kubeconfig)

    def fail(self, **faults: Any) -> None:
        """Let the cloud have these faults from now on, and no others; see ``stand_in.py``."""
        _replace(self.folder / "faults.json", json.dumps(faults))

    def _path_of(self, machine: Machine) -> Path:
        return self.folder / "machines" / f"{machine.id}.json"


class Manager:
    """A running IM on loopback, with a cloud that stands in for every OpenStack; call `close` at the end.

    :param folder: for its data, its log and its cloud.
    :param with_machines: those of the cloud shall really run, and be configured; see ``machines.py``.
    """

    def __init__(self, folder: Path, *, with_machines: bool = False, port: int | None = None) -> None:
        self.cloud = Cloud(folder / "cloud")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        install()  # before there is anything that would have to be ended if it fails
        self._machines = Machines(self.cloud.folder) if with_machines else None
        try:
            self.process = self._start()
        except BaseException:
            self._end_machines()
            raise

    def restart(self) -> None:
        """Kill it, and start it again on the same port with what it has stored."""
        self.process.kill()
        self.process = self._start()

    def stop(self) -> None:
        """Kill it; `restart` brings it back."""
        self.process.kill()

    def close(self) -> None:
        self.process.kill()  # kindly takes seconds, and there is nothing to keep
        self._end_machines()

    def _start(self) -> Process:
        # Ansible reads the names of modules that IM has not, though it needs them elsewhere only.
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(self._machines.collections)} if self._machines else None
        return start(self._folder / "data", self.port, cloud=self.cloud.folder, environment=environment)

    def _end_machines(self) -> None:
        if self._machines:
            self._machines.close()


def _replace(path: Path, text: str) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text(text)
    aside.replace(path)
