"""Registers and changes what exists already outside of Krake: who does so is told at once whether Krake can use it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from krake.client.wire import create

from rok.cells import Object, brief_reason, dig
from rok.errors import warn
from rok.output import Result
from rok.place import Place
from rok.verbs import Call, Change, update_object

CHECK_LIMIT = 10.0
"""Seconds that are waited for a check."""


@dataclass(frozen=True)
class Check:
    """The check of what was registered or changed.

    :param is_done: tells by an object whether it was checked.
    :param controller: makes it.
    """

    is_done: Callable[[Object], bool]
    controller: str


def register(call: Call, body: Object, check: Check) -> Result:
    """Create an object, and answer with what the first check of it found; with ``--no-wait`` at once."""
    created = call.session.send(create(call.route, call.namespace, body))
    if call.args.no_wait:
        return Result(created)
    return Result(_await(call, created, check))


def change_registered(call: Call, change: Change, check: Check) -> Result:
    """Change an object, and answer with what a check of it found then.

    It answers at once with ``--no-wait``, if only labels change, and if the object was never checked before.
    """
    before: list[Object] = []

    def note(stored: Object, args: argparse.Namespace) -> Object:
        before[:] = [stored]
        return change(stored, args)

    updated: Any = update_object(call, note, {}).content
    generations = {dig(item, "metadata.generation") for item in (updated, *before)}
    last = dig(updated, "status.checked")
    if call.args.no_wait or len(generations) == 1 or last is None:
        return Result(updated)
    return Result(_await(call, updated, replace(check, is_done=lambda item: dig(item, "status.checked") != last)))


def _await(call: Call, item: Object, check: Check) -> Object:
    from rok.waiting import await_check

    place = call.place_of(item)
    checked = await_check(call.session, place, item, check.is_done, CHECK_LIMIT)
    _warn(place, checked, check)
    return checked


def _warn(place: Place, item: Object, check: Check) -> None:
    state, reason = dig(item, "status.state"), dig(item, "status.reason")
    if not check.is_done(item):
        warn(f"{place} is {state}: it was not checked within {CHECK_LIMIT:.0f} s, is the {check.controller} running?")
    elif state not in (None, "ONLINE"):
        why = f" ({brief_reason(reason)})" if reason else ""
        warn(f"{place} is {state}{why}: Krake goes on trying")
