"""Quotas: how much of the clusters a namespace may take."""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from krake.client import wire
from krake.client.wire import Route

from rok import cells, flags, verbs
from rok.cells import Object, cell
from rok.errors import Failure, Misuse
from rok.flags import Flags, flag, switch
from rok.output import Result, View
from rok.verbs import Call

ANY = "any"
_COUNTS = ("applications", "clusters")


def read_limit(text: str) -> int | str:
    """Read a number, or ``any``."""
    if text == ANY or (text.isascii() and text.isdigit()):
        return text if text == ANY else int(text)
    raise Misuse(f"the limit {text!r} is neither a number nor {ANY!r}")


def _write_limit(value: Any) -> str:
    return ANY if value is None else str(value)


_CELLS = (
    *cells.BASE,
    *(cell(name, f"spec.{name}", _write_limit) for name in _COUNTS),
    cell("requests", "spec.requests"),
)
_USED = (cell("used", "used"),)
VIEW = View(route=Route("core", "quotas", True), kind="Quota", columns=_CELLS, rows=_CELLS, remarks=_USED, facts=_USED)

_LIMITS: Flags = (
    flag("--applications", type=read_limit, metavar="NUMBER", help="so many may be placed on clusters, or any"),
    flag("--clusters", type=read_limit, metavar="NUMBER", help="so many clusters may be created on clouds, or any"),
    flag(
        "--request",
        dest="requests",
        metavar="RESOURCE=QUANTITY",
        action="append",
        type=flags.read_pair("request"),
        default=[],
        help="so much may all placed applications ask for together, for example cpu=20 or memory=64Gi; may be repeated",
    ),
)
CREATE_FLAGS: Flags = (flags.NAME, *_LIMITS)
UPDATE_FLAGS: Flags = (
    flags.NAME,
    *_LIMITS,
    switch("--remove-existing-requests", help="drop the requests that are not given anew"),
)


def _given(args: argparse.Namespace) -> dict[str, int | None]:
    given = {name: value for name in _COUNTS if (value := getattr(args, name)) is not None}
    return {name: None if value == ANY else value for name, value in given.items()}


def show_quota(call: Call) -> Result:
    """Show a quota, and how much of it is used."""
    return Result(_tell_usage(call, [call.session.get(call.place)])[0], detailed=True)


def list_quotas(call: Call) -> Result:
    """List quotas, and how much of them is used."""
    found = verbs.list_objects(call).content
    return Result(_tell_usage(call, found if isinstance(found, list) else []))


def _tell_usage(call: Call, quotas: Sequence[Object]) -> list[Object]:
    """Return quotas with what is used of each, as far as the caller may see the applications and clusters."""
    used: dict[str, Object | None] = {}
    for namespace in {quota["metadata"]["namespace"] for quota in quotas}:
        try:
            used[namespace] = _reckon(call, namespace)
        except Failure:
            used[namespace] = None
    return [_with_usage(quota, used[quota["metadata"]["namespace"]]) for quota in quotas]


def _reckon(call: Call, namespace: str) -> Object:
    """Return what is taken in a namespace: placed applications, clusters on clouds, and amounts by resource."""
    # Loading all kinds takes a while.
    from krake.data.kubernetes import Application, ApplicationState, Cluster

    def read(plural: str) -> list[Object]:
        return verbs.list_of(call.session.send(wire.list_(Route("kubernetes", plural, True), namespace)))

    clusters = {(each := Cluster.restore(found)).ref: each for found in read("clusters")}
    placed, amounts = 0, Counter[str]()
    for app in map(Application.restore, read("applications")):
        place, done = app.status.scheduled_to, app.status.state is ApplicationState.COMPLETED
        placed += place is not None
        if place is not None and not done:
            there = clusters.get(place)
            where = ("", {}, 1) if there is None else (there.metadata.name, there.metadata.labels, len(there.status.nodes))
            amounts.update(app.spec.demand.on(*where))
    bound = sum(each.status.scheduled_to is not None for each in clusters.values())
    return {"applications": placed, "clusters": bound, "requests": amounts}


def _with_usage(quota: Object, used: Object | None) -> Object:
    from krake.data.requests import write_amount

    if used is None:
        return quota
    spec = quota["spec"]
    told: Object = {name: used[name] for name in _COUNTS if spec.get(name) is not None}
    requests = {name: write_amount(used["requests"][name]) for name in spec.get("requests") or {}}
    return {**quota, "used": {**told, **requests}}


def new_quota(kind: str, args: argparse.Namespace) -> Object:
    """Return the body of a request to create a quota."""
    spec = {**_given(args), "requests": dict(args.requests)}
    if not any(value is not None and value != {} for value in spec.values()):
        raise Failure("the quota limits nothing: give --applications, --clusters or --request")
    return {"api": "core", "kind": kind, "metadata": {"name": args.name}, "spec": spec}


def changed_quota(stored: Object, args: argparse.Namespace) -> Object:
    """Return a quota as a command changes it; what is not given stays."""
    given = _given(args)
    if not given and not args.requests and not args.remove_existing_requests:
        raise Failure("nothing is to be changed: name what, for example --applications")
    kept = {} if args.remove_existing_requests else stored["spec"].get("requests") or {}
    return {**stored, "spec": {**stored["spec"], **given, "requests": {**kept, **dict(args.requests)}}}
