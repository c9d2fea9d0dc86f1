"""Clusters under maintenance: cordoned, drained, tainted, deleted."""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from krake.client import wire
from krake.client.errors import Conflict, Forbidden, Unavailable

from rok import flags
from rok.cells import Object, dig
from rok.errors import Failure, warn
from rok.flags import Flags, flag
from rok.kinds import applications
from rok.output import Result
from rok.taints import change_taints, read_taint
from rok.verbs import ATTEMPTS, Call, Goals, delete_object, list_of
from rok.waiting import summarize

PAUSE = 0.5
"""Seconds between two looks at the applications of a cluster."""

DRAIN_FLAGS: Flags = (flags.NAME, *flags.wait("drained", default="drained"), *flags.COMMON)
TAINT_FLAGS: Flags = (
    flags.NAME,
    flag(
        "taints",
        metavar="TAINT",
        nargs="+",
        type=read_taint,
        help="KEY=VALUE:EFFECT or KEY:EFFECT to add a taint, KEY:EFFECT- or KEY- to remove one; "
        "EFFECT is NoSchedule, PreferNoSchedule or NoExecute",
    ),
    *flags.COMMON,
)


def cordon_cluster(call: Call) -> Result:
    """Let a cluster take no more applications."""
    return Result(_patch(call, {"unschedulable": True}), detailed=True)


def uncordon_cluster(call: Call) -> Result:
    """Let a cluster take applications again, and keep those that it has."""
    return Result(_patch(call, {"unschedulable": False, "drain": False}), detailed=True)


def taint_cluster(call: Call) -> Result:
    """Add taints to a cluster, or remove some."""
    stored = call.session.get(call.place)
    for each in call.args.taints:
        if each.removal and not any(map(each.is_about, _taints_of(stored))):
            warn(f"{call.place} has no taint {each}, so none is removed")
    return Result(_taint(call, stored, ATTEMPTS), detailed=True)


def _taint(call: Call, stored: Object, attempts: int) -> Object:
    # A patch replaces a list as a whole, so it must be made for the list that is there.
    taints = change_taints(_taints_of(stored), call.args.taints)
    try:
        return _patch(call, {"taints": taints}, dig(stored, "metadata.resource_version"))
    except Conflict:
        if attempts <= 1:
            raise
        return _taint(call, call.session.get(call.place), attempts - 1)


def _taints_of(stored: Object) -> list[Object]:
    return dig(stored, "spec.taints") or []


def drain_cluster(call: Call) -> Result:
    """Have applications leave a cluster, and wait for that on request."""
    drained = _patch(call, {"unschedulable": True, "drain": True})
    if call.args.wait is not None:
        _await_departures(call, drained)
        return Result(call.session.get(call.place), detailed=True)
    try:
        left = _applications_on(call, drained)
    except Forbidden as error:
        warn(f"the applications on the cluster are not shown: {error.detail}")
        left = {}
    for name, app in left.items():
        _tell(name, summarize(app))
    return Result(drained, detailed=True)


def delete_cluster(call: Call, goals: Goals) -> Result:
    """Ask for the deletion of a cluster; if that takes too long, say what it waits for."""
    try:
        return delete_object(call, goals)
    except Failure as failure:
        stored = call.session.find(call.place)
        left = {} if stored is None or call.args.force else _applications_on(call, stored)
        if not left:
            raise
        raise Failure(f"{failure}; it waits for {_list(left)}") from None


def _patch(call: Call, spec: Object, version: str | None = None) -> Object:
    changes: Object = {"spec": spec}
    if version is not None:
        changes["metadata"] = {"resource_version": version}
    changed: Object = call.session.send(wire.patch(call.route, call.namespace, call.args.name, changes))
    return changed


def _await_departures(call: Call, cluster: Object) -> None:
    until = time.monotonic() + call.args.timeout
    told: dict[str, str] = {}
    left: dict[str, Object] = {}
    while True:
        try:
            left = _applications_on(call, cluster)
            _tell_of_changes(told, {name: summarize(app) for name, app in left.items()})
            if not left:
                return
            if all(_is_held(app, cluster) for app in left.values()):
                raise Failure(f"{call.place} is not drained, because some may not move: {_list(left)}; {_ADVICE}")
        except Unavailable as error:
            warn(str(error.detail))
        if time.monotonic() > until:
            raise Failure(f"{call.place} is not drained after {call.args.timeout:g} s: it waits for {_list(left)}")
        time.sleep(PAUSE)


_ADVICE = "let them move (rok kube app update --enable-migration), or delete them"


def _tell_of_changes(told: dict[str, str], now: Mapping[str, str]) -> None:
    for name in [name for name in told if name not in now]:
        del told[name]
        _tell(name, "has left")
    for name, text in now.items():
        if told.get(name) != text:
            _tell(name, text)
    told.update(now)


def _tell(name: str, text: str) -> None:
    print(f"application {name}: {text}", file=sys.stderr, flush=True)


def _applications_on(call: Call, cluster: Object) -> dict[str, Object]:
    """Return the applications that are on a cluster or bound to it, by name."""
    found = list_of(call.session.send(wire.list_(applications.VIEW.route, call.namespace)))
    return {app["metadata"]["name"]: app for app in found if cluster["metadata"]["name"] in _places_of(app)}


def _places_of(app: Object) -> Iterator[Any]:
    status = app.get("status") or {}
    for place in (status.get("scheduled_to"), status.get("running_on"), *(status.get("placed_on") or [])):
        if isinstance(place, Mapping):
            yield place.get("name")


def _is_held(app: Object, cluster: Object) -> bool:
    """Whether an application stays where it is, whatever happens on other clusters."""
    bound = dig(app, "status.scheduled_to.name") == cluster["metadata"]["name"]
    lasting = dig(app, "metadata.deleted") is None and dig(cluster, "metadata.deleted") is None
    return bound and lasting and dig(app, "spec.constraints.migration") is False


def _list(left: Mapping[str, Object]) -> str:
    return ", ".join(f"{name} ({dig(app, 'status.state')})" for name, app in left.items()) or "nobody knows what"
