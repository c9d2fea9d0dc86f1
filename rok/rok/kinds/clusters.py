"""Kubernetes clusters: registered ones, and ones that Krake creates."""

import argparse
from collections.abc import Mapping
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from krake.client.errors import Forbidden, NotFound
from krake.client.wire import Route
from krake.client.wire import create as create_request

from rok import cells, flags
from rok.cells import Object, cell, dig
from rok.constraints import read_label_constraint, read_metric_constraint
from rok.errors import Failure, warn
from rok.flags import Flags, flag, repeated, switch
from rok.output import Result, View
from rok.place import Place
from rok.progress import find_progress
from rok.taints import write_taints
from rok.waiting import Goal

if TYPE_CHECKING:
    from rok.session import Session
    from rok.verbs import Call

UNCHECKED = frozenset({"PENDING", "CONNECTING"})
"""States of a registered cluster that the cluster controller has not looked at yet."""

CLOUDS = {
    "Cloud": Route("infrastructure", "clouds", True),
    "GlobalCloud": Route("infrastructure", "globalclouds", False),
}


def _conditions(node: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the statuses of a node's conditions, by their types."""
    conditions = dig(node, "status.conditions")
    return {str(each.get("type")): str(each.get("status")) for each in conditions or [] if isinstance(each, Mapping)}


def _count_nodes(condition: str) -> cells.Getter:
    """Return a getter of how many nodes have a condition, of how many."""

    def count(item: Object) -> str | None:
        nodes = dig(item, "status.nodes")
        if not nodes:
            return None
        return f"{sum(_conditions(node).get(condition) == 'True' for node in nodes)}/{len(nodes)}"

    return count


def _find_closure(item: Object) -> str | None:
    """Return why a cluster does not take any application, or nothing."""
    taints = dig(item, "spec.taints") or []
    closures = {
        "no (deleting)": dig(item, "metadata.deleted"),
        "no (draining)": dig(item, "spec.drain"),
        "no (cordoned)": dig(item, "spec.unschedulable"),
        "if tolerated": any(each.get("effect") != "PreferNoSchedule" for each in taints),
    }
    return next((text for text, holds in closures.items() if holds), None)


def _write_shares(item: Object) -> str | None:
    """Write how much of what Pods may use they have asked for."""
    from krake.data.quantities import read_quantities

    usable, asked = (read_quantities(dig(item, f"status.{name}")) for name in ("allocatable", "requested"))
    shares = (f"{name} {asked.get(name, 0) / usable[name]:.0%}" for name in ("cpu", "memory") if usable.get(name))
    return ", ".join(shares) or None


_NODES = cells.Cell("nodes", _count_nodes("Ready"), cells.plain)
_SHARES = cells.Cell("requested", _write_shares, cells.plain)
_SCHEDULABLE = cells.Cell("schedulable", _find_closure, lambda closure: closure or "yes")
_TAINTS = cell("taints", "spec.taints", write_taints)
_PROGRESS = cells.Cell("infrastructure", find_progress, lambda said: shorten(said or "", 60, placeholder=" …"))
_INFRASTRUCTURE = (
    cell("infrastructure", "status.infrastructure.phase"),
    cells.Cell("machines", lambda item: dig(item, "status.infrastructure.machines") or None, cells.plain),
    cell("infrastructure_message", "status.infrastructure.message"),
    cell("infrastructure_provider", "status.infrastructure.provider", cells.reference),
    cell("infrastructure_started", "status.infrastructure.started", cells.time),
    cell("infrastructure_observed", "status.infrastructure.observed", cells.time),
    cell("cluster_id", "status.cluster_id"),
    cell("idle_since", "status.idle_since", cells.time),
)
"""What is shown of clusters that are created on a cloud."""
_ROWS = (
    *cells.BASE,
    cells.STATE,
    cells.REASON,
    cell("custom_resources", "spec.custom_resources", cells.listing),
    cell("metrics", "spec.metrics", cells.listing),
    cell("failing_metrics", "status.metrics_reasons", cells.reasons),
    cell("label constraints", "spec.constraints.cloud.labels", cells.listing),
    cell("metric constraints", "spec.constraints.cloud.metrics", cells.listing),
    *cells.PLACEMENT,
)
VIEW = View(
    route=Route("kubernetes", "clusters", True),
    kind="Cluster",
    columns=(*cells.BASE, cells.STATE),
    rows=_ROWS,
    details=(
        *_ROWS,
        _SCHEDULABLE,
        _TAINTS,
        _NODES,
        cells.Cell("nodes_pid_pressure", _count_nodes("PIDPressure"), cells.plain),
        cells.Cell("nodes_memory_pressure", _count_nodes("MemoryPressure"), cells.plain),
        cells.Cell("nodes_disk_pressure", _count_nodes("DiskPressure"), cells.plain),
        *cells.BACKOFF,
        cell("kubernetes_version", "status.kubernetes_version"),
        cell("capacity", "status.capacity"),
        cell("allocatable", "status.allocatable"),
        cell("requested", "status.requested"),
        cell("retries", "status.retries"),
        cell("scheduled_retry", "status.scheduled_retry", cells.time),
    ),
    remarks=(_SCHEDULABLE, _TAINTS, _NODES, _SHARES, _PROGRESS),
    facts=_INFRASTRUCTURE,
)

_ONLINE = frozenset({"ONLINE"})
_MADE = _ONLINE | {"CONNECTING", "OFFLINE", "UNHEALTHY", "NOTREADY", "FAILING_METRICS"}

CREATE_GOALS = {
    "creating": Goal("creating", _MADE | {"CREATING"}),
    "connecting": Goal("connecting", _MADE),
    "online": Goal("online", _ONLINE, lasting=_ONLINE),
}
UPDATE_GOALS = {
    "reconciling": Goal("reconciling", _ONLINE | {"RECONCILING"}, lasting=_ONLINE),
    "online": Goal("online", _ONLINE, lasting=_ONLINE),
}
DELETE_GOALS = {
    "deleting": Goal("deleting", frozenset({"DELETING"}), gone=True),
    "deleted": Goal("deleted", gone=True),
}

_KUBECONFIG = flag(
    "-k", "--kubeconfig", metavar="FILE", required=True, help="kubeconfig of the cluster; - reads the standard input"
)
_CONTEXT = flag("-c", "--context", help="context of the kubeconfig (default: its current one)")
_TOSCA = flag("-f", "--file", metavar="FILE", required=True, help="TOSCA template of the cluster, in YAML")
_SHARED: Flags = (
    repeated(
        "-R",
        "--custom-resource",
        dest="custom_resources",
        metavar="PLURAL.GROUP",
        help="custom resource that the cluster knows",
    ),
    *flags.METRICS,
    flags.LABEL,
    *flags.BACKOFF,
)
_CONSTRAINTS: Flags = (
    repeated(
        "-L",
        "--cloud-label-constraint",
        dest="label_constraints",
        metavar="CONSTRAINT",
        read=read_label_constraint,
        help="what the labels of the cloud must be, for example 'location is DE'",
    ),
    repeated(
        "-M",
        "--cloud-metric-constraint",
        dest="metric_constraints",
        metavar="CONSTRAINT",
        read=read_metric_constraint,
        help="what the metrics of the cloud must be, for example 'load < 0.5'",
    ),
)

REGISTER_FLAGS: Flags = (
    _KUBECONFIG,
    _CONTEXT,
    flag("--name", help="name of the cluster in Krake (default: its name in the kubeconfig)"),
    *_SHARED,
    flags.NO_WAIT,
    *flags.wait("online", default="online"),
    *flags.COMMON,
)
CREATE_FLAGS: Flags = (
    flags.NAME,
    _TOSCA,
    *_SHARED,
    *_CONSTRAINTS,
    switch("--inherit-metrics", help="the cluster also has the metrics of its cloud"),
    switch("--inherit-labels", help="the cluster also has the labels of its cloud"),
    *flags.wait("creating", "connecting", "online", default="online", timeout=flags.CREATION_TIMEOUT),
    *flags.COMMON,
)
UPDATE_FLAGS: Flags = (
    flags.NAME,
    flag("-k", "--kubeconfig", metavar="FILE", help="new kubeconfig; - reads the standard input"),
    _CONTEXT,
    flag("-f", "--file", metavar="FILE", help="new TOSCA template, in YAML"),
    *_SHARED,
    *_CONSTRAINTS,
    flags.REMOVE_LABELS,
    flags.REMOVE_METRICS,
    switch("--remove-existing-cloud-label-constraints", help="drop the label constraints that are not given anew"),
    switch("--remove-existing-cloud-metric-constraints", help="drop the metric constraints that are not given anew"),
    *flags.wait("reconciling", "online", default="online", timeout=flags.CREATION_TIMEOUT),
    *flags.COMMON,
)
DELETE_FLAGS: Flags = (
    flags.NAME,
    flags.CASCADE,
    flags.FORCE,
    *flags.wait("deleting", "deleted", default="deleted"),
    *flags.COMMON,
)


def _body(name: str, args: argparse.Namespace, source: Mapping[str, Any], constraints: Mapping[str, Any]) -> Object:
    spec = {
        "custom_resources": args.custom_resources,
        "metrics": flags.joined([], args.metrics),
        "constraints": {"cloud": constraints},
        **source,
        **_backoff(args),
    }
    metadata = {"name": name, "labels": flags.check_labels(args.labels)}
    return {"api": "kubernetes", "kind": "Cluster", "metadata": metadata, "spec": spec}


def _backoff(args: argparse.Namespace) -> dict[str, int]:
    return {key: getattr(args, key) for key in ("backoff", "backoff_delay", "backoff_limit") if getattr(args, key) is not None}


def registered_cluster(args: argparse.Namespace) -> Object:
    """Return the body of a request to register a cluster that exists."""
    from krake.data.names import is_name

    from rok.kubeconfigs import cluster_name, read_kubeconfig

    kubeconfig = read_kubeconfig(args.kubeconfig, args.context)
    name = args.name or cluster_name(kubeconfig)
    if not is_name(name):
        raise Failure(f"{name!r} can not be the name of a cluster in Krake: choose one with --name")
    return _body(name, args, {"kubeconfig": kubeconfig}, {"labels": [], "metrics": []})


def register_cluster(call: "Call") -> Result:
    """Register a cluster and answer with what the first check of it found."""
    from rok.registration import Check, register

    body = registered_cluster(call.args)
    if call.args.wait is None:
        return register(call, body, Check(_was_checked, "cluster controller"))
    created = call.session.send(create_request(call.route, call.namespace, body))
    return Result(call.wait(created, CREATE_GOALS))


def _was_checked(item: Object) -> bool:
    return dig(item, "status.state") not in UNCHECKED


def read_template(path: str) -> Object:
    """Return a template of a cluster.

    :raises Failure: it imports files, which whoever creates the cluster could not find.
    """
    # Loading all kinds takes a while.
    from krake.data.tosca import InvalidTemplate, imports_of

    from rok.files import read_documents

    template = read_documents(path)[0]
    try:
        imports_of(template, None)
    except InvalidTemplate as error:
        raise Failure(f"{path} can not be used as a template: {str(error).rstrip('.')}") from None
    return template


def new_cluster(args: argparse.Namespace) -> Object:
    """Return the body of a request to create a cluster."""
    source = {"tosca": read_template(args.file), "inherit_metrics": args.inherit_metrics}
    body = _body(args.name, args, source, {"labels": args.label_constraints, "metrics": args.metric_constraints})
    body["metadata"]["inherit_labels"] = args.inherit_labels
    return body


def changed_cluster(stored: Object, args: argparse.Namespace) -> Object:
    """Return a cluster as a command changes it.

    Labels are merged, custom resources replaced, metrics and constraints added; what is not given stays.
    """
    metadata, old = stored["metadata"], stored["spec"]
    cloud = dict(dig(old, "constraints.cloud") or {})
    for key, given, remove in (
        ("labels", args.label_constraints, args.remove_existing_cloud_label_constraints),
        ("metrics", args.metric_constraints, args.remove_existing_cloud_metric_constraints),
    ):
        if given or remove:
            cloud[key] = flags.joined([] if remove else cloud.get(key) or [], given)
    spec = {
        **old,
        **_backoff(args),
        "constraints": {**(old.get("constraints") or {}), "cloud": cloud},
        "metrics": flags.merged_metrics([] if args.remove_existing_metrics else old["metrics"], args.metrics),
    }
    if args.custom_resources:
        spec["custom_resources"] = args.custom_resources
    if args.kubeconfig:
        from rok.kubeconfigs import read_kubeconfig

        spec["kubeconfig"] = read_kubeconfig(args.kubeconfig, args.context)
    if args.file:
        spec["tosca"] = read_template(args.file)
    labels = {**({} if args.remove_existing_labels else metadata["labels"]), **flags.check_labels(args.labels)}
    return {**stored, "metadata": {**metadata, "labels": labels}, "spec": spec}


def get_cluster(call: "Call") -> Result:
    """Read a cluster, with the labels and metrics that it inherits from its cloud."""
    stored = call.session.get(call.place)
    cloud = _cloud_of(stored, call.session) if _inherits(stored) else None
    return Result(stored if cloud is None else with_inherited(stored, cloud), detailed=True)


def _inherits(stored: Object) -> bool:
    paths = (
        "metadata.inherit_labels",
        "spec.inherit_metrics",
        "spec.constraints.cloud.labels",
        "spec.constraints.cloud.metrics",
    )
    return any(dig(stored, path) for path in paths)


def _cloud_of(stored: Object, session: "Session") -> Object | None:
    target = dig(stored, "status.scheduled_to")
    if not isinstance(target, Mapping) or target.get("kind") not in CLOUDS:
        return None
    try:
        return session.get(Place(CLOUDS[target["kind"]], target.get("namespace"), target["name"]))
    except (NotFound, Forbidden) as error:
        warn(f"what the cluster inherits is not shown: {error.detail}")
        return None


def with_inherited(stored: Object, cloud: Object) -> Object:
    """Return a cluster with what it inherits: all labels and metrics of its cloud, or those that its constraints name."""
    from krake.data.constraints import LabelConstraint, MetricConstraint

    metadata, spec = stored["metadata"], stored["spec"]
    labels = dict(dig(cloud, "metadata.labels") or {})
    metrics = dig(cloud, f"spec.{dig(cloud, 'spec.type')}.metrics") or []
    if not metadata.get("inherit_labels"):
        named = {key for text in dig(spec, "constraints.cloud.labels") or [] for key in LabelConstraint.restore(text).keys}
        labels = {key: value for key, value in labels.items() if key in named}
    if not spec.get("inherit_metrics"):
        named = {key for text in dig(spec, "constraints.cloud.metrics") or [] for key in MetricConstraint.restore(text).keys}
        metrics = [each for each in metrics if each["name"] in named]
    inherited = {key: f"{value} (inherited)" for key, value in labels.items()}
    return {
        **stored,
        "metadata": {**metadata, "labels": {**metadata["labels"], **inherited}},
        "spec": {**spec, "metrics": [*spec["metrics"], *({**each, "inherited": True} for each in metrics)]},
    }
