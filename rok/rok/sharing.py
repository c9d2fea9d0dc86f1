"""How applications share clusters, on the command line: who keeps apart, how they are spread, and how many move at once."""

import argparse
import re
from typing import Any

from rok.cells import Object, dig
from rok.constraints import read_label_constraint
from rok.errors import Misuse
from rok.flags import Flags, flag, switch

_RULE = re.compile(r"(?P<labels>.+?)(?:\s+over\s+(?P<over>\S+))?(?:\s+by\s+(?P<by>\d+))?(?P<wish>\s+if\s+possible)?")
_BUDGET = re.compile(r"(?P<number>\d+)\s+of\s+(?P<labels>.+)")
_AND = re.compile(r"\s+and\s+")
ALL = "*"
"""Stands for all applications of the namespace."""


def _read_labels(text: str) -> list[str]:
    return [] if text.strip() == ALL else [read_label_constraint(each) for each in _AND.split(text.strip())]


def read_distance(text: str) -> Object:
    """Read ``CONSTRAINT [and CONSTRAINT …] [over LABEL] [if possible]``."""
    match = _RULE.fullmatch(text.strip())
    if match is None or match["by"]:
        raise Misuse(f"{text!r} does not say whom to keep apart from: write for example 'app is web over zone', or * for all")
    return {"labels": _read_labels(match["labels"]), "over": match["over"], "required": not match["wish"]}


def read_spread(text: str) -> Object:
    """Read ``CONSTRAINT [and CONSTRAINT …] [over LABEL] [by NUMBER] [if possible]``."""
    match = _RULE.fullmatch(text.strip())
    if match is None or match["by"] == "0":
        raise Misuse(f"{text!r} does not say what is spread: write for example 'app is web over zone by 2', or * for all")
    most = int(match["by"] or 1)
    return {"labels": _read_labels(match["labels"]), "over": match["over"], "max_skew": most, "required": not match["wish"]}


def read_budget(text: str) -> Object:
    """Read ``NUMBER of CONSTRAINT [and CONSTRAINT …]``."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None:
        raise Misuse(f"{text!r} is no disruption budget: write for example '1 of app is web', or '0 of *'")
    return {"labels": _read_labels(match["labels"]), "max_unavailable": int(match["number"])}


def _write_labels(labels: Any) -> str:
    return " and ".join(labels or []) or ALL


def write_rules(rules: Any) -> str:
    """Write whom an application keeps apart from, or how it is spread, as it is given: one per line."""
    return "\n".join(_write_rule(rule) for rule in rules or []) or "None"


def _write_rule(rule: Object) -> str:
    over = f" over {rule['over']}" if rule.get("over") else ""
    by = f" by {rule['max_skew']}" if rule.get("max_skew", 1) != 1 else ""
    wish = "" if rule.get("required", True) else " if possible"
    return f"{_write_labels(rule.get('labels'))}{over}{by}{wish}"


def write_budget(budget: Any) -> str:
    """Write a disruption budget as it is given."""
    return f"{dig(budget, 'max_unavailable')} of {_write_labels(dig(budget, 'labels'))}" if budget else "None"


FLAGS: Flags = (
    flag(
        "--priority",
        type=int,
        metavar="NUMBER",
        help="where there is not room for all, those of a higher one are placed first (default: 0)",
    ),
    flag(
        "--anti-affinity",
        metavar="RULE",
        action="append",
        type=read_distance,
        default=[],
        help="keep apart from the applications with these labels, for example 'app is web', 'app is web over zone', or * for "
        "all; with 'if possible' at the end as far as others fit; may be repeated",
    ),
    flag(
        "--spread",
        metavar="RULE",
        action="append",
        type=read_spread,
        default=[],
        help="spread the applications with these labels evenly, for example 'app is web over zone', or with a difference of "
        "at most 2 'app is web over zone by 2'; with 'if possible' at the end as far as others fit; may be repeated",
    ),
    flag(
        "--disruption-budget",
        metavar="BUDGET",
        type=read_budget,
        help="so many of the applications with these labels may be moved at once, for example '1 of app is web'",
    ),
)
REMOVALS: Flags = (
    switch("--remove-existing-anti-affinity", help="drop whom it keeps apart from"),
    switch("--remove-existing-spread", help="drop how it is spread"),
    switch("--remove-existing-disruption-budget", help="drop the disruption budget"),
)


def given_constraints(args: argparse.Namespace) -> Object:
    """Return the constraints that a command replaces, or drops."""
    constraints: Object = {}
    for name in ("anti_affinity", "spread"):
        if (rules := getattr(args, name)) or getattr(args, f"remove_existing_{name}", False):
            constraints[name] = rules
    if args.disruption_budget is not None or getattr(args, "remove_existing_disruption_budget", False):
        constraints["disruption_budget"] = args.disruption_budget
    return constraints
