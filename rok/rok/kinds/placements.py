"""Placements: why something is where it is, and where it was before."""

import time
from collections.abc import Sequence
from functools import partial

from krake.client import wire
from krake.client.errors import NotFound
from krake.client.wire import Route

from rok import flags
from rok.asking import ask_scheduler
from rok.cells import Object, dig
from rok.errors import Failure
from rok.explanation import explain, tell_history
from rok.flags import Flags, flag, switch
from rok.output import Result
from rok.verbs import Call

ROUTE = Route("core", "placements", True)

PATIENCE = 5.0
"""Seconds within which decisions are written down, unless much is to be written."""
PAUSE = 0.2

_OUTPUT = flag(
    "-o", "--output", choices=("table", "json", "yaml"), default="table", help="format of the output (default: table)"
)
HISTORY_FLAGS: Flags = (flags.NAME, flags.NAMESPACE, _OUTPUT, flags.CONFIG)
EXPLAIN_FLAGS: Flags = (
    flags.NAME,
    switch("--now", help="have it decided anew, instead of showing what was decided last; nothing is moved because of that"),
    *HISTORY_FLAGS[1:],
)


def explain_application(call: Call) -> Result:
    """Show the latest decision about an application, or the one that would be made now."""
    decision = _decide_now(call) if call.args.now else _decisions_of(call)[0]
    subject = call.session.get(call.place)
    return Result(decision, text=partial(explain, str(call.place), decision, remark=_remark(decision, subject)))


def _remark(decision: Object, subject: Object) -> str | None:
    """Return what has come of a decision, if that is not what one would expect."""
    if _is_behind(decision, subject):
        return f"It is bound to cluster {dig(subject, 'status.scheduled_to.name')} still: moves are made by and by."
    if dig(subject, "status.state") == "WAITING_FOR_CLUSTER_CREATION":
        return f"It waits for cluster {dig(subject, 'status.auto_cluster_create_started')}, which is being created for it."
    return None


def explain_cluster(call: Call) -> Result:
    """Show the latest decision about where a cluster is to be created.

    :raises Failure: the cluster was not created by Krake, or nothing is known of that.
    """
    if not dig(call.session.get(call.place), "spec.tosca"):
        raise Failure(f"{call.place} was registered as it is: Krake has not decided where it is")
    decision = _decisions_of(call)[0]
    return Result(decision, text=partial(explain, str(call.place), decision))


def show_history(call: Call) -> Result:
    """Show the decisions about an object, the latest last."""
    decisions = _decisions_of(call)
    return Result(decisions, text=partial(tell_history, decisions))


def _decisions_of(call: Call) -> Sequence[Object]:
    """Return what was decided about the object of a command, the latest first.

    Decisions are written down a little later than they are made, which is waited for.

    :raises Failure: nothing is known of them.
    """
    until = time.monotonic() + PATIENCE
    while True:
        subject = call.session.get(call.place)
        decisions = _find_decisions(call, subject)
        late = time.monotonic() > until
        if decisions and (late or not _is_behind(decisions[0], subject)):
            return decisions
        if late:
            raise Failure(f"nothing is written down yet of what was decided about {call.place}: is the scheduler running?")
        time.sleep(PAUSE)


def _find_decisions(call: Call, subject: Object) -> Sequence[Object]:
    # Loading all kinds takes a while.
    from krake.data import ResourceRef
    from krake.data.placements import placement_key

    ref = ResourceRef(api=call.route.api, kind=call.view.kind, namespace=call.namespace, name=call.args.name)
    try:
        placement: Object = call.session.send(wire.get(ROUTE, *placement_key(ref)))
    except NotFound:
        return []
    same = dig(placement, "subject.uid") == dig(subject, "metadata.uid")
    return list(placement.get("decisions") or []) if same else []


def _is_behind(decision: Object, subject: Object) -> bool:
    """Whether an object is bound to something else already, and not because the decision waits to be carried out."""
    place, choice = dig(subject, "status.scheduled_to.name"), dig(decision, "choice.name")
    return place is not None and choice is not None and place != choice and not decision.get("waits")


def _decide_now(call: Call) -> Object:
    """Return the decision that the scheduler would make now.

    :raises Failure: it gives no answer.
    """
    call.session.get(call.place)
    status = ask_scheduler(call, {"explain": [call.args.name]})
    decision: Object | None = (status.get("decisions") or {}).get(call.args.name)
    if decision is None:
        raise Failure(f"nothing is decided about {call.place} any more: it is being deleted")
    return decision
