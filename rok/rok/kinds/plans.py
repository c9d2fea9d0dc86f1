"""Plans: what the scheduler would do, now or if something were different."""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rok import flags
from rok.asking import PATIENCE, ROUTE, ask_scheduler
from rok.cells import Object
from rok.constraints import read_label_constraint, read_metric_constraint
from rok.errors import Failure, Misuse
from rok.flags import Flags, flag, repeated
from rok.output import Result, View
from rok.predictions import predict
from rok.verbs import Call

VIEW = View(route=ROUTE, kind="Plan", columns=(), rows=())
REMARK = "Exit status: 0 if nothing would change, 2 if something would, 1 if there is no plan."
CHANGES = 2
"""Exit status if something would change."""

_READ: dict[str, Callable[[str], str]] = {"labels": read_label_constraint, "metrics": read_metric_constraint}
_PLANNED = ("manifest", "constraints", "tolerations", "priority")
"""What of the specification of an application a plan takes into account."""


def _read_number(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Misuse(f"{text!r} is not a number: write {what}")
    return number


def _split(text: str, separator: str, form: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not left or not found:
        raise Misuse(f"{text!r} is not {form}")
    return left, right


def _split_cluster(text: str, form: str) -> tuple[str, str]:
    cluster, found, rest = text.rpartition(":")
    if not cluster or not found or not rest:
        raise Misuse(f"{text!r} is not {form}")
    return cluster, rest


def read_file(text: str) -> tuple[str | None, str]:
    """Read ``[NAME=]FILE``."""
    name, found, path = text.partition("=")
    return (name, path) if found and name and "/" not in name else (None, text)


def read_constraint(text: str, *, kinds: Sequence[str] = ("labels", "metrics")) -> Object:
    """Read ``APP=CONSTRAINT``; an empty constraint takes all away.

    :param kinds: what it may be on; what is of both languages is on the first.
    """
    app, constraint = _split(text, "=", "APP=CONSTRAINT, for example demo='location is DE'")
    if not constraint.strip():
        return {"application": app, **{kind: [] for kind in kinds}}
    for kind in kinds:
        try:
            return {"application": app, kind: [_READ[kind](constraint)]}
        except Misuse as error:
            problem = error
    if len(kinds) == 1:
        raise problem
    raise Misuse(f"{constraint!r} is no constraint: write for example 'location is DE' or 'load < 0.5'")


def read_label(text: str) -> Object:
    """Read ``CLUSTER:KEY=VALUE``, or ``CLUSTER:KEY-``, which takes the label away."""
    form = "CLUSTER:KEY=VALUE, or CLUSTER:KEY- to take the label away"
    if "=" not in text and text.endswith("-"):
        cluster, key = _split_cluster(text[:-1], form)
        return {"cluster": cluster, "key": key, "value": None}
    left, value = _split(text, "=", form)
    cluster, key = _split_cluster(left, form)
    return {"cluster": cluster, "key": key, "value": value}


def read_weight(text: str) -> Object:
    """Read ``CLUSTER:METRIC=WEIGHT``."""
    form = "CLUSTER:METRIC=WEIGHT, for example edge-2:energy=3"
    left, number = _split(text, "=", form)
    cluster, metric = _split_cluster(left, form)
    return {"cluster": cluster, "metric": metric, "weight": _read_number(number, form)}


def read_metric(text: str) -> Object:
    """Read ``[CLUSTER:]METRIC=VALUE``."""
    form = "METRIC=VALUE or CLUSTER:METRIC=VALUE, for example energy=0.9"
    left, number = _split(text, "=", form)
    cluster, _, metric = left.rpartition(":")
    return {"metric": metric, "value": _read_number(number, form), "cluster": cluster or None}


FLAGS: Flags = (
    repeated(
        "-f",
        "--file",
        dest="files",
        metavar="[NAME=]FILE",
        read=read_file,
        help="applications that are new, or other than now: as Krake has them, or the manifests of one that is called NAME, or "
        "else like the file",
    ),
    repeated(
        "--constraint",
        dest="constraints",
        metavar="APP=CONSTRAINT",
        read=read_constraint,
        help="an application has this constraint instead of those of that kind that it has: on metrics, if it can not be one "
        "on labels; APP= takes all away",
    ),
    repeated(
        "-L",
        "--cluster-label-constraint",
        dest="constraints",
        metavar="APP=CONSTRAINT",
        read=partial(read_constraint, kinds=("labels",)),
        help="the same, on labels in any case",
    ),
    repeated(
        "-M",
        "--cluster-metric-constraint",
        dest="constraints",
        metavar="APP=CONSTRAINT",
        read=partial(read_constraint, kinds=("metrics",)),
        help="the same, on metrics in any case, for example demo='load exists'",
    ),
    repeated(
        "--label",
        dest="labels",
        metavar="CLUSTER:KEY=VALUE",
        read=read_label,
        help="a cluster has this label; CLUSTER:KEY- takes it away",
    ),
    repeated(
        "--weight",
        dest="weights",
        metavar="CLUSTER:METRIC=WEIGHT",
        read=read_weight,
        help="how much a metric counts at a cluster",
    ),
    repeated(
        "--metric",
        dest="metrics",
        metavar="[CLUSTER:]METRIC=VALUE",
        read=read_metric,
        help="a metric has this value, everywhere or at one cluster",
    ),
    repeated("--drain", dest="drain", metavar="CLUSTER", read=flags.read_name, help="a cluster is drained"),
    repeated(
        "--lose",
        dest="lose",
        metavar="CLUSTER|CLOUD",
        read=str,
        help="a cluster, or all clusters of a cloud, are lost; cluster/NAME or cloud/NAME, where the name is of both",
    ),
    repeated(
        "--explain", dest="explain", metavar="APP", read=flags.read_name, help="explain the decision about an application"
    ),
    flag(
        "--timeout",
        type=flags.read_seconds,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"how long to wait for the scheduler (default: {PATIENCE:.0f})",
    ),
    flags.NAMESPACE,
    flag("-o", "--output", choices=("table", "json", "yaml"), default="table", help="format of the output (default: table)"),
    flags.CONFIG,
)


def show_plan(call: Call) -> Result:
    """Show what the scheduler would do; the exit status tells whether that is anything."""
    try:
        spec = make_spec(call.args)
    except Misuse as error:
        raise Failure(str(error)) from None  # the status of misuse is an answer of this command
    status = ask_scheduler(call, spec, call.args.timeout)
    changes = status.get("moving") or status.get("newly_unfit")
    return Result(status, text=partial(predict, status), status=CHANGES if changes else 0)


def make_spec(args: argparse.Namespace) -> Object:
    """Return the specification of the plan that a command asks for."""

    return {
        "applications": [each for name, path in args.files for each in _applications(name, path)],
        "constraints": _merged(args.constraints),
        **{key: getattr(args, key) for key in ("labels", "weights", "metrics", "drain", "lose", "explain")},
    }


def _merged(constraints: Sequence[Object]) -> list[Object]:
    """Return one change for each application, with all of its constraints."""
    found: dict[str, Object] = {}
    for each in constraints:
        change = found.setdefault(each["application"], {"application": each["application"]})
        for key in ("labels", "metrics"):
            if key in each:
                change[key] = [*change.get(key, []), *each[key]]
    return list(found.values())


def _applications(name: str | None, path: str) -> Iterator[Object]:
    """Yield what a file declares: applications of Krake, or the manifests of one."""
    from rok.files import read_documents

    documents = read_documents(path)
    ours = [each for each in documents if each.get("api") == "kubernetes" and each.get("kind") == "Application"]
    if ours and len(ours) < len(documents):
        raise Failure(f"{path} holds applications of Krake and other documents: give them in two files")
    if ours and name is not None and len(ours) > 1:
        raise Failure(f"{path} holds {len(ours)} applications: leave the name away, they have their own")
    for each in ours:
        yield _planned(name, each, path)
    if not ours:
        manifest = [] if "tosca_definitions_version" in documents[0] else documents
        yield {"name": flags.read_name(name or Path(path).stem), "manifest": [_without_secrets(each) for each in manifest]}


def _planned(name: str | None, app: Object, path: str) -> Object:
    metadata, spec = app.get("metadata"), app.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict) or not (name or metadata.get("name")):
        raise Failure(f"{path} holds an application without a name or a specification: give it both")
    planned = {key: spec[key] for key in _PLANNED if key in spec}
    if isinstance(planned.get("manifest"), list):
        planned["manifest"] = [_without_secrets(each) for each in planned["manifest"]]
    return {"name": name or metadata["name"], "labels": metadata.get("labels") or {}, **planned}


def _without_secrets(manifest: Any) -> Any:
    """Return a manifest without what a plan has no use for, and nobody else should see."""
    if not isinstance(manifest, dict) or manifest.get("kind") != "Secret":
        return manifest
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return {"apiVersion": manifest.get("apiVersion"), "kind": "Secret", "metadata": {"name": name}}
