"""The clusters that applications run on, each with its one connection."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from krake.controller.kubernetes.application.site import Site
from krake.data.kubernetes import Cluster
from krake.data.metadata import Key
from krake.ports.cluster import KubernetesCluster, Unreachable

Connect = Callable[[Mapping[str, Any]], KubernetesCluster]


def fingerprint(cluster: Cluster) -> str:
    """By what the connections to a cluster are told apart: another object, or another kubeconfig."""
    kubeconfig = json.dumps(cluster.spec.kubeconfig, sort_keys=True, default=str)
    return hashlib.sha256(f"{cluster.metadata.uid} {kubeconfig}".encode()).hexdigest()


@dataclass(frozen=True)
class _Entry:
    fingerprint: str
    site: Site


class Sites:
    """Opens connections when they are first needed, and closes them when their cluster goes or gets another kubeconfig.

    :param call: is called with the key of an application that should be looked at.
    """

    def __init__(self, connect: Connect, call: Callable[[Key], None]) -> None:
        self._connect = connect
        self._call = call
        self._entries: dict[Key, _Entry] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for key in list(self._entries):
            self.drop(key)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def open(self, cluster: Cluster) -> Site:
        """Return the site of a cluster that has a kubeconfig.

        :raises Unreachable: its kubeconfig can not be used.
        """
        mark, entry = fingerprint(cluster), self._entries.get(cluster.key)
        if entry is not None and entry.fingerprint == mark:
            return entry.site
        self.drop(cluster.key)
        site = Site(str(cluster.ref), self._connect(cluster.spec.kubeconfig), self._call)
        self._entries[cluster.key] = _Entry(mark, site)
        return site

    def doubt(self, cluster: Cluster) -> None:
        """Ask a cluster at once whether it answers, if there is a connection to it: others say that it does not.

        One that hangs would otherwise be found out only when it has not told anything for long.
        """
        entry = self._entries.get(cluster.key)
        if entry is not None:
            entry.site.lose(Unreachable(f"It is {cluster.status.state.name}."))

    def drop(self, key: Key) -> None:
        """Close the site of a cluster, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            task = asyncio.create_task(entry.site.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def forget(self, owner: str) -> None:
        """Call for an application no more, wherever it was."""
        for entry in self._entries.values():
            entry.site.forget(owner)
