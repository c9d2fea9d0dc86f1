"""All that is known of one cluster: whether it answers, and the objects that Krake made there, followed by watches.

There is one connection to a cluster and one watch for each type, for all applications. Nobody waits for a cluster that does not
answer: whoever wants to work on it is turned away, and called again once it does.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from krake.controller.kubernetes.application.contention import Contention
from krake.controller.kubernetes.application.delta import Settlement
from krake.data.metadata import Key
from krake.lib.backoff import Backoff
from krake.ports.cluster import (
    COPY_LABEL,
    POD,
    Changed,
    ClusterError,
    Identity,
    KubernetesCluster,
    Listed,
    Object,
    ObjectType,
    Rejected,
    Removed,
    Unreachable,
    WatchEvent,
    identify,
    owner_of,
)

log = logging.getLogger(__name__)

AT_ONCE = 8
"""So many applications are worked on at once on one cluster; the others wait without a worker of their own."""
CRON_JOB = ObjectType("batch/v1", "CronJob")
JOB = ObjectType("batch/v1", "Job")
PROBES = Backoff(0.5, 15.0)
WATCHES = Backoff(0.2, 30.0)


class View:
    """The objects of a type as a watch tells them."""

    def __init__(self) -> None:
        self.synced = False
        self.objects: dict[Identity, Object] = {}
        self._owned: dict[str, dict[Identity, Object]] = {}

    def owned_by(self, owner: str) -> Iterable[Object]:
        """The objects of an application."""
        return self._owned.get(owner, {}).values()

    def take(self, event: WatchEvent) -> set[str]:
        """Take over what a watch tells; returns whose objects changed."""
        match event:
            case Listed(objects):
                return self._replace(objects)
            case Removed(obj):
                return self._drop(identify(obj))
            case Changed(obj):
                known = self.objects.get(identify(obj))
                return set() if known is not None and _is_older(obj, known) else self.put(obj)

    def put(self, obj: Object) -> set[str]:
        """Take over an object as it is now."""
        identity, owner = identify(obj), owner_of(obj)
        touched = self._drop(identity)
        self.objects[identity] = obj
        if owner is not None:
            self._owned.setdefault(owner, {})[identity] = obj
            touched.add(owner)
        return touched

    def _replace(self, objects: Iterable[Object]) -> set[str]:
        found = {identify(obj): obj for obj in objects}
        touched: set[str] = set()
        for identity in [each for each in self.objects if each not in found]:
            touched |= self._drop(identity)
        for obj in found.values():
            touched |= self.put(obj)
        return touched

    def _drop(self, identity: Identity) -> set[str]:
        old = self.objects.pop(identity, None)
        owner = owner_of(old) if old is not None else None
        if owner is None:
            return set()
        self._owned[owner].pop(identity, None)
        if not self._owned[owner]:
            del self._owned[owner]
        return {owner}


class Site:
    """One cluster.

    :param call: is called with the key of an application that should be looked at.
    """

    def __init__(self, name: str, connection: KubernetesCluster, call: Callable[[Key], None]) -> None:
        self.name = name
        self.connection = connection
        self.problem: str | None = None
        """Why the cluster can not be worked on; ``None`` if it can, or if that is just being found out."""
        self.settlements: dict[Identity, Settlement] = {}
        self.contention = Contention()
        self._call = call
        self._answers = asyncio.Event()
        self._lost = asyncio.Event()
        self._views: dict[ObjectType, View] = {}
        self._keys: dict[str, Key] = {}
        self._working = 0
        self._turned_away: dict[Key, None] = {}
        self._tasks = {self._start(self._probe(), "probe")}

    def _start(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=f"{self.name}-{what}")

    async def close(self) -> None:
        """Stop watching and drop the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.connection.close()

    def enter(self, key: Key) -> bool:
        """Begin to work on an application, and `leave` after it; false if that is not possible now. It is called again then."""
        if self._answers.is_set() and self._working < AT_ONCE:
            self._working += 1
            return True
        self._turned_away[key] = None
        return False

    def leave(self) -> None:
        """Make room for the next one."""
        self._working -= 1
        if self._turned_away and self._answers.is_set():
            key = next(iter(self._turned_away))
            del self._turned_away[key]
            self._call(key)

    def lose(self, error: Unreachable) -> None:
        """Say that the cluster did not answer; it is asked at once whether it does."""
        if self._answers.is_set():
            log.info("%s may be lost: %s", self.name, error)
            self._answers.clear()
            self._lost.set()

    def follow(self, owner: str, key: Key, types: Iterable[ObjectType]) -> None:
        """Call for an application whenever one of its objects, Pods or Jobs changes."""
        self._keys[owner] = key
        types = {*types, POD}
        for type_ in types | ({JOB} if CRON_JOB in types else set()):
            if type_ not in self._views:
                self._views[type_] = View()
                self._tasks.add(self._start(self._watch(type_), f"watch-{type_.kind}"))

    def forget(self, owner: str) -> None:
        """Call for an application no more."""
        self._keys.pop(owner, None)

    async def look(self, identity: Identity) -> Object | None:
        """The object as it is now. Raises `ClusterError`."""
        view = self._views.get(identity.type)
        if view is not None and view.synced:
            return view.objects.get(identity)
        return await self.connection.get(identity)

    def knows(self, type_: ObjectType) -> bool:
        """Whether all objects of a type that Krake made are known as they are now."""
        return type_ in self._views and self._views[type_].synced

    def pods_of(self, owner: str) -> list[Object]:
        """The Pods of an application, as far as they are known, without those that only copy its volumes."""
        return [pod for pod in self._pods(owner) if COPY_LABEL not in pod["metadata"]["labels"]]

    def copiers_of(self, owner: str) -> list[Object]:
        """The Pods that copy the volumes of an application, as far as they are known."""
        return [pod for pod in self._pods(owner) if COPY_LABEL in pod["metadata"]["labels"]]

    def _pods(self, owner: str) -> Iterable[Object]:
        view = self._views.get(POD)
        return () if view is None else view.owned_by(owner)

    def made_for(self, owner: str) -> list[Object]:
        """The Pods and Jobs of an application, as far as they are known; some may be declared themselves."""
        return [*self.pods_of(owner), *(self._views[JOB].owned_by(owner) if JOB in self._views else ())]

    def note(self, obj: Object) -> None:
        """Remember an object as the cluster just returned it, unless the watch was quicker to tell what became of it since."""
        view = self._views.get(identify(obj).type)
        if view is not None:
            view.take(Changed(obj))

    async def _probe(self) -> None:
        failures = 0
        while True:
            self._lost.clear()
            try:
                await self.connection.version()
            except Rejected:
                pass  # it answers
            except ClusterError as error:
                failures += 1
                self._tell(str(error))
                await asyncio.sleep(PROBES.delay(failures, random.uniform(0.5, 1.0)))
                continue
            failures = 0
            self._tell(None)
            await self._lost.wait()

    def _tell(self, problem: str | None) -> None:
        """Call for everybody if the cluster was lost or is back, otherwise for those who were turned away meanwhile."""
        changed = (problem is None) is not (self.problem is None)
        if problem is not None and not changed:
            return
        if changed:
            log.log(logging.WARNING if problem else logging.INFO, "%s: %s", self.name, problem or "The cluster answers again.")
        waiting, self.problem = list(self._turned_away), problem
        if problem is None:
            self._answers.set()
        self._turned_away.clear()
        for key in dict.fromkeys([*waiting, *(self._keys.values() if changed else ())]):
            self._call(key)

    async def _watch(self, type_: ObjectType) -> None:
        view, failures = self._views[type_], 0
        while True:
            await self._answers.wait()
            try:
                async with contextlib.aclosing(self.connection.watch(type_)) as events:
                    async for event in events:
                        touched, failures = view.take(event), 0
                        if not view.synced:
                            view.synced, touched = True, set(self._keys)  # what happened before went unseen
                        self._announce(touched)
            except Unreachable as error:
                self.lose(error)
            except ClusterError as error:
                log.log(logging.DEBUG if failures else logging.WARNING, "%s: watching %s: %s", self.name, type_, error)
            view.synced = False
            failures += 1
            await asyncio.sleep(WATCHES.delay(failures, random.uniform(0.5, 1.0)))

    def _announce(self, owners: Iterable[str]) -> None:
        for owner in owners:
            if (key := self._keys.get(owner)) is not None:
                self._call(key)


def _is_older(obj: Object, known: Object) -> bool:
    """Whether an event tells what is known already; versions are numbers, and grow."""
    versions = obj["metadata"].get("resourceVersion"), known["metadata"].get("resourceVersion")
    same_object = obj["metadata"].get("uid") == known["metadata"].get("uid")
    return same_object and all(str(each).isdecimal() for each in versions) and int(versions[0]) <= int(versions[1])
