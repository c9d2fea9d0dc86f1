"""Runs in IM's own environment: an OpenStack as that of ``stand_in``, but for its machines, which run; see ``machines.py``.

IM logs in to them by SSH with a key that it has made for each, and configures them by Ansible. What the playbooks do that it
fetches in production is done by those of ``playbooks``, where the types of the templates name them here.
"""

import socket
import threading
from pathlib import Path
from typing import Any

import stand_in
import yaml
from IM.config import Config
from IM.SSH import SSH
from IM.tosca.Tosca import Tosca
from IM.VirtualMachine import VirtualMachine

_PLAYBOOKS = Path(__file__).with_name("playbooks")
_INTERFACES = _PLAYBOOKS / "interfaces.yaml"
_PRIVATE = 128
"""From this number on, an address is one of the private network."""
_OFTEN = {
    "VM_INFO_UPDATE_FREQUENCY": 1,
    "CHECK_CTXT_PROCESS_INTERVAL": 1,
    "UPDATE_CTXT_LOG_INTERVAL": 1,
}
"""Seconds."""
_NETWORK: str
_launching = threading.Lock()


def install(folder: Path, network: str) -> None:
    """Let IM find this cloud instead of OpenStack.

    :param network: the first three numbers of the addresses of machines.
    """
    global _NETWORK
    _NETWORK = network
    for name, value in _OFTEN.items():
        setattr(Config, name, value)
    Config.PRIVATE_NET_MASKS = [f"{network}.{_PRIVATE}/25"]
    Tosca.ARTIFACTS_PATH = str(_PLAYBOOKS)
    stand_in.install(folder, MachineCloud, _types())


def _types() -> bytes:
    types = yaml.safe_load(stand_in.TYPES.read_text())
    for name, interfaces in yaml.safe_load(_INTERFACES.read_text()).items():
        types["node_types"][name]["interfaces"] = interfaces
    return yaml.safe_dump(types).encode()


class MachineCloud(stand_in.Cloud):
    """Machines have addresses, and the public key of who may log in."""

    def launch(self, inf: Any, radl: Any, requested_radl: Any, num_vm: int, auth_data: Any) -> list[Any]:
        with _launching:  # so that no address is given twice
            return super().launch(inf, radl, requested_radl, num_vm, auth_data)

    def _connect(self, vm: Any) -> dict[str, Any]:
        number = self._free_number()
        public, private = f"{_NETWORK}.{number}", f"{_NETWORK}.{number + _PRIVATE}"
        vm.setIps([public] if vm.hasPublicNet() else [], [private])
        public_key, private_key = SSH.keygen()
        vm.info.systems[0].setUserKeyCredentials("ubuntu", None, private_key)
        return {"number": number, "addresses": [public, private], "key": public_key}

    def _tell(self, vm: Any, machine: dict[str, Any]) -> None:
        booting = vm.state == VirtualMachine.PENDING and machine["state"] == VirtualMachine.RUNNING
        if not booting or _answers(machine["addresses"][0]):
            vm.state = machine["state"]

    def _free_number(self) -> int:
        taken = {machine["number"] for machine in self._machines()}
        return next(number for number in range(1, _PRIVATE - 1) if number not in taken)


def _answers(address: str) -> bool:
    try:
        socket.create_connection((address, 22), 1).close()
    except OSError:
        return False
    return True
