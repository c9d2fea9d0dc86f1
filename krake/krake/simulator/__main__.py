"""`python3 -m krake.simulator`: simulated Kubernetes clusters, and clouds to make them on, until they are interrupted."""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from krake.simulator.keeping import write_whole
from krake.simulator.kubernetes import Settings, SimulatedCluster, SimulatedClusters
from krake.simulator.landscape import PORT, Landscape
from krake.simulator.ports import is_free


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m krake.simulator",
        description="Serves simulated Kubernetes clusters and clouds on loopback; no container and no machine runs in them.",
    )
    parser.add_argument("--clusters", type=int, default=1, metavar="N", help="how many clusters (default: 1)")
    parser.add_argument(
        "--dir", type=Path, required=True, help="directory for one kubeconfig per cluster; those of an earlier run stay valid"
    )
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="nodes per cluster (default: 1)")
    parser.add_argument("--start-delay", type=float, default=0.1, metavar="SECONDS", help="until a Pod is ready")
    parser.add_argument(
        "--clouds", type=int, default=0, metavar="N", help="how many OpenStack clouds; with an Infrastructure Manager for them"
    )
    parser.add_argument(
        "--im-port",
        type=int,
        default=PORT,
        metavar="PORT",
        help=f"of the Infrastructure Manager, if it is free (default: {PORT})",
    )
    parser.add_argument(
        "--creation-time",
        type=float,
        default=6.0,
        metavar="SECONDS",
        help="until a new cluster of a cloud is there (default: 6)",
    )
    parser.add_argument("--ready-file", type=Path, help="is written once all answers: JSON about it")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    settings = Settings(nodes=options.nodes, start_delay=options.start_delay)
    simulated = SimulatedClusters(options.clusters, settings)
    for cluster in simulated:
        resume(cluster, options.dir / f"{cluster.name}.yaml")
    async with simulated as clusters, _clouds(options, settings) as landscape:
        paths = write_kubeconfigs(clusters, options.dir)
        for name, path in paths.items():
            print(f"simulated cluster {name}: {clusters[name].url}, kubeconfig {path}", flush=True)
        described = {} if landscape is None else landscape.describe()
        for each in [described["provider"], *described["clouds"]] if described else ():
            print(f"simulated {each.get('name', 'infrastructure manager')}: {each['url']}", flush=True)
        if options.ready_file is not None:
            write_ready_file(options.ready_file, clusters, paths, described)
        await stopped.wait()


def _clouds(options: argparse.Namespace, settings: Settings) -> AbstractAsyncContextManager[Landscape | None]:
    if not options.clouds:
        return nullcontext()
    return Landscape(
        options.clouds,
        options.dir / "clouds",
        creation_time=options.creation_time,
        port=options.im_port,
        clusters=settings,
    )


def resume(cluster: SimulatedCluster, path: Path) -> None:
    """Let the cluster be reached as the kubeconfig of an earlier run says, if there is one and its port is free.

    So nobody who registered the cluster then has to do it again.
    """
    try:
        content = yaml.safe_load(path.read_text())
        port = urlsplit(content["clusters"][0]["cluster"]["server"]).port
        token = str(content["users"][0]["user"]["token"])
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        return
    if port is not None and is_free(port):
        cluster.resume(port, token)


def write_kubeconfigs(clusters: SimulatedClusters, directory: Path) -> dict[str, Path]:
    """Write `<name>.yaml` for each cluster, readable by its owner only; returns the paths by name."""
    paths = {}
    for cluster in clusters:
        path = (directory / f"{cluster.name}.yaml").absolute()
        write_whole(path, cluster.kubeconfig_text())
        paths[cluster.name] = path
    return paths


def write_ready_file(path: Path, clusters: SimulatedClusters, paths: dict[str, Path], clouds: Mapping[str, Any]) -> None:
    """Tell whoever waits for the file what there is."""
    document = {
        "pid": os.getpid(),
        "clusters": [
            {"name": cluster.name, "url": cluster.url, "kubeconfig": str(paths[cluster.name])} for cluster in clusters
        ],
        **clouds,
    }
    write_whole(path, json.dumps(document, indent=2) + "\n")


def main() -> None:
    options = parse_arguments()
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
