"""Metrics, of a namespace and of all: what clusters, clouds and projects are ranked by."""

import argparse
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Object, cell
from rok.errors import Failure
from rok.flags import Flags, flag
from rok.output import View

_CELLS = (
    *cells.BASE,
    cell("provider", "spec.provider.name"),
    cell("min", "spec.min"),
    cell("max", "spec.max"),
    cell("allowed_values", "spec.allowed_values", cells.listing),
)
_DETAILS = (
    *_CELLS,
    cell("metric", "spec.provider.metric"),
    cell("out_of_range", "spec.out_of_range"),
    cell("on_failure", "spec.on_failure"),
    cell("max_age", "spec.max_age"),
)


def _view(kind: str, route: Route) -> View:
    return View(route=route, kind=kind, columns=_CELLS, rows=_CELLS, details=_DETAILS)


VIEW = _view("Metric", Route("core", "metrics", True))
GLOBAL_VIEW = _view("GlobalMetric", Route("core", "globalmetrics", False))


def _flags(provider: str, what: str, *, required: bool) -> Flags:
    return (
        flags.NAME,
        flag(provider, dest="provider", required=required, metavar="NAME", help=f"the {what} that knows its value"),
        flag("--min", type=float, required=required, help="lowest value; it counts as 0"),
        flag("--max", type=float, required=required, help="highest value; it counts as 1"),
        flag("--metric-name", metavar="NAME", help="what the provider knows it by (default when it is created: its name)"),
        flag(
            "--allowed-values", type=_number, nargs="*", metavar="VALUE", help="the only values that are valid (default: any)"
        ),
        flag(
            "--out-of-range",
            choices=("clamp", "reject"),
            help="what becomes of a value below the lowest or above the highest one (Krake's default: clamp)",
        ),
        flag(
            "--on-failure",
            choices=("last_value", "ignore", "exclude"),
            help="what counts while the value can not be read (Krake's default: last_value)",
        ),
        flag("--max-age", type=int, metavar="SECONDS", help="how long the last value counts (Krake's default: 300)"),
    )


def _number(text: str) -> int | float:
    """Read a number; whole ones stay whole."""
    try:
        return int(text)
    except ValueError:
        return float(text)


CREATE_FLAGS = _flags("--mp-name", "metrics provider", required=True)
UPDATE_FLAGS = _flags("--mp-name", "metrics provider", required=False)
GLOBAL_CREATE_FLAGS = _flags("--gmp-name", "global metrics provider", required=True)
GLOBAL_UPDATE_FLAGS = _flags("--gmp-name", "global metrics provider", required=False)

_SETTINGS = ("min", "max", "allowed_values", "out_of_range", "on_failure", "max_age")


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name in _SETTINGS if (value := getattr(args, name)) is not None}


def new_metric(kind: str, args: argparse.Namespace) -> Object:
    """Return the body of a request to create a metric."""
    provider = {"name": args.provider, "metric": args.metric_name or args.name}
    spec = {"allowed_values": [], **_given(args), "provider": provider}
    return {"api": "core", "kind": kind, "metadata": {"name": args.name}, "spec": spec}


def changed_metric(stored: Object, args: argparse.Namespace) -> Object:
    """Return a metric as a command changes it; what is not given stays."""
    source = {"name": args.provider, "metric": args.metric_name}
    provider = {key: value for key, value in source.items() if value is not None}
    given = _given(args)
    if not given and not provider:
        raise Failure("nothing is to be changed: name what, for example --max")
    spec = stored["spec"]
    return {**stored, "spec": {**spec, **given, "provider": {**spec["provider"], **provider}}}
