"""StatefulSets (Pods with an identity) and DaemonSets (a Pod on every node)."""

from typing import Any

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.workloads import pods
from krake.simulator.kubernetes.workloads.replicas import new_pod
from krake.simulator.kubernetes.workloads.world import (
    Action,
    Create,
    Delete,
    World,
    changed,
    controlled,
    hash_of,
    with_status,
)

STATEFUL_SETS = "statefulsets.apps"
DAEMON_SETS = "daemonsets.apps"
REVISION = "controller-revision-hash"


def reconcile_stateful_set(stateful_set: Object, world: World) -> list[Action]:
    """Pods with ordinals: made from the lowest, taken away and replaced from the highest."""
    if stateful_set["metadata"].get("deletionTimestamp"):
        return []
    spec = stateful_set["spec"]
    revision = f"{stateful_set['metadata']['name']}-{hash_of(spec['template'])}"
    owned = {_ordinal(pod): pod for pod in controlled(world, stateful_set, "pods")}
    ready = sum(pods.is_ready(pod) for pod in owned.values())
    updated = [pod for pod in owned.values() if pod["metadata"]["labels"].get(REVISION) == revision]
    status = with_status(
        stateful_set,
        observedGeneration=stateful_set["metadata"]["generation"],
        replicas=len(owned),
        readyReplicas=ready or None,
        availableReplicas=ready,
        updatedReplicas=len(updated) or None,
        currentReplicas=len(updated) or None,
        currentRevision=revision,
        updateRevision=revision,
        collisionCount=0,
    )
    actions = _scale_ordinals(stateful_set, owned, revision, world)
    if not actions and ready == spec["replicas"] == len(owned):
        actions = _replace_outdated(spec, owned, revision)
    return [*actions, *changed(STATEFUL_SETS, stateful_set, status)]


def _ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rsplit("-", 1)[1])


def _scale_ordinals(stateful_set: Object, owned: dict[int, Object], revision: str, world: World) -> list[Action]:
    spec = stateful_set["spec"]
    in_order = spec.get("podManagementPolicy") != "Parallel"
    actions: list[Action] = []
    for ordinal in range(spec["replicas"]):
        if ordinal not in owned:
            actions += _create_ordinal(stateful_set, ordinal, revision, world)
        if in_order and not (ordinal in owned and pods.is_ready(owned[ordinal])):
            return actions
    surplus = sorted((ordinal for ordinal in owned if ordinal >= spec["replicas"]), reverse=True)
    leaving = [owned[ordinal] for ordinal in surplus if pods.is_active(owned[ordinal])]
    if in_order and len(leaving) < len(surplus):
        return actions
    return [*actions, *(Delete("pods", pod) for pod in (leaving[:1] if in_order else leaving))]


def _replace_outdated(spec: Object, owned: dict[int, Object], revision: str) -> list[Action]:
    strategy = spec["updateStrategy"]
    if strategy["type"] != "RollingUpdate":
        return []
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    outdated = [
        ordinal
        for ordinal, pod in owned.items()
        if ordinal >= partition and pod["metadata"]["labels"].get(REVISION) != revision
    ]
    return [Delete("pods", owned[max(outdated)])] if outdated else []


def _create_ordinal(stateful_set: Object, ordinal: int, revision: str, world: World) -> list[Action]:
    pod = new_pod(STATEFUL_SETS, stateful_set)
    metadata, spec = stateful_set["metadata"], stateful_set["spec"]
    name = f"{metadata['name']}-{ordinal}"
    actions: list[Action] = []
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    for template in spec.get("volumeClaimTemplates") or ():
        claim_name = f"{template['metadata']['name']}-{name}"
        volumes[template["metadata"]["name"]] = {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name},
        }
        if world.get("persistentvolumeclaims", (metadata["namespace"], claim_name)) is None:
            actions.append(Create("persistentvolumeclaims", _claim(template, claim_name, metadata["namespace"])))
    identity = {
        REVISION: revision,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    labels = {**(pod["metadata"].get("labels") or {}), **identity}
    rest = {key: value for key, value in pod["metadata"].items() if key != "generateName"}
    pod = {
        **pod,
        "metadata": {**rest, "name": name, "labels": labels},
        "spec": {
            **pod["spec"],
            "hostname": name,
            **({"subdomain": spec["serviceName"]} if spec.get("serviceName") else {}),
            **({"volumes": list(volumes.values())} if volumes else {}),
        },
    }
    return [*actions, Create("pods", pod)]


def _claim(template: Object, name: str, namespace: str) -> Object:
    metadata: dict[str, Any] = {key: value for key, value in template["metadata"].items() if key in ("labels", "annotations")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**metadata, "name": name, "namespace": namespace},
        "spec": template["spec"],
    }


def reconcile_daemon_set(daemon_set: Object, world: World) -> list[Action]:
    """One Pod on every node that its node selector names."""
    if daemon_set["metadata"].get("deletionTimestamp"):
        return []
    spec = daemon_set["spec"]
    revision = hash_of(spec["template"])
    wanted = spec["template"]["spec"].get("nodeSelector") or {}
    nodes = [
        node["metadata"]["name"]
        for node in world.objects("nodes")
        if wanted.items() <= (node["metadata"].get("labels") or {}).items()
    ]
    owned = controlled(world, daemon_set, "pods")
    present = {pod["spec"].get("nodeName"): pod for pod in owned if pods.is_active(pod)}
    placed = [present[node] for node in nodes if node in present]
    updated = [pod for pod in placed if pod["metadata"]["labels"].get(REVISION) == revision]
    ready = sum(pods.is_ready(pod) for pod in placed)
    status = with_status(
        daemon_set,
        observedGeneration=daemon_set["metadata"]["generation"],
        desiredNumberScheduled=len(nodes),
        currentNumberScheduled=len(placed),
        updatedNumberScheduled=len(updated) or None,
        numberReady=ready,
        numberAvailable=ready or None,
        numberUnavailable=(len(nodes) - ready) or None,
        numberMisscheduled=len(present) - len(placed),
    )
    taken = {pod["spec"].get("nodeName") for pod in owned}
    actions: list[Action] = [Create("pods", _pod_on(daemon_set, node, revision)) for node in nodes if node not in taken]
    actions += [Delete("pods", pod) for node, pod in present.items() if node not in nodes]
    rolls = spec["updateStrategy"]["type"] == "RollingUpdate"
    if rolls and not actions and ready == len(nodes):
        actions += [Delete("pods", pod) for pod in placed if pod not in updated][:1]
    return [*actions, *changed(DAEMON_SETS, daemon_set, status)]


def _pod_on(daemon_set: Object, node: str, revision: str) -> Object:
    pod = new_pod(DAEMON_SETS, daemon_set)
    labels = {**(pod["metadata"].get("labels") or {}), REVISION: revision}
    return {
        **pod,
        "metadata": {**pod["metadata"], "labels": labels},
        "spec": {**pod["spec"], "nodeName": node},
    }
