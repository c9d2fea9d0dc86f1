"""The infrastructure controller: has the clusters that are bound to clouds created there, kept, and deleted."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from krake.client import Client, Invalid, NotFound
from krake.controller.infrastructure.homes import FINALIZER, Homes, Sight
from krake.controller.infrastructure.learning import learn
from krake.controller.infrastructure.lifecycle import plan
from krake.controller.infrastructure.sense import make_sense
from krake.controller.infrastructure.settings import InfrastructureConfig
from krake.controller.infrastructure.steps import WORKING, Ask, Call, Hold, Home, Outcome, Release, Rest, Situation, Store
from krake.controller.infrastructure.told import tell
from krake.controller.infrastructure.traffic import PATIENCE, Traffic
from krake.controller.runtime import Controller, Informer, Recorder, Result, difference, patch_status, remove_finalizer
from krake.data import Key
from krake.data.infrastructure import mark_of
from krake.data.kubernetes import Cluster, ClusterStatus
from krake.ports.infrastructure import Connector, InfrastructureError, Infrastructures, Rejected, Unavailable
from krake.ports.infrastructure import NotFound as Missing

log = logging.getLogger(__name__)

_GRACE = 5.0
"""Seconds that a call may take longer than the provider may."""
_TOUCHING = frozenset({Call.KUBECONFIG, Call.UPDATE, Call.RECONFIGURE, Call.DELETE})
"""What is asked only about infrastructures that carry the mark of the cluster."""
_CHAIN = 4
"""Calls at most before others have their turn."""


Intent = tuple[datetime | None, datetime | None]
"""When a creation was begun, and when a change was asked for: nobody else stores the same."""


@dataclass
class _Memory:
    """What a process knows of a cluster besides what is stored.

    :param looked: when its provider was asked last.
    :param intended: what was stored as intended, as long as it is not asked for.
    :param own: the ids of infrastructures that are known to carry its mark.
    """

    uid: str
    looked: datetime | None = None
    intended: Intent | None = None
    kubeconfig: dict[str, Any] | None = None
    own: frozenset[str] = frozenset()


class InfrastructureController:
    """Reconciles clusters: one step at a time, and nobody waits for a provider to be done.

    :param connector: must work while the controllers run.
    """

    def __init__(
        self,
        client: Client,
        config: InfrastructureConfig,
        sight: Sight,
        recorder: Recorder,
        connector: Connector,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._pace = config.pace
        self._time_limit = config.providers.timeout + _GRACE
        self._clusters: Informer[Cluster] = sight.clusters
        self._recorder = recorder
        self._connector = connector
        self._now = now
        self._traffic: Traffic[Key] = Traffic(config.providers.calls_at_once)
        self._shares: Traffic[Key] = Traffic(config.share)
        self._memories: dict[Key, _Memory] = {}
        self._controller: Controller[Key] = Controller(
            "infrastructure",
            self.reconcile,
            config.worker_count,
            reads=[self._clusters],
            debounce=config.debounce,
            time_limit=max(300.0, 2 * _CHAIN * self._time_limit),
            share=lambda key: key.namespace,
        )
        self._homes = Homes(client, sight, recorder, self._controller.enqueue)
        self._clusters.on_change(self._see)

    @property
    def controllers(self) -> list[Controller[Key]]:
        """What works here."""
        return [self._controller, *self._homes.controllers]

    def _see(self, old: Cluster | None, new: Cluster | None) -> None:
        if new is None:
            assert old is not None
            self._memories.pop(old.key, None)
        elif new.spec.tosca or new.status.infrastructure is not None or FINALIZER in new.metadata.finalizers:
            self._controller.enqueue(new.key)

    async def reconcile(self, key: Key) -> Result | None:
        """Take a cluster one step further."""
        cluster = self._clusters.get(key)
        if cluster is None:
            return None
        situation = self._situate(cluster)
        match plan(cluster, situation):
            case Rest(after):
                return None if after is None else Result(after.total_seconds())
            case Hold():
                assert isinstance(situation.home, Home)
                await self._homes.hold(cluster, situation.home)
            case Store(status, intent):
                await self._store(cluster, status, intent=intent)
            case Release():
                await self._release(cluster)
            case Ask() as ask:
                return await self._ask(cluster, ask)
        return Result(0.0)

    def _situate(self, cluster: Cluster) -> Situation:
        memory = self._recall(cluster)
        home = self._homes.find(cluster)
        # Another controller may have stored an intent since, and asked for what it intended.
        intended = memory.intended is not None and memory.intended == _intent_of(cluster)
        return Situation(self._now(), self._pace, home, memory.looked, intended, memory.kubeconfig)

    def _recall(self, cluster: Cluster) -> _Memory:
        memory = self._memories.get(cluster.key)
        if memory is None or memory.uid != cluster.metadata.uid:
            memory = self._memories[cluster.key] = _Memory(cluster.metadata.uid)
            if cluster.status.state in WORKING:
                # As if it had been looked at before the start, so that not all are looked at right after it.
                memory.looked = self._now() - self._pace.observe * _share_of(cluster.metadata.uid)
        return memory

    async def _ask(self, cluster: Cluster, ask: Ask) -> Result | None:
        """Ask a provider, if it is not asked too much already."""
        home = self._homes.find(cluster)
        if isinstance(home, str):
            return Result(0.0)
        namespace = cluster.metadata.namespace
        if not self._shares.enter(namespace, cluster.key):
            return Result(PATIENCE)
        try:
            return await self._ask_in_turn(cluster, home, ask)
        finally:
            self._summon(self._shares.leave(namespace, answered=True))

    async def _ask_in_turn(self, cluster: Cluster, home: Home, ask: Ask) -> Result | None:
        provider = home.provider.ref
        if not self._traffic.enter(provider, cluster.key):
            return Result(PATIENCE)
        answers: list[Any] = []
        try:
            return await self._ask_on(cluster, home, ask, answers)
        finally:
            answered = bool(answers) and not isinstance(answers[-1], Unavailable)
            self._summon(self._traffic.leave(provider, answered=answered))

    def _summon(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._controller.enqueue(key)

    async def _ask_on(self, cluster: Cluster, home: Home, ask: Ask, answers: list[Any]) -> Result | None:
        """Ask, and write what follows; then ask what is to be asked right after that.

        :param answers: where to put them.
        """
        for _ in range(_CHAIN):
            answer = await self._call(cluster, home, ask)
            answers.append(answer)
            outcome = learn(cluster, self._situate(cluster), ask, answer)
            if ask.call is Call.KUBECONFIG and isinstance(answer, dict):
                self._recall(cluster).kubeconfig = answer
            try:
                cluster = await self._conclude(cluster, ask, outcome)
            except NotFound:
                await self._clear_away(cluster, home, ask, answer)
                return None
            if outcome.then is None:
                return None if outcome.after is None else Result(outcome.after.total_seconds())
            ask = outcome.then
        return Result(0.0)

    async def _call(self, cluster: Cluster, home: Home, ask: Ask) -> Any:
        """Return the answer of a provider, or the error that it ended with."""
        memory = self._recall(cluster)
        memory.looked = self._now()
        memory.intended = None
        try:
            access = self._connect(home)
            try:
                async with asyncio.timeout(self._time_limit):
                    if ask.call in _TOUCHING and ask.id not in memory.own:
                        await self._check_mark(cluster, access, ask.id)
                    answer = make_sense(ask.call, await _call(access, mark_of(cluster.metadata.uid), ask))
                    if ask.call in (Call.CREATE, Call.FIND):
                        memory.own = frozenset([answer] if ask.call is Call.CREATE else answer)
                    return answer
            finally:
                await access.close()
        except InfrastructureError as error:
            return error
        except TimeoutError:
            return Unavailable(f"{home.provider.ref} did not answer in time.")
        except Exception:
            # Nobody must be left waiting because of an answer that nobody has thought of.
            log.exception("Asking %s about %s failed.", home.provider.ref, cluster.ref)
            return Unavailable(f"{home.provider.ref} answered something that can not be understood.")

    async def _check_mark(self, cluster: Cluster, access: Infrastructures, id: str) -> None:
        """Make sure that an infrastructure is that of a cluster, whoever has written its status.

        Many share a provider, and whoever has the kubeconfig of a cluster has the cluster.

        :raises Missing: it is not.
        """
        own = make_sense(Call.FIND, await access.find(mark_of(cluster.metadata.uid)))
        if id not in own:
            raise Missing(f"There is no infrastructure '{id[:80]}' that was made for this cluster.")
        self._recall(cluster).own = frozenset(own)

    def _connect(self, home: Home) -> Infrastructures:
        provider, cloud = home.provider, home.cloud
        return self._connector.connect(
            provider.metadata.name,
            provider.spec,
            cloud.metadata.name,
            cloud.spec,
            trusted=provider.metadata.namespace is None,
            cloud_trusted=cloud.metadata.namespace is None,
        )

    async def _conclude(self, cluster: Cluster, ask: Ask, outcome: Outcome) -> Cluster:
        if outcome.kubeconfig is not None:
            try:
                cluster = await self._put_kubeconfig(cluster, outcome.kubeconfig)
            except Invalid as error:
                said = Rejected(f"The kubeconfig that the provider gives can not be used: {error.detail}")
                outcome = replace(learn(cluster, self._situate(cluster), ask, said), then=None)
        # What was created must not be forgotten because somebody has changed the cluster meanwhile.
        guarded = ask.call is not Call.CREATE
        cluster = await self._store(cluster, outcome.status, intent=outcome.intent, guarded=guarded)
        if outcome.release:
            await self._release(cluster)
        return cluster

    async def _store(self, cluster: Cluster, status: ClusterStatus, *, intent: bool = False, guarded: bool = True) -> Cluster:
        after = await patch_status(self._client, cluster, status, informer=self._clusters, guarded=guarded)
        if after is not cluster:
            self._recorder.record(after, *tell(cluster, after))
        self._recall(after).intended = _intent_of(after) if intent else None
        return after

    async def _put_kubeconfig(self, cluster: Cluster, kubeconfig: dict[str, Any]) -> Cluster:
        changes = {
            "metadata": {"resource_version": cluster.metadata.resource_version},
            "spec": {"kubeconfig": difference(cluster.spec.kubeconfig, kubeconfig)},
        }
        stored = await self._client.patch(Cluster, cluster.key, changes)
        self._clusters.expect(stored.key, stored.metadata.resource_version)
        return stored

    async def _release(self, cluster: Cluster) -> None:
        with contextlib.suppress(NotFound):
            await remove_finalizer(self._client, cluster, FINALIZER, informer=self._clusters)

    async def _clear_away(self, cluster: Cluster, home: Home, ask: Ask, answer: Any) -> None:
        """Delete what was created for a cluster that somebody has removed by force meanwhile."""
        if ask.call is Call.CREATE and isinstance(answer, str):
            log.warning("%s is gone: what was created for it is deleted.", cluster.ref)
            self._recall(cluster).own = frozenset([answer])
            await self._call(cluster, home, Ask(Call.DELETE, answer))


def _intent_of(cluster: Cluster) -> Intent | None:
    infrastructure = cluster.status.infrastructure
    return None if infrastructure is None else (infrastructure.started, infrastructure.asked)


async def _call(access: Infrastructures, mark: str, ask: Ask) -> Any:
    calls: dict[Call, Callable[[], Any]] = {
        Call.FIND: partial(access.find, mark),
        Call.CREATE: partial(access.create, mark, ask.template),
        Call.OBSERVE: partial(access.observe, ask.id),
        Call.KUBECONFIG: partial(access.kubeconfig, ask.id),
        Call.UPDATE: partial(access.update, ask.id, ask.template),
        Call.RECONFIGURE: partial(access.reconfigure, ask.id),
        Call.DELETE: partial(access.delete, ask.id),
    }
    return await calls[ask.call]()


def _share_of(uid: str) -> float:
    """Return a number from 0 to 1 that is always the same for a cluster."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) / 2**32
