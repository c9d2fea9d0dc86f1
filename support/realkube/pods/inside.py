"""The first program in a sandbox: starts the clusters, joins them to the machine, and does what the outside asks.

Each line of standard input is a request in JSON, each line of standard output its answer: ``{}`` or what was asked for, or
``{"error": "why not"}``. The first request is ``start``. At the end of the input everything ends.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from realkube.binaries import Binaries
from realkube.etcd import Etcd
from realkube.process import Process, StartError

from . import images, mounts, registry
from .cluster import PodCluster
from .node_ports import NodePorts
from .packages import Packages
from .relay import Relay


class Inside:
    """What runs in the sandbox."""

    def __init__(self) -> None:
        self._clusters: dict[str, PodCluster] = {}
        self._links: dict[str, asyncio.Event] = {}
        self._processes: list[Process] = []
        self._relay: Relay
        self._tasks: list[asyncio.Task[None]] = []

    async def start(
        self, folder: str, groups: Sequence[str], machine: int, programs: str, etcd: str, packages: str, ports: Sequence[int]
    ) -> dict[str, Any]:
        """Start a cluster for each of *ports*, which are free where the cluster is to be on the machine's loopback."""
        place, unpacked = Path(folder), Packages(Path(packages))
        mounts.prepare(place, groups)
        self._relay = Relay(machine)
        os.environ.update(unpacked.environment)
        await asyncio.to_thread(lambda: registry.serve(images.make_images(unpacked), mounts.GATEWAY))
        binaries = Binaries(Path(programs), Path(etcd), "of the machine")
        store = Etcd(binaries.etcd, place / "etcd")
        await asyncio.to_thread(store.start)
        clusters = [PodCluster(number, port, place, binaries, unpacked, store) for number, port in enumerate(ports, 1)]
        with ThreadPoolExecutor(len(clusters)) as starters:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(starters, cluster.start) for cluster in clusters))
        self._processes = [*store.processes, *(process for cluster in clusters for process in cluster.processes)]
        for cluster in clusters:
            await self._publish(cluster)
        return {"clusters": [_describe(cluster) for cluster in clusters]}

    async def admit(self, port: int) -> None:
        """Let Pods reach a port of the machine's loopback."""
        await self._relay.admit(port)

    async def cut(self, cluster: str, node_only: bool) -> None:
        """Cut a cluster off from its node and, unless that is all, from the machine, whose connections hang."""
        if not node_only:
            self._links[cluster].clear()
        self._clusters[cluster].node.join(False)

    async def heal(self, cluster: str) -> None:
        """Join what was cut."""
        self._clusters[cluster].node.join(True)
        self._links[cluster].set()

    async def check(self) -> dict[str, Any]:
        """Tell which processes have ended by themselves."""
        return {"ended": [f"{process.name} (log: {process.log})" for process in self._processes if not process.alive]}

    async def _publish(self, cluster: PodCluster) -> None:
        link = self._links[cluster.name] = asyncio.Event()
        link.set()
        self._clusters[cluster.name] = cluster
        await self._relay.publish((cluster.address, cluster.port), ("127.0.0.1", cluster.port), link)
        ways = NodePorts(cluster.url, cluster.administrator, self._relay, cluster.address, cluster.node.place.address)
        self._tasks.append(asyncio.create_task(ways.follow(link)))


def _describe(cluster: PodCluster) -> dict[str, str]:
    return {
        "name": cluster.name,
        "kubeconfig_path": str(cluster.kubeconfig_path),
        "address": cluster.address,
        "node_address": cluster.node.place.address,
    }


async def _answer(inside: Inside, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return await getattr(inside, request.pop("do"))(**request) or {}
    except subprocess.CalledProcessError as error:
        return {"error": f"`{' '.join(map(str, error.cmd))}` failed in the sandbox: {error.stderr.strip()}"}
    except (StartError, OSError) as error:
        return {"error": str(error)}


async def _serve() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    inside = Inside()
    while line := await reader.readline():
        print(json.dumps(await _answer(inside, json.loads(line))), flush=True)


def main() -> None:
    """Serve in a child: the first process of a sandbox is heir of all processes whose parents ended, and buries them."""
    if child := os.fork():
        while os.wait()[0] != child:
            continue
        return  # and with the first process all others end
    asyncio.run(_serve())
    os._exit(0)  # the kernel ends all that still runs


if __name__ == "__main__":
    main()
