"""Runs in IM's own environment: an OpenStack without machines. Users really log in at its Keystone, as IM does it.

Its machines are files in a folder, ``machines/<id>.json``: ``{"name", "mark", "state", "started"}``. What takes one away
loses the machine, and what writes another state changes it. Other files say how the cloud is, and may be changed at any time:

* ``kubeconfigs/<mark>.yaml``, or else ``kubeconfigs/default.yaml``: what the template of an infrastructure gives out where it
  asks for the ``ansible_output`` of a machine.
* ``faults.json``: ``refuse`` (the text by which new machines are refused), ``boot`` (seconds until a machine runs),
  ``launch`` and ``shutdown`` (seconds that creating and deleting a machine take), ``unconfigured`` (the text by which
  configuring fails), and ``keep`` (the text by which deleting is refused).
"""

import json
import time
import urllib.request
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any

from IM.connectors import OpenStack
from IM.VirtualMachine import VirtualMachine

TYPES = Path(__file__).with_name("types.yaml")
_IMPORTED = "https://raw.githubusercontent.com/grycap/tosca/"
_MACHINES: Path
_FAULTS: Path
_KUBECONFIGS: Path


def install(folder: Path, cloud: type["Cloud"] | None = None, types: bytes | None = None) -> None:
    """Let IM find this cloud instead of OpenStack, and these types instead of those that it can not fetch."""
    global _MACHINES, _FAULTS, _KUBECONFIGS
    _MACHINES, _FAULTS, _KUBECONFIGS = folder / "machines", folder / "faults.json", folder / "kubeconfigs"
    OpenStack.OpenStackCloudConnector = cloud or Cloud
    known = types or TYPES.read_bytes()
    fetch = urllib.request.urlopen

    def fetch_types(url: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(url, str) and url.startswith(_IMPORTED) and url.endswith("/custom_types.yaml"):
            return BytesIO(known)
        return fetch(url, *arguments, **options)

    urllib.request.urlopen = fetch_types


class Cloud(OpenStack.OpenStackCloudConnector):  # type: ignore[misc]
    """Logs in as IM does; all else is made up."""

    def list_images(self, auth_data: Any, filters: Any = None) -> list[dict[str, str]]:
        self._log_in(auth_data)
        return [{"uri": f"ost://{self.cloud.server}/ubuntu", "name": "ubuntu"}]

    def concreteSystem(self, radl_system: Any, auth_data: Any) -> list[Any]:
        system = radl_system.clone()
        system.setValue("disk.0.os.credentials.username", "ubuntu")
        return [system]

    def launch(self, inf: Any, radl: Any, requested_radl: Any, num_vm: int, auth_data: Any) -> list[Any]:
        self._log_in(auth_data)
        return [self._launch(inf, requested_radl) for _ in range(num_vm)]

    def updateVMInfo(self, vm: Any, auth_data: Any) -> tuple[bool, Any]:
        self._log_in(auth_data)
        if (machine := _read(_MACHINES / f"{vm.id}.json")) is None:
            return False, f"Error updating the instance {vm.id}. VM not found."
        self._tell(vm, machine)
        return True, vm

    def _tell(self, vm: Any, machine: dict[str, Any]) -> None:
        """Let IM know what became of a machine."""
        booted = time.time() >= machine["started"] + _fault("boot", 0)
        vm.state = machine["state"] if booted or machine["state"] != "running" else VirtualMachine.PENDING
        if vm.configured is not None:
            vm.configured = not (said := _fault("unconfigured", ""))
            if said and said not in vm.inf.cont_out:
                vm.inf.add_cont_msg(f"Error configuring {machine['name']}: {said}")
        vm.cont_out = _ansible_output(vm.inf)

    def finalize(self, vm: Any, last: bool, auth_data: Any) -> tuple[bool, str]:
        self._log_in(auth_data)
        time.sleep(_fault("shutdown", 0))
        if said := _fault("keep", ""):
            return False, said
        if vm.id:
            (_MACHINES / f"{vm.id}.json").unlink(missing_ok=True)
        return True, ""

    def start(self, vm: Any, auth_data: Any) -> tuple[bool, str]:
        self._log_in(auth_data)
        machine = _read(_MACHINES / f"{vm.id}.json") or {}
        _write(_MACHINES / f"{vm.id}.json", {**machine, "state": "running"})
        return True, ""

    def _launch(self, inf: Any, radl: Any) -> tuple[bool, Any]:
        time.sleep(_fault("launch", 0))
        if said := _fault("refuse", ""):
            return False, said
        vm = VirtualMachine(inf, uuid.uuid4().hex, self.cloud, radl, radl)
        inf.add_vm(vm)
        vm.info.systems[0].setValue("provider.type", self.type)
        vm.info.systems[0].setValue("disk.0.os.credentials.username", "ubuntu")
        machine = {"name": radl.systems[0].name, "mark": _mark_of(inf), "state": "running", "started": time.time()}
        vm.state = VirtualMachine.PENDING
        _write(_MACHINES / f"{vm.id}.json", machine | self._connect(vm))
        return True, vm

    def _connect(self, vm: Any) -> dict[str, Any]:
        """Give a machine its addresses; return what is to be known of it besides."""
        vm.setIps(["198.51.100.1"] if vm.hasPublicNet() else [], ["10.0.0.1"])
        return {}

    def _machines(self) -> list[dict[str, Any]]:
        return [machine for path in _MACHINES.glob("*.json") if (machine := _read(path)) is not None]

    def _log_in(self, auth_data: Any) -> None:
        self.get_driver(auth_data).connection.get_auth_class().authenticate(force=True)


def _ansible_output(inf: Any) -> str:
    """Return what Ansible would have said, had it found the kubeconfig where the outputs of the template look for it."""
    offered = [path for path in (_KUBECONFIGS / f"{_mark_of(inf)}.yaml", _KUBECONFIGS / "default.yaml") if path.exists()]
    template = inf.extra_info.get("TOSCA")
    if not offered or template is None:
        return ""
    said = json.dumps({"changed": False, "msg": offered[0].read_text()})  # as it does; of "msg" alone IM makes JSON
    outputs = template.yaml.get("topology_template", {}).get("outputs", {}).values()
    paths = [path for output in outputs if isinstance(path := _attribute_in(output), list) and "ansible_output" in path[1:2]]
    return "".join(
        f"Launch task: {path[2]}\n\nTASK [{path[4]}] ****\nok: [machine] => {said}\n" for path in paths if len(path) > 4
    )


def _attribute_in(output: Any) -> Any:
    value = output.get("value") if isinstance(output, dict) else None
    return value.get("get_attribute") if isinstance(value, dict) else None


def _mark_of(inf: Any) -> str:
    return str(inf.radl.description.getValue("name")) if inf.radl.description else ""


def _fault(name: str, default: Any) -> Any:
    return (_read(_FAULTS) or {}).get(name, default)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, document: Any) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(document))
    aside.replace(path)
