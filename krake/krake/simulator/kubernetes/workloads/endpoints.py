"""Services: the Pods behind them."""

import hashlib
import ipaddress
from typing import Any

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.workloads import pods
from krake.simulator.kubernetes.workloads.world import Action, Create, Delete, World, changed, with_status

ENDPOINTS = "endpoints"


def reconcile_service(service: Object, world: World) -> list[Action]:
    """The Endpoints of a Service, and the address of its load balancer."""
    metadata, spec = service["metadata"], service["spec"]
    if metadata.get("deletionTimestamp"):
        return []
    status = _with_address(service)
    actions = changed("services", service, status)
    if not spec.get("selector") or spec["type"] == "ExternalName":
        return actions
    key = (metadata["namespace"], metadata["name"])
    subsets = _subsets(service, selected(service, world))
    existing = world.get(ENDPOINTS, key)
    if existing is None:
        return [*actions, Create(ENDPOINTS, _new_endpoints(metadata, subsets))]
    rest = {name: value for name, value in existing.items() if name != "subsets"}
    return [*actions, *changed(ENDPOINTS, existing, {**rest, **({"subsets": subsets} if subsets else {})})]


def _with_address(service: Object) -> Object:
    balanced = service["spec"]["type"] == "LoadBalancer"
    ingress = [{"ip": balancer_address(service), "ipMode": "VIP"}] if balanced else None
    present = (service.get("status") or {}).get("loadBalancer") or {}
    if present.get("ingress") == ingress:
        return service
    return with_status(service, loadBalancer={"ingress": ingress} if ingress else {})


def balancer_address(service: Object) -> str:
    """The address of a Service's load balancer: one of its own on loopback, so that its ports are free."""
    number = int.from_bytes(hashlib.sha256(service["metadata"]["uid"].encode()).digest()[:4]) % (1 << 22)
    return str(ipaddress.ip_address("127.64.0.0") + number)


def remove_endpoints(key: tuple[str, str], world: World) -> list[Action]:
    """What is left to do once a Service is gone."""
    existing = world.get(ENDPOINTS, key)
    return [Delete(ENDPOINTS, existing)] if existing is not None else []


def selects(service: Object, pod: Object) -> bool:
    wanted = service["spec"].get("selector") or {}
    return bool(wanted) and wanted.items() <= (pod["metadata"].get("labels") or {}).items()


def selected(service: Object, world: World) -> list[Object]:
    """The Pods behind a Service that have an address, ready or not."""
    found = world.objects("pods", service["metadata"]["namespace"])
    return [pod for pod in found if selects(service, pod) and pods.is_active(pod) and (pod.get("status") or {}).get("podIP")]


def _new_endpoints(metadata: Object, subsets: list[Object]) -> Object:
    labels: Object = {"labels": metadata["labels"]} if metadata.get("labels") else {}
    obj: Object = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], **labels},
    }
    return {**obj, "subsets": subsets} if subsets else obj


def _subsets(service: Object, found: list[Object]) -> list[Object]:
    groups: dict[tuple[Any, ...], Object] = {}
    for pod in found:
        ports = [_port(port, pod) for port in service["spec"].get("ports") or ()]
        group = tuple(tuple(port.items()) for port in ports)
        subset = groups.setdefault(group, {"addresses": [], "notReadyAddresses": [], "ports": ports})
        subset["addresses" if pods.is_ready(pod) else "notReadyAddresses"].append(_address(pod))
    return [{name: value for name, value in subset.items() if value} for subset in groups.values()]


def _address(pod: Object) -> Object:
    metadata = pod["metadata"]
    target = {
        "kind": "Pod",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": target}


def _port(port: Object, pod: Object) -> Object:
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        named = [
            each["containerPort"]
            for container in pod["spec"]["containers"]
            for each in container.get("ports") or ()
            if each.get("name") == target
        ]
        target = named[0] if named else port["port"]
    name: Object = {"name": port["name"]} if port.get("name") else {}
    return {**name, "port": target, "protocol": port["protocol"]}
