"""The `scale` sub-resource: the wanted number of replicas of a workload."""

from krake.simulator.kubernetes.kinds import Object


def scale_of(obj: Object) -> Object:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    labels = ((spec.get("selector") or {}).get("matchLabels") or {}).items()
    status = obj.get("status") or {}
    replicas = spec.get("replicas")
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": replicas} if replicas else {},  # a zero is left out on the wire
        "status": {
            "replicas": status.get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels),
        },
    }


def with_scale(obj: Object, scale: Object) -> Object:
    """The object with the replicas of a changed `Scale`, guarded by its resource version if it has one."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    version = (scale.get("metadata") or {}).get("resourceVersion")
    metadata = {**obj["metadata"], **({"resourceVersion": version} if version else {})}
    return {**obj, "metadata": metadata, "spec": {**obj["spec"], "replicas": replicas}}
