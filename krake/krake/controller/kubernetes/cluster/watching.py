"""Follows one cluster, for as long as it is registered, through all its outages."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from krake.controller.kubernetes.cluster.capacity import Requests
from krake.controller.kubernetes.cluster.condition import Observation, Outage, explain_error, judge
from krake.controller.kubernetes.cluster.retrying import Retrying
from krake.controller.kubernetes.cluster.steadiness import Steady
from krake.data.kubernetes import ClusterState
from krake.ports.cluster import Changed, ClusterError, KubernetesCluster, Listed, Object, Rejected, Unreachable, WatchEvent

log = logging.getLogger(__name__)

Connect = Callable[[Mapping[str, Any]], KubernetesCluster]

PODS_AGAIN = 30.0
"""Seconds until the Pods are watched again, if the cluster does not let that happen."""


@dataclass(frozen=True)
class Pace:
    """How fast is told what was seen; in seconds.

    :param patience: that a change for the better or the worse must last before it counts.
    :param report: that what does not change the state of the cluster is gathered.
    """

    patience: float
    report: float


class ClusterWatch:
    """What is known of a cluster.

    :param call: is called whenever `seen` has changed.
    :param state: of the cluster, as it was believed last.
    """

    def __init__(
        self,
        kubeconfig: Mapping[str, Any],
        connect: Connect,
        call: Callable[[], None],
        pace: Pace,
        retrying: Retrying,
        state: ClusterState,
    ) -> None:
        self.seen: Observation | Outage | None = None
        """What was seen last; ``None`` until anything was."""
        self._kubeconfig = kubeconfig
        self._connect = connect
        self._call = call
        self._pace = pace
        self._retrying = retrying
        self._known = state in (ClusterState.ONLINE, ClusterState.NOTREADY, ClusterState.UNHEALTHY)
        self._lost = state in (ClusterState.OFFLINE, ClusterState.DEGRADED, ClusterState.CONNECTING)
        self._state: Steady[ClusterState] = Steady(pace.patience, state if self._known else None)
        self._nodes: dict[str, Object] = {}
        self._requests: Requests | None = None
        self._version: str | None = None
        self._back_since = 0.0
        self._next_look = _Timer(self._look)
        self._next_report = _Timer(self._report)
        self._task = asyncio.create_task(self._run(), name="watch-cluster")

    async def close(self) -> None:
        """Stop watching."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            connection = self._connect(self._kubeconfig)
        except Unreachable as error:
            self._tell(Outage(explain_error(error), 0))
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
        """Watch the nodes, and the Pods beside them, until the cluster is lost."""
        self._version = await _ask_version(connection) or self._version
        self._back_since = _now()
        pods: asyncio.Task[None] | None = None
        try:
            async with contextlib.aclosing(connection.watch_nodes()) as events:
                async for event in events:
                    self._take(event)
                    self._look()
                    pods = pods or asyncio.create_task(self._follow_pods(connection), name="watch-pods")
        finally:
            self._next_look.cancel()
            self._next_report.cancel()
            if pods is not None:
                pods.cancel()
                await asyncio.gather(pods, return_exceptions=True)

    async def _follow_pods(self, connection: KubernetesCluster) -> None:
        while True:
            requests = Requests()
            try:
                async with contextlib.aclosing(connection.watch_pods()) as events:
                    async for event in events:
                        if requests.take(event) or self._requests is not requests:
                            self._requests = requests
                            self._next_report.start(self._pace.report)
            except Unreachable:
                pass  # the watch on the nodes finds that out as well
            except ClusterError as error:
                log.info("What Pods have asked for is not known: %s", error)
                self._requests = None
            await asyncio.sleep(PODS_AGAIN)

    def _take(self, event: WatchEvent) -> None:
        if isinstance(event, Listed):
            self._nodes = {obj["metadata"]["name"]: obj for obj in event.objects}
        elif isinstance(event, Changed):
            self._nodes[event.object["metadata"]["name"]] = event.object
        else:
            self._nodes.pop(event.object["metadata"]["name"], None)

    def _look(self) -> None:
        """Look at what is known: what changes the state is told at once, all else is gathered for a while."""
        now = _now()
        judging = self._state.see(judge(tuple(self._nodes.values())), now)
        settling = self._back_since + self._pace.patience - now if self._lost else None
        if settling is None or settling <= 0:
            self._lost, self._known, settling = False, True, None
            self._retrying.succeed()
        if waits := [each for each in (judging, settling) if each is not None]:
            self._next_look.start(min(waits))
        seen = self._observe()
        if not isinstance(self.seen, Observation) or (self.seen.state, self.seen.settled) != (seen.state, seen.settled):
            self._tell(seen)
        elif seen != self.seen:
            self._next_report.start(self._pace.report)

    def _observe(self) -> Observation:
        assert self._state.value is not None
        requested = self._requests.total if self._requests is not None else None
        return Observation(tuple(self._nodes.values()), self._state.value, not self._lost, self._version, requested)

    def _report(self) -> None:
        self._tell(self._observe())

    async def _fail(self, error: ClusterError) -> None:
        attempt = self._retrying.fail(_now(), known=self._known)
        if attempt.lost:
            self._lost, self._known = True, False
            again = datetime.now(UTC) + timedelta(seconds=attempt.delay) if attempt.is_worth_telling else None
            self._tell(Outage(explain_error(error), attempt.left, again))
        await asyncio.sleep(attempt.delay)

    def _tell(self, seen: Observation | Outage) -> None:
        if seen != self.seen:
            self.seen = seen
            self._call()


class _Timer:
    """Calls a function once; a start while it runs does not make it longer."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def start(self, wait: float) -> None:
        if self._handle is None or self._handle.when() > _now() + wait:
            self.cancel()
            self._handle = asyncio.get_running_loop().call_later(wait, self._fire)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._call()


async def _ask_version(connection: KubernetesCluster) -> str | None:
    try:
        return await connection.version()
    except Rejected:
        return None  # whether it lets its nodes be watched is what counts


def _now() -> float:
    return asyncio.get_running_loop().time()
