"""Deployments and the ReplicaSets that they roll out."""

from typing import Any

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.workloads import pods
from krake.simulator.kubernetes.workloads.world import (
    Action,
    Create,
    Delete,
    Replace,
    World,
    changed,
    condition,
    controlled,
    controller_reference,
    hash_of,
    set_conditions,
    with_status,
)

DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


def reconcile_replica_set(replica_set: Object, world: World) -> list[Action]:
    """As many Pods as wanted, and the counts of them in the status."""
    if replica_set["metadata"].get("deletionTimestamp"):
        return []
    active = [pod for pod in controlled(world, replica_set, "pods") if pods.is_active(pod)]
    ready = sum(pods.is_ready(pod) for pod in active)
    status = with_status(
        replica_set,
        replicas=len(active),
        fullyLabeledReplicas=len(active) or None,
        readyReplicas=ready or None,
        availableReplicas=ready or None,
        observedGeneration=replica_set["metadata"]["generation"],
    )
    return [*_scale_pods(replica_set, active), *changed(REPLICA_SETS, replica_set, status)]


def _scale_pods(replica_set: Object, active: list[Object]) -> list[Action]:
    missing = replica_set["spec"]["replicas"] - len(active)
    if missing >= 0:
        return [Create("pods", new_pod(REPLICA_SETS, replica_set)) for _ in range(missing)]
    unready_and_youngest_first = sorted(
        reversed(sorted(active, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))),
        key=pods.is_ready,
    )
    return [Delete("pods", pod) for pod in unready_and_youngest_first[:-missing]]


def new_pod(resource: str, owner: Object) -> Object:
    """A Pod after the template of a workload that controls it."""
    template = owner["spec"]["template"]
    metadata = {key: value for key, value in template["metadata"].items() if key in ("labels", "annotations")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "generateName": f"{owner['metadata']['name']}-",
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": [controller_reference(resource, owner)],
        },
        "spec": template["spec"],
    }


def reconcile_deployment(deployment: Object, world: World) -> list[Action]:
    """The next step of the rollout, and its progress in the status."""
    if deployment["metadata"].get("deletionTimestamp"):
        return []
    owned = controlled(world, deployment, REPLICA_SETS)
    owned.sort(key=_revision)
    digest = hash_of(deployment["spec"]["template"])
    current = next((each for each in owned if each["metadata"].get("labels", {}).get(HASH) == digest), None)
    old = [each for each in owned if each is not current]
    actions = _roll_out(deployment, digest, current, old, world)
    marked, revision_actions = _mark_revision(deployment, current, old)
    status = _deployment_status(marked, current, old, world.now)
    return [*actions, *revision_actions, *changed(DEPLOYMENTS, deployment, status)]


def _revision(obj: Object) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))


def _mark_revision(deployment: Object, current: Object | None, old: list[Object]) -> tuple[Object, list[Action]]:
    """The deployment with the revision of its present template; a template that comes back gets a new one."""
    if current is None:
        return deployment, []
    newest = max((_revision(each) for each in old), default=0)
    revision = max(_revision(current), newest + 1)
    actions: list[Action] = []
    if revision != _revision(current):
        actions.append(Replace(REPLICA_SETS, _annotated(current, revision)))
    return _annotated(deployment, revision), actions


def _annotated(obj: Object, revision: int) -> Object:
    annotations = {**(obj["metadata"].get("annotations") or {}), REVISION: str(revision)}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _roll_out(deployment: Object, digest: str, current: Object | None, old: list[Object], world: World) -> list[Action]:
    spec = deployment["spec"]
    if spec.get("paused") and current is None:
        return []
    if spec["strategy"]["type"] == "Recreate":
        return _recreate(deployment, digest, current, old, world)
    wanted, surge, unavailable = spec["replicas"], *_limits(spec)
    running = sum(each["spec"]["replicas"] for each in old)
    room = max(wanted + surge - running, 0)
    own = current["spec"]["replicas"] if current else 0
    target = wanted if own >= wanted else max(own, min(wanted, room))
    if current is None:
        return [Create(REPLICA_SETS, _new_replica_set(deployment, digest, target, old))]
    if target != own:
        return [Replace(REPLICA_SETS, _scaled(current, target))]
    return [
        *_scale_down(old, own - _available(current), wanted - unavailable, own),
        *_forget(old, spec.get("revisionHistoryLimit", 10)),
    ]


def _scale_down(old: list[Object], new_unavailable: int, minimum: int, own: int) -> list[Action]:
    """Take Pods away from old ReplicaSets: the unavailable ones first, then as many as can be spared."""
    total = own + sum(each["spec"]["replicas"] for each in old)
    spare = total - minimum - new_unavailable
    left = {each["metadata"]["name"]: each["spec"]["replicas"] for each in old}
    for healthy_too in (False, True):
        for each in old:
            name = each["metadata"]["name"]
            candidates = left[name] if healthy_too else max(left[name] - _available(each), 0)
            less = min(candidates, max(spare, 0))
            left[name] -= less
            spare -= less
    return [
        Replace(REPLICA_SETS, _scaled(each, left[each["metadata"]["name"]]))
        for each in old
        if left[each["metadata"]["name"]] != each["spec"]["replicas"]
    ]


def _recreate(deployment: Object, digest: str, current: Object | None, old: list[Object], world: World) -> list[Action]:
    shrinking: list[Action] = [Replace(REPLICA_SETS, _scaled(each, 0)) for each in old if each["spec"]["replicas"]]
    if shrinking or any(controlled(world, each, "pods") for each in old):
        return shrinking
    wanted = deployment["spec"]["replicas"]
    if current is None:
        return [Create(REPLICA_SETS, _new_replica_set(deployment, digest, wanted, old))]
    if current["spec"]["replicas"] != wanted:
        return [Replace(REPLICA_SETS, _scaled(current, wanted))]
    return _forget(old, deployment["spec"].get("revisionHistoryLimit", 10))


def _forget(old: list[Object], limit: int) -> list[Action]:
    idle = [each for each in old if not each["spec"]["replicas"] and not (each.get("status") or {}).get("replicas")]
    return [Delete(REPLICA_SETS, each) for each in idle[: max(len(idle) - limit, 0)]]


def _limits(spec: Object) -> tuple[int, int]:
    """How many Pods more and how many fewer than wanted there may be during a rollout."""
    rolling = spec["strategy"].get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), spec["replicas"], up=True)
    unavailable = share(rolling.get("maxUnavailable", "25%"), spec["replicas"], up=False)
    return surge, unavailable if surge or unavailable else 1


def share(value: Any, total: int, *, up: bool) -> int:
    """A count, or a percentage of `total` rounded up or down."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    exact = int(text[:-1]) * total
    return -(-exact // 100) if up else exact // 100


def _scaled(replica_set: Object, replicas: int) -> Object:
    return {**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}}


def _new_replica_set(deployment: Object, digest: str, replicas: int, old: list[Object]) -> Object:
    spec, metadata = deployment["spec"], deployment["metadata"]
    template = spec["template"]
    labels = {**(template["metadata"].get("labels") or {}), HASH: digest}
    selector = spec["selector"]
    newest = max((_revision(each) for each in old), default=0)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(newest + 1)},
            "ownerReferences": [controller_reference(DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {
                **selector,
                "matchLabels": {**(selector.get("matchLabels") or {}), HASH: digest},
            },
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
        },
    }


def _available(replica_set: Object) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def _deployment_status(deployment: Object, current: Object | None, old: list[Object], now: str) -> Object:
    every = [*old, *([current] if current else [])]
    wanted = deployment["spec"]["replicas"]
    _, unavailable = _limits(deployment["spec"]) if deployment["spec"]["strategy"]["type"] != "Recreate" else (0, 0)
    replicas = sum((each.get("status") or {}).get("replicas", 0) for each in every)
    ready = sum((each.get("status") or {}).get("readyReplicas", 0) for each in every)
    available = sum(_available(each) for each in every)
    updated = (current.get("status") or {}).get("replicas", 0) if current else 0
    complete = updated == wanted == replicas == available
    conditions = set_conditions(
        (deployment.get("status") or {}).get("conditions"),
        _available_condition(available >= wanted - unavailable, now),
        _progress_condition(deployment, current, complete, now),
    )
    return with_status(
        deployment,
        observedGeneration=deployment["metadata"]["generation"],
        replicas=replicas or None,
        updatedReplicas=updated or None,
        readyReplicas=ready or None,
        availableReplicas=available or None,
        unavailableReplicas=max(max(replicas, wanted) - available, 0) or None,
        conditions=conditions,
    )


def _available_condition(available: bool, now: str) -> Object:
    times = {"lastUpdateTime": now}
    if available:
        text = "Deployment has minimum availability."
        return condition("Available", True, now, "MinimumReplicasAvailable", text) | times
    text = "Deployment does not have minimum availability."
    return condition("Available", False, now, "MinimumReplicasUnavailable", text) | times


def _progress_condition(deployment: Object, current: Object | None, complete: bool, now: str) -> Object:
    times = {"lastUpdateTime": now}
    name = current["metadata"]["name"] if current else f"{deployment['metadata']['name']}-?"
    if complete:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return condition("Progressing", True, now, "NewReplicaSetAvailable", text) | times
    text = f'ReplicaSet "{name}" is progressing.'
    return condition("Progressing", True, now, "ReplicaSetUpdated", text) | times
