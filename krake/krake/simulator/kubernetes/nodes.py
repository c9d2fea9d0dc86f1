"""Simulated nodes: what they report about themselves."""

from collections.abc import Collection

from krake.simulator.kubernetes.discovery import VERSION
from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.settings import Settings
from krake.simulator.kubernetes.workloads.world import set_conditions, with_status

PRESSURES = {
    "MemoryPressure": ("KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"),
    "DiskPressure": ("KubeletHasDiskPressure", "KubeletHasNoDiskPressure"),
    "PIDPressure": ("KubeletHasInsufficientPID", "KubeletHasSufficientPID"),
}


def new_node(name: str, settings: Settings, now: str) -> Object:
    """A healthy node as it registers itself."""
    size = {"cpu": settings.node_cpu, "memory": settings.node_memory, "pods": "110", "ephemeral-storage": "100Gi"}
    node: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "simulated",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "krake-simulator",
            },
            "annotations": {"krake.simulator/notice": "This node is simulated: no container runs here."},
        },
        "spec": {"podCIDR": "10.244.0.0/16", "providerID": f"krake-simulator://{name}"},
        "status": {
            "capacity": size,
            "allocatable": size,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "machineID": "simulated",
                "systemUUID": "simulated",
                "bootID": "simulated",
                "kernelVersion": "simulated",
                "osImage": "Krake simulator (no machine)",
                "containerRuntimeVersion": "krake-simulator://1",
                "kubeletVersion": VERSION,
                "kubeProxyVersion": VERSION,
                "operatingSystem": "linux",
                "architecture": "simulated",
            },
        },
    }
    return with_health(node, now)


def with_health(node: Object, now: str, *, ready: bool = True, pressures: Collection[str] = ()) -> Object:
    """The node reporting this state; `pressures` are among `PRESSURES`."""
    conditions = [
        _report(name, name in pressures, bad if name in pressures else good, now) for name, (bad, good) in PRESSURES.items()
    ]
    conditions.append(_report("Ready", ready, "KubeletReady" if ready else "KubeletNotReady", now))
    status = node.get("status") or {}
    return with_status(node, conditions=set_conditions(status.get("conditions"), *conditions))


def _report(type_: str, holds: bool, reason: str, now: str) -> Object:
    return {
        "type": type_,
        "status": "True" if holds else "False",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": f"simulated: {reason}",
    }
