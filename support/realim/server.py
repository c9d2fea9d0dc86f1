"""Runs in IM's own environment: serves it. Arguments: address port folder [folder-of-the-stand-in]."""

import os
import sys
from pathlib import Path

_QUICKLY = {
    "VM_INFO_UPDATE_FREQUENCY": 0,
    "VM_INFO_UPDATE_ERROR_GRACE_PERIOD": 2,
    "CONFMAMAGER_CHECK_STATE_INTERVAL": 1,
    "DELAY_BETWEEN_VM_RETRIES": 0,
    "MAX_VM_FAILS": 1,
}
"""Seconds, and tries: what a cloud that stands in needs no time for."""


def main() -> None:
    address, port, folder, *stand_in = sys.argv[1:]
    sys.argv = ["im_service"]  # which reads it
    os.chdir(folder)  # it writes a cache into its working directory
    from IM.config import Config

    Config.REST_ADDRESS, Config.REST_PORT = address, int(port)
    Config.LOG_FILE, Config.DATA_DB = os.path.abspath("im.log"), os.path.abspath("im.db")
    if stand_in:
        for name, value in _QUICKLY.items():
            setattr(Config, name, value)
        install_cloud(Path(stand_in[0]))
    from IM.im_service import main as serve

    serve()


def install_cloud(folder: Path) -> None:
    """Let IM find what stands in for an OpenStack: one whose machines are files, or run."""
    import machine_cloud
    import stand_in

    if (network := folder / "network").exists():
        machine_cloud.install(folder, network.read_text())
    else:
        stand_in.install(folder)


if __name__ == "__main__":
    main()
