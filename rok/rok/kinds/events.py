"""Events: what happened to the objects."""

import re

from krake.client import wire
from krake.client.wire import Route

from rok import cells, flags
from rok.cells import cell, dig
from rok.errors import Misuse
from rok.flags import Flags, flag, switch
from rok.output import Result, View
from rok.verbs import Call, list_of

KINDS = {
    "app": "Application",
    "application": "Application",
    "cluster": "Cluster",
    "mp": "MetricsProvider",
    "gmp": "GlobalMetricsProvider",
    "gm": "GlobalMetric",
    "ip": "InfrastructureProvider",
    "provider": "InfrastructureProvider",
    "gip": "GlobalInfrastructureProvider",
    "gprovider": "GlobalInfrastructureProvider",
    "gc": "GlobalCloud",
    "gcloud": "GlobalCloud",
}
"""Names of kinds as they stand in commands."""


def read_kind(text: str) -> str:
    """Read a kind, however it is written.

    :raises Misuse: there is no such kind.
    """
    plain = re.sub("[_-]", "", text).lower().removesuffix("s")
    if plain in KINDS:
        return KINDS[plain]
    # Loading all kinds takes a while.
    from krake.data import KINDS as ALL

    known = {name.lower(): name for _, name in ALL}
    if plain not in known:
        raise Misuse(f"there is no kind {text!r}: choose {', '.join(sorted(known))}")
    return known[plain]


def write_object(regarding: object) -> str:
    """Write which object an event is about."""
    return f"{dig(regarding, 'kind')}/{dig(regarding, 'name')}".lower()


VIEW = View(
    route=Route("core", "events", True),
    kind="Event",
    columns=(
        cell("last", "last", cells.time),
        cell("type", "type"),
        cell("reason", "reason"),
        cell("object", "regarding", write_object),
        cell("count", "count"),
        cell("component", "component"),
        cell("message", "message"),
    ),
    rows=(),
)

FLAGS: Flags = (
    flag("about_kind", nargs="?", metavar="KIND", type=read_kind, help="of objects of this kind only, for example app"),
    flag("about_name", nargs="?", metavar="NAME", type=flags.read_name, help="of this object only"),
    switch("-a", "--all", "--all-namespaces", help="show the events of all namespaces"),
    *flags.COMMON,
)


def _namespace(call: Call) -> str | None:
    """Return where the events are: those of objects that are in no namespace have one of their own."""
    if call.args.about_kind is None:
        return call.namespace
    from krake.data import KINDS as ALL
    from krake.data.events import NAMESPACE

    namespaced = any(kind.definition.namespaced for (_, name), kind in ALL.items() if name == call.args.about_kind)
    return call.namespace if namespaced else NAMESPACE


def list_events(call: Call) -> Result:
    """List the events of a namespace, or of all, the latest last."""
    kind, name = call.args.about_kind, call.args.about_name
    found = list_of(call.session.send(wire.list_(call.route, None if call.args.all else _namespace(call))))
    about = [
        item for item in found if kind in (None, dig(item, "regarding.kind")) and name in (None, dig(item, "regarding.name"))
    ]
    return Result(sorted(about, key=lambda item: (str(item.get("last")), str(item.get("first")))))
