"""What goes when something else goes: dependents of owners, contents of namespaces, objects of custom kinds."""

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.workloads.world import Action, Create, Delete, Replace, World, set_conditions, with_status

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


def release_finalizers(resource: str, obj: Object, world: World) -> list[Action]:
    """The next step of a deletion that waits for its dependents or lets them go."""
    finalizers = obj["metadata"].get("finalizers") or ()
    if not obj["metadata"].get("deletionTimestamp"):
        return []
    uid = obj["metadata"]["uid"]
    dependents = list(world.dependents(uid))
    if ORPHAN in finalizers:
        freed: list[Action] = [Replace(kind, _without_owner(each, uid)) for kind, each in dependents]
        return [*freed, Replace(resource, without_finalizer(obj, ORPHAN))]
    if FOREGROUND in finalizers:
        blocking = [each for each in dependents if _blocks(each[1], uid)]
        if not blocking:
            return [Replace(resource, without_finalizer(obj, FOREGROUND))]
        return [Delete(kind, each) for kind, each in dependents if not each["metadata"].get("deletionTimestamp")]
    return []


def _blocks(dependent: Object, uid: str) -> bool:
    return any(ref.get("uid") == uid and ref.get("blockOwnerDeletion") for ref in dependent["metadata"]["ownerReferences"])


def _without_owner(obj: Object, uid: str) -> Object:
    left = [ref for ref in obj["metadata"]["ownerReferences"] if ref.get("uid") != uid]
    rest = {name: value for name, value in obj["metadata"].items() if name != "ownerReferences"}
    return {**obj, "metadata": {**rest, **({"ownerReferences": left} if left else {})}}


def without_finalizer(obj: Object, finalizer: str) -> Object:
    left = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
    rest = {name: value for name, value in obj["metadata"].items() if name != "finalizers"}
    return {**obj, "metadata": {**rest, **({"finalizers": left} if left else {})}}


def collect_orphans(uid: str, world: World) -> list[Action]:
    """What happens to the dependents of an owner that is gone: they follow, unless they have another owner."""
    actions: list[Action] = []
    for resource, obj in world.dependents(uid):
        others = [ref for ref in obj["metadata"]["ownerReferences"] if ref.get("uid") != uid]
        if others:
            actions.append(Replace(resource, _without_owner(obj, uid)))
        elif not obj["metadata"].get("deletionTimestamp"):
            actions.append(Delete(resource, obj))
    return actions


def furnish_namespace(namespace: Object, world: World) -> list[Action]:
    """What every namespace holds from the start."""
    name = namespace["metadata"]["name"]
    actions: list[Action] = []
    if world.get("serviceaccounts", (name, "default")) is None:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        actions.append(Create("serviceaccounts", account))
    if world.get("configmaps", (name, "kube-root-ca.crt")) is None:
        authority: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kube-root-ca.crt", "namespace": name},
            "data": {"ca.crt": "simulated: there is no certificate authority\n"},
        }
        actions.append(Create("configmaps", authority))
    return actions


def empty_namespace(namespace: Object, contents: list[tuple[str, Object]]) -> list[Action]:
    """Delete what is in a namespace that goes; let it go once nothing is left."""
    if contents:
        return [Delete(kind, obj) for kind, obj in contents if not obj["metadata"].get("deletionTimestamp")]
    left = [name for name in namespace["spec"].get("finalizers") or () if name != "kubernetes"]
    spec = {name: value for name, value in namespace["spec"].items() if name != "finalizers"}
    return [Replace("namespaces", {**namespace, "spec": {**spec, **({"finalizers": left} if left else {})}})]


def reconcile_definition(definition: Object, world: World) -> list[Action]:
    """A custom kind becomes known; with its definition its objects go."""
    if definition["metadata"].get("deletionTimestamp"):
        if CLEANUP not in (definition["metadata"].get("finalizers") or ()):
            return []
        objects = world.objects(definition["metadata"]["name"])
        if not objects:
            return [Replace(DEFINITIONS, without_finalizer(definition, CLEANUP))]
        resource = definition["metadata"]["name"]
        return [Delete(resource, obj) for obj in objects if not obj["metadata"].get("deletionTimestamp")]
    spec = definition["spec"]
    conditions = set_conditions(
        (definition.get("status") or {}).get("conditions"),
        _established("NamesAccepted", "NoConflicts", "no conflicts found", world.now),
        _established("Established", "InitialNamesAccepted", "the initial names have been accepted", world.now),
    )
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    versions = (definition.get("status") or {}).get("storedVersions") or []
    status = with_status(
        definition,
        conditions=conditions,
        acceptedNames=spec["names"],
        storedVersions=versions if stored in versions else [*versions, stored],
    )
    return [] if status == definition else [Replace(DEFINITIONS, status)]


def _established(type_: str, reason: str, message: str, now: str) -> Object:
    return {"type": type_, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}
