"""Magnum clusters: Kubernetes clusters that OpenStack Magnum creates."""

import argparse
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Cell, Object, cell, dig
from rok.constraints import read_label_constraint
from rok.errors import Failure, Misuse
from rok.flags import Flags, flag, repeated, switch
from rok.output import View
from rok.waiting import DELETED, Goal

VIEW = View(
    route=Route("openstack", "magnumclusters", True),
    kind="MagnumCluster",
    columns=(*cells.BASE, cells.STATE),
    rows=(
        *cells.BASE,
        cells.STATE,
        cells.REASON,
        cell("master", "spec.master_count"),
        cell("nodes", "spec.node_count"),
        cell("label constraints", "spec.constraints.project.labels", cells.listing),
        cell("metrics", "spec.metrics", cells.listing),
        cell("project", "status.project", cells.reference),
        cell("template", "status.template"),
        cell("cluster_id", "status.cluster_id"),
        cell("node_count", "status.node_count"),
        cell("api_address", "status.api_address"),
        cell("master_addresses", "status.master_addresses"),
        cell("node_addresses", "status.node_addresses"),
        cell("cluster", "status.cluster", cells.reference),
    ),
    facts=(
        cell("phase", "status.phase"),
        Cell("attempts", lambda item: dig(item, "status.attempts") or None, cells.plain),
        cell("scheduled_retry", "status.scheduled_retry", cells.time),
    ),
)

CREATE_GOALS = {
    "creating": Goal("creating", frozenset({"CREATING", "RUNNING"})),
    "running": Goal("running", frozenset({"RUNNING"})),
}
UPDATE_GOALS = {
    "reconciling": Goal("reconciling", frozenset({"RECONCILING", "RUNNING"}), lasting=frozenset({"RUNNING"})),
    "running": Goal("running", frozenset({"RUNNING"}), lasting=frozenset({"RUNNING"})),
}
DELETE_GOALS = {"deleting": Goal("deleting", frozenset({"DELETING"}), gone=True), "deleted": DELETED}


def read_count(least: int) -> Any:
    """Return a reader of whole numbers."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise Misuse(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return read


_NODES = flag("--node-count", type=read_count(0), metavar="NUMBER", help="nodes beside the masters (default: the template's)")
_CONSTRAINT = repeated(
    "-L",
    "--project-label-constraint",
    dest="label_constraints",
    metavar="CONSTRAINT",
    read=read_label_constraint,
    help="what the labels of the project must be, for example 'location is DE'",
)
CREATE_FLAGS: Flags = (
    flags.NAME,
    flag("--master-count", type=read_count(1), metavar="NUMBER", help="masters (default: the template's); stays as it is"),
    _NODES,
    _CONSTRAINT,
    *flags.METRICS,
    flags.LABEL,
    *flags.wait("creating", "running", default="running"),
    *flags.COMMON,
)
UPDATE_FLAGS: Flags = (
    flags.NAME,
    _NODES,
    _CONSTRAINT,
    *flags.METRICS,
    flags.LABEL,
    flags.REMOVE_LABELS,
    flags.REMOVE_METRICS,
    switch("--remove-existing-label-constraints", help="drop the label constraints that are not given anew"),
    *flags.wait("reconciling", "running", default="running"),
    *flags.COMMON,
)
DELETE_FLAGS: Flags = (flags.NAME, *flags.wait("deleting", "deleted", default="deleted"), *flags.COMMON)


def new_magnum_cluster(args: argparse.Namespace) -> Object:
    """Return the body of a request to create a Magnum cluster."""
    spec = {
        "master_count": args.master_count,
        "node_count": args.node_count,
        "metrics": flags.joined([], args.metrics),
        "constraints": {"project": {"labels": args.label_constraints}},
    }
    metadata = {"name": args.name, "labels": flags.check_labels(args.labels)}
    return {"api": "openstack", "kind": "MagnumCluster", "metadata": metadata, "spec": spec}


def changed_magnum_cluster(stored: Object, args: argparse.Namespace) -> Object:
    """Return a Magnum cluster as a command changes it.

    Labels, metrics and constraints are added; what is not given stays.
    """
    removed = (args.remove_existing_labels, args.remove_existing_metrics, args.remove_existing_label_constraints)
    if args.node_count is None and not any((args.label_constraints, args.metrics, args.labels, *removed)):
        raise Failure("nothing is to be changed: name what, for example --node-count")
    metadata, old = stored["metadata"], stored["spec"]
    metrics = [] if args.remove_existing_metrics else old.get("metrics") or []
    spec = {**old, "metrics": flags.merged_metrics(metrics, args.metrics)}
    if args.node_count is not None:
        spec["node_count"] = args.node_count
    if args.label_constraints or args.remove_existing_label_constraints:
        kept = [] if args.remove_existing_label_constraints else dig(old, "constraints.project.labels") or []
        project = {**(dig(old, "constraints.project") or {}), "labels": flags.joined(kept, args.label_constraints)}
        spec["constraints"] = {**(old.get("constraints") or {}), "project": project}
    labels = {**({} if args.remove_existing_labels else metadata["labels"]), **flags.check_labels(args.labels)}
    return {**stored, "metadata": {**metadata, "labels": labels}, "spec": spec}
