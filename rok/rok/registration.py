"""Registers what exists already outside of Krake: who does so is told at once whether Krake can use it."""

from collections.abc import Callable
from dataclasses import dataclass

from krake.client.wire import create

from rok.cells import Object, brief_reason, dig
from rok.errors import warn
from rok.output import Result
from rok.verbs import Call

CHECK_LIMIT = 10.0
"""Seconds that are waited for the first check."""


@dataclass(frozen=True)
class Check:
    """The first check of what was registered.

    :param is_done: tells by an object whether it was checked.
    :param controller: makes it.
    """

    is_done: Callable[[Object], bool]
    controller: str


def register(call: Call, body: Object, check: Check) -> Result:
    """Create an object, and answer with what the first check of it found; with ``--no-wait`` at once."""
    from rok.waiting import await_check

    created = call.session.send(create(call.route, call.namespace, body))
    if call.args.no_wait:
        return Result(created)
    place = call.place_of(created)
    checked = await_check(call.session, place, created, check.is_done, CHECK_LIMIT)
    state, reason = dig(checked, "status.state"), dig(checked, "status.reason")
    if not check.is_done(checked):
        warn(f"{place} is {state}: it was not checked within {CHECK_LIMIT:.0f} s, is the {check.controller} running?")
    elif state not in (None, "ONLINE"):
        why = f" ({brief_reason(reason)})" if reason else ""
        warn(f"{place} is {state}{why}: Krake goes on trying")
    return Result(checked)
