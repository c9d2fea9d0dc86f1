"""How much a cluster has, how much of it Pods may use, and how much they have asked for. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from krake.controller.kubernetes.fields import condition, mapping, mappings
from krake.data.quantities import add_quantities, format_quantity, read_quantities
from krake.data.requests import requests_of_pod
from krake.ports.cluster import Changed, Identity, Listed, Object, WatchEvent, identify

RESOURCES = 32
"""So many resources are told of, the first by name."""

Amounts = dict[str, Decimal]


def takes_pods(node: Object) -> bool:
    """Whether new Pods may come to a node that do not ask for it in particular, once it is well.

    By taints of its own Kubernetes keeps Pods away only while a node is not well.
    """
    spec = mapping(node, "spec")
    kept = [taint for taint in mappings(spec, "taints") if not str(taint.get("key")).startswith("node.kubernetes.io/")]
    return spec.get("unschedulable") is not True and not {"NoSchedule", "NoExecute"} & {
        str(each.get("effect")) for each in kept
    }


def capacity_of(nodes: Iterable[Object]) -> dict[str, str]:
    """Return what all nodes have together."""
    return written(add_quantities(read_quantities(mapping(node, "status").get("capacity")) for node in nodes))


def allocatable_of(nodes: Iterable[Object]) -> dict[str, str]:
    """Return what Pods may use together, on the nodes that take Pods and are ready."""
    usable = [node for node in nodes if takes_pods(node) and condition(mapping(node, "status"), "Ready", "True")]
    return written(add_quantities(read_quantities(mapping(node, "status").get("allocatable")) for node in usable))


def written(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    """Return amounts as Kubernetes writes them."""
    return {name: format_quantity(amounts[name]) for name in sorted(amounts)[:RESOURCES]}


def requests_of(pod: Object) -> Amounts:
    """Return what a Pod has asked for, as Kubernetes reckons; nothing once it has ended."""
    if mapping(pod, "status").get("phase") in ("Succeeded", "Failed"):
        return {}
    return requests_of_pod(mapping(pod, "spec"))


class Requests:
    """What all Pods of a cluster have asked for together, kept as a watch tells it; the Pods themselves are not."""

    def __init__(self) -> None:
        self._pods: dict[Identity, Amounts] = {}
        self._total: Amounts = {}

    def take(self, event: WatchEvent) -> bool:
        """Take over what a watch tells; returns whether the total may be another one now."""
        if isinstance(event, Listed):
            before = self._total
            self._pods = {identify(pod): amounts for pod in event.objects if (amounts := requests_of(pod))}
            self._total = add_quantities(self._pods.values())
            return self._total != before
        identity = identify(event.object)
        old, new = self._pods.pop(identity, {}), requests_of(event.object) if isinstance(event, Changed) else {}
        if new:
            self._pods[identity] = new
        self._total = add_quantities([self._total, new, {name: -number for name, number in old.items()}])
        return old != new

    @property
    def total(self) -> dict[str, str]:
        """The sums, without what nothing has asked for."""
        return written({name: number for name, number in self._total.items() if number > 0})
