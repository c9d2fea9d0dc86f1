"""PersistentVolumeClaims: each gets a volume of its own at once."""

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.workloads.world import Action, Create, Replace, World, with_status

CLAIMS = "persistentvolumeclaims"


def reconcile_claim(claim: Object, world: World) -> list[Action]:
    """Bind the claim to a volume that is made for it."""
    metadata, spec = claim["metadata"], claim["spec"]
    if metadata.get("deletionTimestamp") or (claim.get("status") or {}).get("phase") == "Bound":
        return []
    name = spec.get("volumeName") or f"pvc-{metadata['uid']}"
    capacity = spec["resources"]["requests"]
    reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"} | {
        key: metadata[key] for key in ("name", "namespace", "uid")
    }
    actions: list[Action] = []
    if world.get("persistentvolumes", ("", name)) is None:
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": capacity,
                "accessModes": spec["accessModes"],
                "claimRef": reference,
                "hostPath": {"path": f"/krake-simulator/{name}", "type": ""},
                "persistentVolumeReclaimPolicy": "Delete",
            },
            "status": {"phase": "Bound"},
        }
        actions.append(Create("persistentvolumes", volume))
    bound = {**claim, "spec": {**spec, "volumeName": name}}
    status = with_status(bound, phase="Bound", accessModes=spec["accessModes"], capacity=capacity)
    return [*actions, Replace(CLAIMS, status)]
