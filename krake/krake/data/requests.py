"""What the Pods of a manifest ask for, as Kubernetes reckons. Pure.

Amounts are whole thousandths (of a core, of a byte, of a piece), so that sums are exact in any order. What is asked for is
rounded up, what there is rounded down. Manifests may hold anything: what has another form than it should asks for nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from krake.data.overrides import InvalidOverride, Override, matches, render
from krake.data.quantities import add_quantities, format_quantity, read_quantities

Amounts = Mapping[str, int]
"""Thousandths by the name of the resource: ``cpu``, ``memory``, ``pods``, ``nvidia.com/gpu`` …"""

_THOUSANDTHS = 1000
_MOST = 2**31 - 1
"""No number of Pods is larger."""


def asked(quantities: Mapping[str, Decimal]) -> dict[str, int]:
    """Return amounts that are asked for; nothing is left out that is more than nothing."""
    return {name: int((each * _THOUSANDTHS).to_integral_value(ROUND_CEILING)) for name, each in quantities.items() if each > 0}


def offered(quantities: Mapping[str, Any]) -> dict[str, int]:
    """Return the amounts that a cluster tells of, in Kubernetes's spelling."""
    read = read_quantities(quantities)
    return {name: int((each * _THOUSANDTHS).to_integral_value(ROUND_FLOOR)) for name, each in read.items()}


def write_amount(amount: int) -> str:
    """Write an amount as Kubernetes does: ``1500m``, ``2Gi``."""
    return format_quantity(Decimal(amount) / _THOUSANDTHS)


def requests_of_pod(spec: Any) -> dict[str, Decimal]:
    """Return what a Pod asks for, by its ``spec``.

    Init containers run one after the other before the others, except those that are always restarted, which stay. Where only a
    limit is set, that is asked for.
    """
    staying: Mapping[str, Decimal] = {}
    highest: Mapping[str, Decimal] = {}
    for container in _mappings(spec, "initContainers"):
        needed = add_quantities([staying, _requests(container)])
        highest = _larger(highest, needed)
        if container.get("restartPolicy") == "Always":
            staying = needed
    running = add_quantities([staying, *(_requests(container) for container in _mappings(spec, "containers"))])
    total = _larger(highest, running) | _requests(_mapping(spec))
    return add_quantities([total, read_quantities(_mapping(spec).get("overhead")), {"pods": Decimal(1)}])


def _requests(holder: Mapping[str, Any]) -> dict[str, Decimal]:
    resources = _mapping(holder.get("resources"))
    return read_quantities(resources.get("limits")) | read_quantities(resources.get("requests"))


def _larger(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in {*one, *other}}


def requests_of_manifest(manifest: Iterable[Any], nodes: int = 1) -> dict[str, int]:
    """Return what all Pods of a manifest ask for together, once all of them run.

    :param nodes: the number of nodes of the cluster: a DaemonSet has a Pod on each.
    """
    pods = ((_PODS.get(_type_of(item)), _mapping(_mapping(item).get("spec"))) for item in manifest)
    parts = [_multiply(*find(spec, nodes)) for find, spec in pods if find is not None]
    return asked(add_quantities(parts))


def _type_of(item: Any) -> tuple[str, str]:
    group = str(_mapping(item).get("apiVersion")).rpartition("/")[0]
    return group, str(_mapping(item).get("kind"))


def _multiply(number: int, spec: Any) -> dict[str, Decimal]:
    return {name: each * number for name, each in requests_of_pod(spec).items()} if number else {}


_Found = tuple[int, Any]
"""The number of Pods, and the spec of each."""


def _of_pod(spec: Mapping[str, Any], nodes: int) -> _Found:
    return 1, spec


def _of_replicas(spec: Mapping[str, Any], nodes: int) -> _Found:
    return _count(spec.get("replicas"), 1), _template(spec)


def _of_daemons(spec: Mapping[str, Any], nodes: int) -> _Found:
    return nodes, _template(spec)


def _of_job(spec: Mapping[str, Any], nodes: int) -> _Found:
    at_once = min(_count(spec.get("parallelism"), 1), _count(spec.get("completions"), _MOST))
    return 0 if spec.get("suspend") is True else at_once, _template(spec)


def _of_scheduled_job(spec: Mapping[str, Any], nodes: int) -> _Found:
    number, pod = _of_job(_mapping(_mapping(spec.get("jobTemplate")).get("spec")), nodes)
    return 0 if spec.get("suspend") is True else number, pod


_PODS: Mapping[tuple[str, str], Callable[[Mapping[str, Any], int], _Found]] = {
    ("", "Pod"): _of_pod,
    ("", "ReplicationController"): _of_replicas,
    ("apps", "Deployment"): _of_replicas,
    ("apps", "ReplicaSet"): _of_replicas,
    ("apps", "StatefulSet"): _of_replicas,
    ("apps", "DaemonSet"): _of_daemons,
    ("batch", "Job"): _of_job,
    ("batch", "CronJob"): _of_scheduled_job,
}
"""By API group and kind, what has Pods."""


def _template(spec: Mapping[str, Any]) -> Any:
    return _mapping(spec.get("template")).get("spec")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(holder: Any, key: str) -> list[Mapping[str, Any]]:
    value = _mapping(holder).get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _count(value: Any, default: int) -> int:
    return min(max(value, 0), _MOST) if isinstance(value, int) and not isinstance(value, bool) else default


class Demand:
    """What an application asks for on each cluster: overrides may make a difference. What was found once is remembered."""

    def __init__(self, manifest: list[dict[str, Any]], overrides: list[Override]) -> None:
        self._manifest, self._overrides = manifest, overrides
        self._by_node = any(_type_of(item) == ("apps", "DaemonSet") for item in manifest)
        self._known: dict[tuple[tuple[int, ...], int], Amounts] = {}

    @property
    def everywhere(self) -> Amounts | None:
        """What is asked for, if it is the same on all clusters."""
        return None if self._overrides or self._by_node else self.on("", {}, 1)

    def on(self, cluster: str, labels: Mapping[str, str], nodes: int) -> Amounts:
        """Return what is asked for on a cluster.

        :param nodes: how many it has.
        """
        meant = tuple(index for index, each in enumerate(self._overrides) if matches(each, cluster, labels))
        key = meant, max(nodes, 1) if self._by_node else 1
        if (known := self._known.get(key)) is None:
            self._known[key] = known = requests_of_manifest(self._render(meant, cluster, labels), key[1])
        return known

    def _render(self, meant: tuple[int, ...], cluster: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            return render(self._manifest, [self._overrides[index] for index in meant], cluster, labels)
        except InvalidOverride:
            return self._manifest  # the application controller tells of it
