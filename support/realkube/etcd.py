"""The one etcd that holds the state of all control planes started together."""

import urllib.request
from pathlib import Path

from .process import Process, free_port

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Etcd:
    """An etcd on loopback that does not wait for the disk: its data need not survive a power cut."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._process: Process | None = None
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            StartError: It ended, or did not serve within 30 seconds.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        self._process = Process(
            [
                self._binary,
                *("--data-dir", self._folder / "data"),
                *("--listen-client-urls", self.url),
                *("--advertise-client-urls", self.url),
                *("--listen-peer-urls", peer),
                *("--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
                *("--quota-backend-bytes", str(4 << 30)),
                "--unsafe-no-fsync",
            ],
            self._folder / "etcd.log",
        )
        self._process.wait_until(self._healthy, "a healthy /health", 30)

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    @property
    def processes(self) -> list[Process]:
        return [self._process] if self._process else []

    def _healthy(self) -> bool:
        try:
            with _DIRECT.open(f"{self.url}/health", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False
