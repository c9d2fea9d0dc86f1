"""Moves workloads forward: every change marks what may have to react, and the pure transitions say what happens next."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from krake.simulator.kubernetes.kinds import BY_RESOURCE, Object
from krake.simulator.kubernetes.resources import Deletion, Resources
from krake.simulator.kubernetes.settings import Settings
from krake.simulator.kubernetes.status import ApiStatus
from krake.simulator.kubernetes.storage import DELETED, Change, Key, key_of
from krake.simulator.kubernetes.workloads import endpoints, ownership, pods
from krake.simulator.kubernetes.workloads.claims import reconcile_claim
from krake.simulator.kubernetes.workloads.jobs import reconcile_job
from krake.simulator.kubernetes.workloads.replicas import reconcile_deployment, reconcile_replica_set
from krake.simulator.kubernetes.workloads.sets import reconcile_daemon_set, reconcile_stateful_set
from krake.simulator.kubernetes.workloads.world import Action, Create, Delete, Replace, World

logger = logging.getLogger(__name__)

Item = tuple[str, Key]

_BATCH = 100  # items that are settled before other work on the event loop gets its turn
_GONE_OWNER = "gone owner"  # marks of deleted owners, whose key is ("", uid)

_RECONCILERS: dict[str, Callable[[Object, World], list[Action]]] = {
    "deployments.apps": reconcile_deployment,
    "replicasets.apps": reconcile_replica_set,
    "statefulsets.apps": reconcile_stateful_set,
    "daemonsets.apps": reconcile_daemon_set,
    "jobs.batch": reconcile_job,
    "services": endpoints.reconcile_service,
    "persistentvolumeclaims": reconcile_claim,
    ownership.DEFINITIONS: ownership.reconcile_definition,
}


class Engine:
    """The `World` of the transitions; runs only when something has changed or a Pod's time has come."""

    def __init__(self, resources: Resources, settings: Settings) -> None:
        self._resources = resources
        self._storage = resources.storage
        self._settings = settings
        self._marked: dict[Item, None] = {}
        self._wakeup: asyncio.Handle | None = None
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._turn = 0
        self._running = False

    @property
    def now(self) -> str:
        return self._resources.now()

    def get(self, resource: str, key: Key) -> Object | None:
        return self._storage.get(resource, key)

    def objects(self, resource: str, namespace: str | None = None) -> list[Object]:
        return self._storage.objects(resource, namespace)

    def dependents(self, uid: str) -> Iterable[tuple[str, Object]]:
        return self._storage.dependents(uid)

    @property
    def is_busy(self) -> bool:
        """Whether something is marked that nobody has looked at yet."""
        return bool(self._marked)

    @property
    def is_waiting(self) -> bool:
        """Whether a Pod's time is running."""
        return bool(self._timers)

    def start(self) -> None:
        self._running = True
        self._storage.listen(self._notice)
        for resource, obj in self._storage.everything():
            self._mark(resource, key_of(obj))

    def stop(self) -> None:
        self._running = False
        self._storage.ignore(self._notice)
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _notice(self, change: Change) -> None:
        """Mark everything that this change may concern."""
        obj, metadata = change.object, change.object["metadata"]
        self._mark(change.resource, change.key)
        self._mark_owners(obj)
        if change.previous is not None:
            self._mark_owners(change.previous)
        if change.resource == "pods":
            self._mark_services(change)
        elif change.resource == "nodes":
            self._mark_node_dependents()
        elif change.resource == ownership.DEFINITIONS:
            self._follow_definition(change)
        if change.type == DELETED:
            self._mark(_GONE_OWNER, ("", metadata["uid"]))
            if metadata.get("namespace"):
                self._mark("namespaces", ("", metadata["namespace"]))
            if "." in change.resource:
                self._mark(ownership.DEFINITIONS, ("", change.resource))

    def _mark(self, resource: str, key: Key) -> None:
        self._marked[resource, key] = None
        self._schedule()

    def _schedule(self) -> None:
        if self._wakeup is None and self._marked and self._running:
            self._wakeup = asyncio.get_running_loop().call_soon(self._settle)

    def _mark_owners(self, obj: Object) -> None:
        metadata = obj["metadata"]
        for reference in metadata.get("ownerReferences") or ():
            kind = self._resources.registry.named(reference.get("apiVersion", ""), reference.get("kind", ""))
            if kind is not None:
                namespace = metadata.get("namespace", "") if kind.namespaced else ""
                self._mark(kind.resource, (namespace, reference.get("name", "")))

    def _mark_services(self, change: Change) -> None:
        states = [state for state in (change.object, change.previous) if state is not None]
        for service in self._storage.objects("services", change.key[0]):
            if any(endpoints.selects(service, pod) for pod in states):
                self._mark("services", key_of(service))

    def _mark_node_dependents(self) -> None:
        for resource in ("pods", "daemonsets.apps"):
            for obj in self._storage.objects(resource):
                self._mark(resource, key_of(obj))

    def _follow_definition(self, change: Change) -> None:
        if change.type == DELETED:
            self._resources.registry.withdraw(change.key[1])
        else:
            self._resources.registry.serve(change.object)

    def _settle(self) -> None:
        self._wakeup = None
        for _ in range(_BATCH):
            if not self._marked:
                return
            item = next(iter(self._marked))
            del self._marked[item]
            try:
                self._reconcile(*item)
            except Exception:
                logger.exception("the simulator could not move %s %s forward", *item)
        self._schedule()

    def _reconcile(self, resource: str, key: Key) -> None:
        if resource == _GONE_OWNER:
            self._carry_out((resource, key), ownership.collect_orphans(key[1], self))
            return
        obj = self._storage.get(resource, key)
        if obj is None:
            if resource == "services":
                self._carry_out((resource, key), endpoints.remove_endpoints(key, self))
            return
        actions = ownership.release_finalizers(resource, obj, self)
        if not actions:
            actions = self._next_actions(resource, obj)
        self._carry_out((resource, key), actions)

    def _next_actions(self, resource: str, obj: Object) -> list[Action]:
        if resource == "pods":
            return self._advance_pod(obj)
        if resource == "namespaces":
            if obj["metadata"].get("deletionTimestamp"):
                contents = list(self._storage.everything(obj["metadata"]["name"]))
                return ownership.empty_namespace(obj, contents)
            return ownership.furnish_namespace(obj, self)
        reconciler = _RECONCILERS.get(resource)
        return reconciler(obj, self) if reconciler is not None else []

    def _carry_out(self, item: Item, actions: Iterable[Action]) -> None:
        for action in actions:
            kind = BY_RESOURCE.get(action.resource) or self._resources.registry.bucket(action.resource)
            if kind is None:
                continue
            try:
                if isinstance(action, Create):
                    self._resources.create(kind, action.object, None)
                elif isinstance(action, Delete):
                    deletion = Deletion(propagation="Background", grace=0 if action.at_once else None)
                    self._resources.delete(kind, key_of(action.object), deletion)
                elif self._is_fresh(action):
                    self._resources.put(kind, action.object)
                else:
                    self._mark(*item)
            except ApiStatus as error:
                logger.debug("the simulated controller of %s failed: %s", item, error)

    def _is_fresh(self, action: Replace) -> bool:
        """Whether nobody, not even an earlier action, has written the object since the transition saw it."""
        current = self._storage.get(action.resource, key_of(action.object))
        version = action.object["metadata"]["resourceVersion"]
        return current is not None and bool(current["metadata"]["resourceVersion"] == version)

    def _advance_pod(self, pod: Object) -> list[Action]:
        stage, uid = pods.stage(pod), pod["metadata"]["uid"]
        if stage == pods.UNBOUND:
            self._turn += 1
            bound = pods.bind(pod, self._storage.objects("nodes"), self._turn, self.now)
            return [Replace("pods", bound)] if bound != pod else []
        if (node := self._node_of(pod)) is None:  # which takes its Pods along
            return [Delete("pods", pod, at_once=True)]
        delays = {
            pods.STARTING: self._settings.start_delay,
            pods.FINISHING: pods.run_time(pod, self._settings.finish_delay),
            pods.TERMINATING: self._settings.stop_delay,
        }
        if stage in delays and (uid, stage) not in self._timers:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(delays[stage], self._pass_stage, key_of(pod), uid, stage)
            self._timers[uid, stage] = timer
        followed = pods.follow_node(pod, node, self.now)
        return [Replace("pods", followed)] if followed is not pod else []

    def _node_of(self, pod: Object) -> Object | None:
        return self._storage.get("nodes", ("", pod["spec"].get("nodeName", "")))

    def _pass_stage(self, key: Key, uid: str, stage: str) -> None:
        """A Pod has spent its time in a stage: bring it into the next one, if it is still there."""
        self._timers.pop((uid, stage), None)
        pod = self._storage.get("pods", key)
        if pod is None or pod["metadata"]["uid"] != uid or pods.stage(pod) != stage:
            return
        kind = BY_RESOURCE["pods"]
        if stage == pods.TERMINATING:
            ended = {**pod, "metadata": {**pod["metadata"], "deletionGracePeriodSeconds": 0}}
            self._resources.put(kind, ended)
        elif stage == pods.FINISHING:
            self._resources.put(kind, pods.finish(pod, self.now))
        else:
            node = self._node_of(pod)
            ready = node is not None and pods.node_is_ready(node)
            address = self._resources.addresses.pod_address()
            self._resources.put(kind, pods.start(pod, ready, address, self.now))
