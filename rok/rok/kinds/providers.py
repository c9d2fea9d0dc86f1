"""Metrics providers, of a namespace and of all: where the values of metrics come from."""

import argparse
from collections.abc import Mapping
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Object, cell, dig
from rok.errors import Failure
from rok.flags import Flag, Flags, flag
from rok.output import View

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("url",),
    "static": ("metrics",),
    "kafka": ("url", "comparison_column", "value_column", "table"),
    "influx": ("url", "token", "org", "bucket"),
}
"""What a provider can not be without, by its type."""
_LOGIN = ("token", "username", "password", "ca")
OPTIONAL: Mapping[str, tuple[str, ...]] = {"prometheus": _LOGIN, "static": (), "kafka": _LOGIN, "influx": ("ca",)}
"""What a provider may have besides, by its type."""
_WRITERS = {"token": cells.hidden, "password": cells.hidden}


class AddValue(argparse.Action):
    """Gathers ``--metric NAME VALUE`` in a mapping."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Add a value."""
        name, text = values
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentError(self, f"the value {text!r} of the metric {name!r} is not a number") from None
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name: value})


def _view(kind: str, route: Route) -> View:
    names = ("metrics", "url", "comparison_column", "value_column", "table", "token", "org", "bucket", "username", "password")
    return View(
        route=route,
        kind=kind,
        columns=(*cells.BASE, cell("mp_type", "spec.type")),
        rows=(*cells.BASE, cell("type", "spec.type")),
        facts=tuple(cells.setting(name, write=_WRITERS.get(name)) for name in names),
    )


VIEW = _view("MetricsProvider", Route("core", "metricsproviders", True))
GLOBAL_VIEW = _view("GlobalMetricsProvider", Route("core", "globalmetricsproviders", False))

_METRIC = "-m", "--metric"
_SETTINGS: tuple[Flag, ...] = (
    flag("--url", help="address of the server (prometheus, kafka, influx)"),
    flag(
        *_METRIC,
        dest="metrics",
        action=AddValue,
        nargs=2,
        metavar=("NAME", "VALUE"),
        help="metric and its value (static); may be repeated",
    ),
    flag("--table", help="table of the metrics (kafka)"),
    flag("--comparison-column", metavar="COLUMN", help="column of the names of the metrics (kafka)"),
    flag("--value-column", metavar="COLUMN", help="column of the values (kafka)"),
    flag("--token", help="token to log in by (influx, prometheus, kafka)"),
    flag("--org", help="organisation (influx)"),
    flag("--bucket", help="bucket of the metrics (influx)"),
    flag("--username", help="user to log in as (prometheus, kafka)"),
    flag("--password", help="password of the user (prometheus, kafka)"),
    flag("--ca", metavar="FILE", help="certificates of the authorities that the server is known by, in PEM"),
)
_TYPE = flag("--type", choices=tuple(REQUIRED), required=True, help="what kind of server is asked; static asks none")
CREATE_FLAGS: Flags = (flags.NAME, _TYPE, *_SETTINGS)
UPDATE_FLAGS: Flags = (flags.NAME, *_SETTINGS)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the words of a command name."""
    names = {name for known in (REQUIRED, OPTIONAL) for each in known.values() for name in each}
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if "ca" in given:
        from rok.files import read_text

        given["ca"] = read_text(given["ca"])
    return given


def _option(name: str) -> str:
    return "--metric" if name == "metrics" else f"--{name.replace('_', '-')}"


def _check_foreign(type_: str, given: Mapping[str, Any]) -> None:
    if foreign := sorted(given.keys() - {*REQUIRED.get(type_, given), *OPTIONAL.get(type_, ())}):
        raise Failure(f"a metrics provider of the type {type_} has no {', '.join(map(_option, foreign))}: leave it out")


def new_provider(kind: str, args: argparse.Namespace) -> Object:
    """Return the body of a request to create a metrics provider."""
    given = _given(args)
    if missing := [name for name in REQUIRED[args.type] if name not in given]:
        raise Failure(f"a metrics provider of the type {args.type} needs {', '.join(map(_option, missing))}")
    _check_foreign(args.type, given)
    return {"api": "core", "kind": kind, "metadata": {"name": args.name}, "spec": {"type": args.type, args.type: given}}


def changed_provider(stored: Object, args: argparse.Namespace) -> Object:
    """Return a metrics provider as a command changes it: what is not given stays; static values are replaced together."""
    type_ = dig(stored, "spec.type")
    given = _given(args)
    if not given:
        raise Failure("nothing is to be changed: name what, for example --url or --metric")
    _check_foreign(type_, given)
    return {**stored, "spec": {**stored["spec"], type_: {**stored["spec"][type_], **given}}}
