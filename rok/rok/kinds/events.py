"""Events: what happened to the objects."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial

from krake.client import wire
from krake.client.errors import Forbidden
from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Object, cell, dig
from rok.errors import Misuse
from rok.flags import Flags, flag, switch
from rok.output import Result, Screen, View
from rok.place import Place
from rok.table import least_width, measure_table, show_controls
from rok.verbs import Call, list_of

MESSAGE_WIDTH = 40
"""Where there is less room beside the other columns, messages stand below them."""

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
    switch("--earlier", help="show the events of earlier objects of the same name as well"),
    *flags.COMMON,
)


def list_events(call: Call) -> Result:
    """List the events of a namespace, or of all, the latest last; those of a name are about the object that has it now."""
    # Loading all kinds takes a while.
    from krake.data.events import NAMESPACE

    kind, name = call.args.about_kind, call.args.about_name
    route = None if kind is None else _route_of(kind)
    namespace = call.namespace if route is None or route.namespaced else NAMESPACE
    found = list_of(call.session.send(wire.list_(call.route, None if call.args.all else namespace)))
    about = [
        item for item in found if kind in (None, dig(item, "regarding.kind")) and name in (None, dig(item, "regarding.name"))
    ]
    about.sort(key=lambda item: (str(item.get("last")), str(item.get("first"))))
    if route is not None and name is not None and not call.args.earlier:
        present = _find_present(call, Place(route, call.namespace if route.namespaced else None, name))
        about = select_latest(about, present)
    return Result(about, text=partial(tell_events, about))


def _route_of(kind: str) -> Route:
    from krake.data import KINDS as ALL

    definition = next(each.definition for (_, name), each in ALL.items() if name == kind)
    return Route(definition.api, definition.plural, definition.namespaced)


def _find_present(call: Call, place: Place) -> dict[str | None, str]:
    """Return the uids of the objects that have a name now, by namespace; none of those that the caller may not see."""
    try:
        if call.args.all and place.route.namespaced:
            objects = list_of(call.session.send(wire.list_(place.route)))
        else:
            objects = [item] if (item := call.session.find(place)) else []
    except Forbidden:
        return {}
    named = [each["metadata"] for each in objects if each["metadata"]["name"] == place.name]
    return {each.get("namespace"): each["uid"] for each in named}


def select_latest(events: Sequence[Object], present: dict[str | None, str]) -> list[Object]:
    """Return the events about the latest object of a name in each namespace.

    :param events: about objects of one kind and name, the latest last.
    :param present: the uids of the objects that there are; where there is none, the last one counts that is told of.
    """
    told = {dig(item, "regarding.namespace"): dig(item, "regarding.uid") for item in events if dig(item, "regarding.uid")}
    latest = told | present
    return [item for item in events if dig(item, "regarding.uid") in (None, latest.get(dig(item, "regarding.namespace")))]


def tell_events(events: Sequence[Object], screen: Screen) -> str | None:
    """Return events with their messages below them, if there is not enough room beside.

    :returns: nothing if a table will do.
    """
    *columns, _ = ([each.name, *(each.text(item) for item in events)] for each in VIEW.columns)
    width = screen.width
    if not events or width is None or measure_table([*map(least_width, columns), MESSAGE_WIDTH]) <= width:
        return None
    return "\n".join(line for item in events for line in _tell(item, width))


def _tell(item: Object, width: int) -> Iterator[str]:
    last, type_, reason, about, count, *_, message = (show_controls(each.text(item)) for each in VIEW.columns)
    notes = [*([type_] if type_ != "Normal" else []), *([f"{count} times"] if count != "1" else [])]
    yield f"{last}  {about}  {reason}" + (f" ({', '.join(notes)})" if notes else "")
    yield from textwrap.wrap(message, max(width, 20), initial_indent="    ", subsequent_indent="    ")
