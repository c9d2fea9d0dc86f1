"""What is to be done for a cluster that is being deleted: whatever carries its mark goes before it does. Pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from krake.controller.infrastructure.attempts import failures_of, known, reason, see
from krake.controller.infrastructure.steps import Ask, Call, Outcome, Release, Rest, Situation, State, Step, Store
from krake.data.infrastructure import mark_of
from krake.data.kubernetes import Cluster
from krake.data.metadata import INFRASTRUCTURE_RESOURCES_DELETION, ReasonCode
from krake.lib.backoff import Backoff
from krake.ports.infrastructure import Busy, Infrastructure, InfrastructureError, NotFound, Phase

_REPEAT = timedelta(minutes=5)
"""A deletion that takes so long is asked for again: providers forget, too."""
_LOOKS = 10
"""A deletion that fails is tried again in the time of so many looks at the latest."""

_ADVICE = (
    " The creation of its infrastructure was asked for without an answer, so what has the name '{}' is looked for there before"
    " the cluster goes; if you know that there is nothing, or will delete it yourself, delete the cluster with --force."
)
_SEARCH = "Its creation was asked for without an answer, so it is looked for during a minute or so before the cluster goes."


def plan_departure(cluster: Cluster, situation: Situation) -> Step:
    """Return what is next for a cluster that is being deleted, once it is this controller's turn."""
    status = cluster.status
    if cluster.metadata.finalizers[-1:] != [INFRASTRUCTURE_RESOURCES_DELETION]:
        return Rest()
    if status.cluster_id is None and status.infrastructure is None:
        return Release()
    if isinstance(situation.home, str):
        return _complain(cluster, situation.home)
    infrastructure = known(cluster, situation)
    if status.state is not State.DELETING:
        leaving = replace(status, state=State.DELETING, reason=None, scheduled_retry=None, infrastructure=infrastructure)
        return Store(replace(leaving, infrastructure=replace(infrastructure, attempts=0, basis=None)))
    retry = status.scheduled_retry
    same = infrastructure.basis == situation.basis(cluster) and not situation.recovered_since(infrastructure.observed)
    if retry is not None and same and retry > situation.now:
        return Rest(retry - situation.now)
    if rest := situation.rest(situation.pace.departure_pause, cluster.metadata.deleted):
        return Rest(rest)
    if status.cluster_id is None:
        return Ask(Call.FIND)
    call = Call.OBSERVE if infrastructure.phase == Phase.DELETING.value else Call.DELETE
    return Ask(call, status.cluster_id)


def learn_of_departure(cluster: Cluster, situation: Situation, ask: Ask, answer: Any) -> Outcome:
    """Return what follows from an answer about a cluster that is being deleted."""
    pause = situation.pace.departure_pause
    if isinstance(answer, NotFound) and ask.call is not Call.FIND:
        return _forget(cluster, situation)
    if isinstance(answer, Busy):
        return Outcome(cluster.status, pause)
    infrastructure = known(cluster, situation)
    if isinstance(answer, InfrastructureError):
        if ask.call is Call.FIND and not infrastructure.unseen:
            # All that was ever asked for is known to be gone: nobody needs a provider for that.
            return Outcome(cluster.status, release=True)
        advice = _ADVICE.format(mark_of(cluster.metadata.uid)) if ask.call is Call.FIND else ""
        return _set_back(cluster, situation, f"{answer}{advice}")
    status = replace(cluster.status, reason=None, scheduled_retry=None)
    if ask.call is Call.FIND:
        return _learn_leftovers(cluster, situation, answer)
    if ask.call is Call.OBSERVE and isinstance(answer, Infrastructure):
        machines = {name: phase.value for name, phase in answer.machines.items()}
        after = see(status, infrastructure, situation, machines=machines, message=answer.message)
        overdue = infrastructure.started is None or situation.now - infrastructure.started > _REPEAT
        again = answer.phase is not Phase.DELETING or overdue
        return Outcome(after, pause, then=Ask(Call.DELETE, ask.id) if again else None)
    begun = {} if infrastructure.phase == Phase.DELETING.value else {"attempts": 0, "basis": None}
    changes: dict[str, Any] = {"phase": Phase.DELETING.value, "started": situation.now, **begun}
    return Outcome(see(status, infrastructure, situation, **changes), pause)


def _complain(cluster: Cluster, message: str) -> Step:
    """Say that what there is can not be deleted: nobody knows any more where."""
    status = cluster.status
    if status.cluster_id is None and status.infrastructure is not None and not status.infrastructure.unseen:
        return Release()
    told = reason(ReasonCode.INVALID_RESOURCE, f"{message} Its infrastructure can not be deleted without that.")
    if status.state is State.DELETING and status.reason == told:
        return Rest()
    return Store(replace(status, state=State.DELETING, reason=told, scheduled_retry=None))


def _forget(cluster: Cluster, situation: Situation) -> Outcome:
    """One is gone; there may be others."""
    status = replace(cluster.status, cluster_id=None, reason=None, scheduled_retry=None)
    after = see(status, known(cluster, situation), situation, phase=Phase.UNKNOWN.value, machines={}, message=None)
    return Outcome(after, then=Ask(Call.FIND))


def _learn_leftovers(cluster: Cluster, situation: Situation, ids: list[str]) -> Outcome:
    infrastructure = known(cluster, situation)
    status = replace(cluster.status, reason=None, scheduled_retry=None)
    if ids:
        status = replace(status, cluster_id=sorted(ids)[0])
        after = see(status, infrastructure, situation, phase=Phase.UNKNOWN.value)
        return Outcome(after, then=Ask(Call.DELETE, str(status.cluster_id)))
    until = (infrastructure.started or situation.now) + situation.pace.search
    if infrastructure.unseen and situation.now < until:
        status = see(status, infrastructure, situation, message=_SEARCH)
        return Outcome(status, min(situation.pace.search_pause, until - situation.now))
    return Outcome(status, release=True)


def _set_back(cluster: Cluster, situation: Situation, message: str) -> Outcome:
    """A deletion is never given up: what is left costs money."""
    infrastructure = known(cluster, situation)
    basis = situation.basis(cluster)
    failures = failures_of(infrastructure, basis) + 1
    pause = situation.pace.departure_pause.total_seconds()
    longest = min(situation.pace.longest, _LOOKS * situation.pace.poll).total_seconds()
    wait = timedelta(seconds=Backoff(pause, max(longest, pause)).limit(failures))
    status = replace(cluster.status, reason=reason(ReasonCode.DELETE_FAILED, message), scheduled_retry=situation.now + wait)
    return Outcome(see(status, infrastructure, situation, attempts=failures, basis=basis), wait)
