"""Follows the nodes of one cluster, for as long as it is registered, through all its outages."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from typing import Any

from krake.controller.kubernetes.cluster.condition import Observation
from krake.data.metadata import Reason, ReasonCode
from krake.lib.backoff import Backoff
from krake.ports.cluster import Changed, ClusterError, KubernetesCluster, Listed, Object, Unreachable, WatchEvent

Connect = Callable[[Mapping[str, Any]], KubernetesCluster]

ATTEMPTS = Backoff(0.5, 15.0)
SECOND_TRY = 0.2
"""Seconds after which a cluster that was lost is tried once more before it counts as lost."""
SETTLE = 1.0
"""Seconds that a cluster that is back must stay before it is believed."""


class NodeWatch:
    """What is known of the nodes of a cluster.

    :param call: is called whenever something changed.
    """

    def __init__(self, kubeconfig: Mapping[str, Any], connect: Connect, call: Callable[[], None]) -> None:
        self.seen: Observation | None = None
        """What was seen last; ``None`` until anything was."""
        self._kubeconfig = kubeconfig
        self._connect = connect
        self._call = call
        self._nodes: dict[str, Object] = {}
        self._failures = 0
        self._task = asyncio.create_task(self._run(), name="watch-nodes")

    async def close(self) -> None:
        """Stop watching."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            connection = self._connect(self._kubeconfig)
        except Unreachable as error:
            self._lose(error)
            return  # another kubeconfig makes another watch
        try:
            while True:
                try:
                    await self._follow(connection)
                except ClusterError as error:
                    await self._fail(error)
        finally:
            await connection.close()

    async def _follow(self, connection: KubernetesCluster) -> None:
        async with contextlib.aclosing(connection.watch_nodes()) as events:
            settling: asyncio.TimerHandle | None = None
            try:
                async for event in events:
                    self._take(event)
                    back = self.seen is not None and (self.seen.nodes is None or not self.seen.settled)
                    self._tell(Observation(tuple(self._nodes.values()), settled=not back))
                    if back and settling is None:
                        settling = asyncio.get_running_loop().call_later(SETTLE, self._settle)
                    elif not back:
                        self._failures = 0
            finally:
                if settling is not None:
                    settling.cancel()

    def _take(self, event: WatchEvent) -> None:
        if isinstance(event, Listed):
            self._nodes = {obj["metadata"]["name"]: obj for obj in event.objects}
        elif isinstance(event, Changed):
            self._nodes[event.object["metadata"]["name"]] = event.object
        else:
            self._nodes.pop(event.object["metadata"]["name"], None)

    def _settle(self) -> None:
        self._failures = 0
        self._tell(Observation(tuple(self._nodes.values())))

    async def _fail(self, error: ClusterError) -> None:
        self._failures += 1
        was_there = self.seen is not None and self.seen.nodes is not None
        if was_there and self._failures == 1:
            await asyncio.sleep(SECOND_TRY)
            return
        self._lose(error)
        await asyncio.sleep(ATTEMPTS.delay(self._failures, random.uniform(0.5, 1.0)))

    def _lose(self, error: ClusterError) -> None:
        unreachable = isinstance(error, Unreachable)
        code = ReasonCode.CLUSTER_NOT_REACHABLE if unreachable else ReasonCode.KUBERNETES_ERROR
        self._tell(Observation(None, Reason(code=code, message=str(error))))

    def _tell(self, seen: Observation) -> None:
        if seen != self.seen:
            self.seen = seen
            self._call()
