"""Quotas: how much of the clusters a namespace may take."""

import argparse
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Object, cell
from rok.errors import Failure, Misuse
from rok.flags import Flags, flag, switch
from rok.output import View

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
VIEW = View(route=Route("core", "quotas", True), kind="Quota", columns=_CELLS, rows=_CELLS)

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
