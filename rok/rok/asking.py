"""Asks the scheduler what it would do: by a plan, which is taken away again when it is answered."""

import secrets
import time
from contextlib import suppress

from krake.client import wire
from krake.client.errors import ApiError
from krake.client.wire import Route

from rok.cells import Object, dig
from rok.errors import Failure
from rok.place import Place
from rok.verbs import Call

ROUTE = Route("core", "plans", True)
PATIENCE = 90.0
"""Seconds that the scheduler may take, if the user does not say."""
INTERRUPTED = 130


class Interrupted(Failure):
    """The user did not want to wait any more."""

    status = INTERRUPTED


def ask_scheduler(call: Call, spec: Object, timeout: float = PATIENCE) -> Object:
    """Return the status of a plan with *spec* in the namespace of a command.

    :param timeout: in seconds.
    :raises Failure: the scheduler did not answer in time, or it answers that the plan can not be.
    """
    place = Place(ROUTE, call.namespace, f"rok-{secrets.token_hex(8)}")
    plan = {"api": "core", "kind": "Plan", "metadata": {"name": place.name}, "spec": spec}
    try:
        created: Object = call.session.send(wire.create(ROUTE, place.namespace, plan))
        status = _await_answer(call, place, created, timeout)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was changed") from None
    finally:
        # It would expire by itself.
        with suppress(ApiError):
            call.session.send(wire.delete(ROUTE, place.namespace, place.name), limit=5.0)
    if status.get("state") != "DONE":
        raise Failure(str(dig(status, "reason.message") or "the scheduler could not work it out"))
    return status


def _await_answer(call: Call, place: Place, plan: Object, timeout: float) -> Object:
    for current in call.session.follow(place, plan, time.monotonic() + timeout):
        if current is None:
            raise Failure("the plan was deleted before the scheduler had answered: try again")
        if (dig(current, "status.observed_generation") or 0) >= (dig(current, "metadata.generation") or 0):
            status: Object = current["status"]
            return status
    raise Failure(f"the scheduler has not answered within {timeout:g} s: is it running?")
