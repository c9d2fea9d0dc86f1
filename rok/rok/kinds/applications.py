"""Applications: what runs on the clusters."""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from krake.client.wire import Route

from rok import cells, flags, sharing
from rok.cells import Object, cell
from rok.constraints import read_label_constraint, read_metric_constraint
from rok.errors import Failure, warn
from rok.flags import SHUTDOWN_TIMEOUT, Exclusive, Flags, Shutdown, flag, repeated, switch
from rok.kinds import templates
from rok.output import Result, View
from rok.taints import read_toleration, write_tolerations
from rok.waiting import Goal

if TYPE_CHECKING:
    from rok.verbs import Call

STATEFUL_KINDS = frozenset({"Job", "CronJob", "StatefulSet"})


def write_health(health: Any) -> str:
    """Write how many Pods there are, by what became of them."""
    if not isinstance(health, Mapping):
        return ""
    desired, running, failed, completed = (
        health.get(f"{name}_pods") or 0 for name in ("desired", "running", "failed", "completed")
    )
    if completed or failed:
        return f"{running} active / {failed} failed / {completed} succeeded / {desired} desired"
    return f"{running} active / {desired} desired" if desired else ""


def write_volumes(volumes: Any) -> str:
    """Write how far the data of each volume is on its way."""
    found = [each for each in volumes if isinstance(each, Mapping)] if isinstance(volumes, list) else []
    return "\n".join(f"{each.get('claim')}: {each.get('state')}{_share(each)}" for each in found)


def _share(volume: Mapping[str, Any]) -> str:
    done, total = volume.get("bytes_done") or 0, volume.get("bytes_total") or 0
    return f", {done * 100 // total} % of {total / 2**20:,.1f} MiB" if total else ""


_ROWS = (
    *cells.BASE,
    cells.STATE,
    cells.REASON,
    cell("container_health", "status.container_health", write_health),
    cell("services", "status.services"),
    cell("allow migration", "spec.constraints.migration"),
    cell("label constraints", "spec.constraints.cluster.labels", cells.listing),
    cell("resources constraints", "spec.constraints.cluster.custom_resources", cells.listing),
    cell("metric constraints", "spec.constraints.cluster.metrics", cells.listing),
    cell("hooks", "spec.hooks", cells.listing),
    *cells.PLACEMENT,
    *cells.BACKOFF,
)
VIEW = View(
    route=Route("kubernetes", "applications", True),
    kind="Application",
    columns=(*cells.BASE, cells.STATE),
    rows=_ROWS,
    details=(
        *_ROWS,
        cell("tolerations", "spec.tolerations", write_tolerations),
        cell("priority", "spec.priority"),
        cell("anti-affinity", "spec.constraints.anti_affinity", sharing.write_rules),
        cell("spread", "spec.constraints.spread", sharing.write_rules),
        cell("disruption budget", "spec.constraints.disruption_budget", sharing.write_budget),
        cell("volumes", "status.volumes", write_volumes),
    ),
    facts=(cell("waiting_for_cluster", "status.auto_cluster_create_started"),),
)

_UP = frozenset({"RUNNING", "COMPLETED"})
_STARTED = _UP | {"CREATING", "RECONCILING", "RESTARTING"}
_KNOWN = _STARTED | {"PENDING", "TRANSLATING", "RETRYING", "FAILED", "DEGRADED", "WAITING_FOR_CLUSTER_CREATION"}

CREATE_GOALS = {
    "pending": Goal("pending", _KNOWN),
    "creating": Goal("creating", _STARTED),
    "running": Goal("running", _UP, lasting=_UP),
}
UPDATE_GOALS = {
    "reconciling": Goal("reconciling", _UP | {"RECONCILING"}, lasting=_UP),
    "running": Goal("running", _UP, lasting=_UP),
}
DELETE_GOALS = {
    "deleting": Goal("deleting", frozenset({"DELETING", "DELETED"}), gone=True),
    "deleted": Goal("deleted", gone=True),
}

_SOURCE: Flags = (
    flag(
        "-f", "--file", metavar="FILE", help="manifests of Kubernetes, or a TOSCA template, in YAML; - reads the standard input"
    ),
    flag("-u", "--url", help="address of a TOSCA template (.yaml, .yml) or a CSAR archive (.zip, .csar)"),
    flag("-O", "--observer-schema-file", metavar="FILE", help="which fields of the manifests are watched for changes"),
    flag("--overrides", metavar="FILE", help="what is different on some clusters, in YAML: one document for each override"),
)
_DECLARATION: Flags = (
    Exclusive(
        (
            flag("--enable-migration", dest="migration", action="store_true", default=None, help="the application may move"),
            flag("--disable-migration", dest="migration", action="store_false", default=None, help="the application stays"),
        )
    ),
    flag(
        "--migration-strategy",
        choices=("create_first", "delete_first"),
        help="whether the old copy stays until the new one is ready, or goes before there is a new one (default: create_first)",
    ),
    flag(
        "--storage-migration",
        choices=("copy", "none"),
        help="whether the data of its volumes moves along, or the volumes begin empty (default: copy)",
    ),
    flags.LABEL,
    repeated(
        "-L",
        "--cluster-label-constraint",
        dest="label_constraints",
        metavar="CONSTRAINT",
        read=read_label_constraint,
        help="what the labels of the cluster must be, for example 'location is DE or location is SK'",
    ),
    repeated(
        "-R",
        "--cluster-resource-constraint",
        dest="resource_constraints",
        metavar="PLURAL.GROUP",
        help="custom resource that the cluster must know",
    ),
    repeated(
        "-M",
        "--cluster-metric-constraint",
        dest="metric_constraints",
        metavar="CONSTRAINT",
        read=read_metric_constraint,
        help="what the metrics of the cluster must be, for example 'load < 0.5 or load not exists'",
    ),
    flag(
        "--toleration",
        dest="tolerations",
        metavar="TAINT",
        action="append",
        type=read_toleration,
        default=[],
        help="taint of clusters that the application does not mind: KEY=VALUE:EFFECT, KEY:EFFECT, KEY, or * for all; "
        "may be repeated",
    ),
    switch("--hook-complete", help="Krake removes the application when it says that it is complete"),
    flag(
        "--hook-shutdown",
        metavar="[SECONDS [give_up|delete [RETRIES]]]",
        type=flags.read_shutdown,
        help=f"Krake asks the application to shut down before it moves or ends, and waits (default: {SHUTDOWN_TIMEOUT} s)",
    ),
    *sharing.FLAGS,
    *flags.BACKOFF,
)

CREATE_FLAGS: Flags = (
    flags.NAME,
    *_SOURCE,
    *templates.FLAGS,
    *_DECLARATION,
    switch("--auto-cluster-create", help="create a cluster if none matches"),
    repeated("-i", "--inject", dest="injections", metavar="KEY=VALUE", help="set environment variables whose value is KEY"),
    *flags.wait(
        *("creating", "pending", "running"),
        default="running",
        timeout=None,
        depending=f"{flags.WAIT_TIMEOUT:.0f}, with --auto-cluster-create {flags.CREATION_TIMEOUT:.0f}",
    ),
    *flags.COMMON,
)
UPDATE_FLAGS: Flags = (
    flags.NAME,
    *_SOURCE,
    *templates.FLAGS,
    *_DECLARATION,
    switch("--remove-existing-inputs", help="drop the inputs that are not given anew"),
    switch("--remove-existing-labels", help="drop the labels that are not given anew"),
    switch("--remove-existing-label-constraints", help="drop the label constraints that are not given anew"),
    switch("--remove-existing-resource-constraints", help="drop the resource constraints that are not given anew"),
    switch("--remove-existing-metric-constraints", help="drop the metric constraints that are not given anew"),
    switch("--remove-existing-tolerations", help="drop the tolerations that are not given anew"),
    switch("--remove-existing-hooks", help="drop the hooks that are not given anew"),
    *sharing.REMOVALS,
    switch("--remove-existing-overrides", help="drop the overrides unless they are given anew"),
    *flags.wait("reconciling", "running", default="running"),
    *flags.COMMON,
)
DELETE_FLAGS: Flags = (
    flags.NAME,
    flags.FORCE,
    *flags.wait("deleting", "deleted", default="deleted"),
    *flags.COMMON,
)


def create_application(call: "Call") -> Result:
    """Create an application; if a cluster is created for it, that is waited for as well."""
    from rok.verbs import create_object

    if call.args.timeout is None:
        call.args.timeout = flags.CREATION_TIMEOUT if call.args.auto_cluster_create else flags.WAIT_TIMEOUT
    return create_object(call, new_application, CREATE_GOALS)


def new_application(args: argparse.Namespace) -> Object:
    """Return the body of a request to create an application."""
    if not args.file and not args.url:
        raise Failure("there is nothing to create: give a file with -f, or an address with -u")
    spec: dict[str, Any] = {
        "manifest": [],
        "tosca": {},
        "csar": None,
        "observer_schema": [],
        "hooks": [],
        "auto_cluster_create": args.auto_cluster_create,
        "constraints": {
            "migration": args.migration is not False,
            "cluster": {
                "labels": args.label_constraints,
                "custom_resources": args.resource_constraints,
                "metrics": args.metric_constraints,
            },
            **sharing.given_constraints(args),
        },
        "tolerations": flags.joined([], args.tolerations),
        **_declared(args),
    }
    spec.update(_hooks(args, []))
    templates.add_inputs(spec, {}, args)
    _inject(spec["manifest"], args.injections)
    _warn_of_state(spec)
    labels = flags.check_labels(args.labels)
    return {"api": "kubernetes", "kind": "Application", "metadata": {"name": args.name, "labels": labels}, "spec": spec}


def changed_application(stored: Object, args: argparse.Namespace) -> Object:
    """Return an application as a command changes it.

    Labels are merged, label and resource constraints replaced, metric constraints and tolerations added; what is not given
    stays.
    """
    metadata, old = stored["metadata"], stored["spec"]
    cluster = dict(old["constraints"]["cluster"])
    if args.label_constraints or args.remove_existing_label_constraints:
        cluster["labels"] = args.label_constraints
    if args.resource_constraints or args.remove_existing_resource_constraints:
        cluster["custom_resources"] = args.resource_constraints
    if args.metric_constraints or args.remove_existing_metric_constraints:
        kept = [] if args.remove_existing_metric_constraints else cluster.get("metrics") or []
        cluster["metrics"] = flags.joined(kept, args.metric_constraints)
    constraints = {**old["constraints"], "cluster": cluster, **sharing.given_constraints(args)}
    if args.migration is not None:
        constraints["migration"] = args.migration
    spec = {**old, **_declared(args), "constraints": constraints}
    if args.tolerations or args.remove_existing_tolerations:
        spec["tolerations"] = flags.joined(
            [] if args.remove_existing_tolerations else old.get("tolerations") or [], args.tolerations
        )
    spec.update(_hooks(args, [] if args.remove_existing_hooks else old.get("hooks") or []))
    templates.add_inputs(spec, {} if args.remove_existing_inputs else old.get("inputs") or {}, args)
    if args.remove_existing_overrides and not args.overrides:
        spec["overrides"] = []
    if args.file:
        _warn_of_state(spec)
    labels = {**({} if args.remove_existing_labels else metadata["labels"]), **flags.check_labels(args.labels)}
    return {**stored, "metadata": {**metadata, "labels": labels}, "spec": spec}


_AS_GIVEN = ("priority", "backoff", "backoff_delay", "backoff_limit", "migration_strategy", "storage_migration")


def _declared(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the spec that the command gives as they are to be stored."""
    spec = {key: getattr(args, key) for key in _AS_GIVEN if getattr(args, key) is not None}
    if args.file or args.url:
        spec |= {"manifest": [], "tosca": {}, "csar": None} | (_from_file(args.file) if args.file else _from_url(args.url))
    if args.observer_schema_file:
        from rok.files import read_documents

        spec["observer_schema"] = read_documents(args.observer_schema_file)
    if args.overrides:
        from rok.files import read_documents

        spec["overrides"] = read_documents(args.overrides)
    return spec


def _from_file(path: str) -> dict[str, Any]:
    from rok.files import read_documents

    documents = read_documents(path)
    return {"tosca": documents[0]} if "tosca_definitions_version" in documents[0] else {"manifest": documents}


def _from_url(url: str) -> dict[str, Any]:
    if url.endswith((".yaml", ".yml")):
        return {"tosca": url}
    if url.endswith((".zip", ".csar")):
        return {"csar": url}
    raise Failure(f"{url} is neither a TOSCA template (.yaml, .yml) nor a CSAR archive (.zip, .csar): give another address")


def _hooks(args: argparse.Namespace, kept: list[str]) -> dict[str, Any]:
    shutdown: Shutdown | None = args.hook_shutdown
    given = (["complete"] if args.hook_complete else []) + (["shutdown"] if shutdown else [])
    spec: dict[str, Any] = {"hooks": flags.joined(kept, given)}
    if shutdown is not None:
        spec["shutdown_grace_time"] = shutdown.timeout
        if shutdown.strategy is not None:
            spec["shutdown_failure_strategy"] = shutdown.strategy
        if shutdown.retries is not None:
            spec["shutdown_retry_count"] = shutdown.retries
    return spec


def _inject(manifest: list[dict[str, Any]], injections: list[str]) -> None:
    """Replace the values of environment variables in a manifest."""
    values = dict(map(flags.read_pair("injection"), injections))
    used = set()
    for entry in _environment(manifest):
        if (key := entry.get("value")) in values and isinstance(key, str):
            entry["value"] = values[key]
            used.add(key)
    for key in values.keys() - used:
        warn(f"no environment variable of the manifest has the value {key!r}, which -i replaces")


def _environment(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the entries of all lists called ``env``."""
    if isinstance(node, list):
        for each in node:
            yield from _environment(each)
    elif isinstance(node, dict):
        for key, inner in node.items():
            if key == "env" and isinstance(inner, list):
                yield from (entry for entry in inner if isinstance(entry, dict))
            else:
                yield from _environment(inner)


def _warn_of_state(spec: Mapping[str, Any]) -> None:
    """Warn of an application that may lose its state when it moves."""
    if not spec["constraints"]["migration"] or "shutdown" in spec["hooks"]:
        return
    kinds = (STATEFUL_KINDS & {str(item.get("kind")) for item in spec["manifest"]}) | _kinds_of_tosca(spec["tosca"])
    if spec.get("storage_migration", "copy") == "copy":
        kinds -= {"StatefulSet"}  # its volumes move with it
    if kinds:
        listed = ", ".join(sorted(kinds))
        warn(f"the application holds {listed} and may lose its state when it moves: use --hook-shutdown or --disable-migration")


def _kinds_of_tosca(tosca: Any) -> set[str]:
    text = str(tosca)
    return {kind for kind in STATEFUL_KINDS if f"kind: {kind}\\n" in text or f"'kind': '{kind}'" in text}
