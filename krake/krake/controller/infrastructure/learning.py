"""What follows from what the provider answers about a cluster that is created on a cloud. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from krake.controller.infrastructure.attempts import complete, fail, go_on, intend, is_changed, known, reason, see
from krake.controller.infrastructure.departure import learn_of_departure
from krake.controller.infrastructure.steps import (
    HELD_UP,
    WORKING,
    Ask,
    Call,
    Outcome,
    Situation,
    without_nulls,
)
from krake.controller.infrastructure.upkeep import (
    learn_kubeconfig_of_working,
    learn_of_loss,
    learn_of_upkeep,
    learn_sweep,
)
from krake.data.kubernetes import Cluster
from krake.data.metadata import ReasonCode
from krake.ports.infrastructure import (
    Busy,
    Infrastructure,
    InfrastructureError,
    NotFound,
    Phase,
    Rejected,
    Unavailable,
)

Learn = Callable[[Cluster, Situation, Ask, Any], Outcome]

KUBECONFIG_PATIENCE = timedelta(minutes=2)
"""For so long an infrastructure that is configured may have no kubeconfig."""


def learn(cluster: Cluster, situation: Situation, ask: Ask, answer: Any) -> Outcome:
    """Return what follows from an answer.

    :param answer: what the call returns, or the `InfrastructureError` that it raises.
    """
    if cluster.metadata.deleted is not None:
        return learn_of_departure(cluster, situation, ask, answer)
    return _LEARN[ask.call](cluster, situation, ask, answer)


def _learn_found(cluster: Cluster, situation: Situation, ask: Ask, answer: Sequence[str] | InfrastructureError) -> Outcome:
    """Take over what a creation has left whose answer got lost."""
    if cluster.status.state in WORKING:
        return learn_sweep(cluster, situation, answer)
    infrastructure = known(cluster, situation)
    if isinstance(answer, InfrastructureError):
        return _failed(cluster, situation, ReasonCode.RETRIEVE_FAILED, answer)
    if answer:
        unseen = max(infrastructure.unseen - len(answer), 1 if len(answer) > 1 else 0)
        status = go_on(cluster, situation, unseen=unseen, phase=Phase.UNKNOWN.value)
        return Outcome(replace(status, cluster_id=sorted(answer)[0]), situation.pace.search_pause)
    until = (infrastructure.started or situation.now) + situation.pace.search
    if situation.now < until:
        return Outcome(cluster.status, min(situation.pace.search_pause, until - situation.now))
    if cluster.status.state in HELD_UP or cluster.status.reason is None:
        return Outcome(intend(cluster, situation), intent=True)
    return Outcome(fail(cluster, situation, ReasonCode.CREATE_FAILED, cluster.status.reason.message))


def _learn_created(cluster: Cluster, situation: Situation, ask: Ask, answer: str | InfrastructureError) -> Outcome:
    infrastructure = known(cluster, situation)
    if isinstance(answer, str):
        status = go_on(cluster, situation, unseen=max(infrastructure.unseen - 1, 0), phase=Phase.PENDING.value)
        return Outcome(replace(status, cluster_id=answer), situation.pace.poll)
    if isinstance(answer, Unavailable):
        told = reason(ReasonCode.CREATE_FAILED, str(answer))
        status = see(replace(cluster.status, reason=told), infrastructure, situation, message=told.message)
        return Outcome(status, situation.pace.search_pause)
    unseen = max(infrastructure.unseen - 1, 0)
    return _failed(cluster, situation, ReasonCode.CREATE_FAILED, answer, unseen=unseen)


def _learn_seen(cluster: Cluster, situation: Situation, ask: Ask, answer: Infrastructure | InfrastructureError) -> Outcome:
    if cluster.status.state in WORKING:
        return learn_of_upkeep(cluster, situation, answer)
    if isinstance(answer, NotFound):
        return _learn_loss(cluster, situation)
    if isinstance(answer, InfrastructureError):
        return _unseen(cluster, situation, answer)
    infrastructure = known(cluster, situation)
    machines = {name: phase.value for name, phase in answer.machines.items()}
    seen: dict[str, Any] = {"phase": answer.phase.value, "machines": machines, "message": answer.message}
    if cluster.status.state in HELD_UP:
        return _learn_while_held_up(cluster, situation, answer.phase, seen)
    match answer.phase:
        case Phase.CONFIGURED:
            status = go_on(cluster, situation, **seen)
            return Outcome(status, situation.pace.poll, then=Ask(Call.KUBECONFIG, ask.id))
        case Phase.UNCONFIGURED:
            said = answer.message or "the provider does not say why"
            message = f"The machines could not be configured: {said}"
            return Outcome(fail(cluster, situation, ReasonCode.RECONCILE_FAILED, message, **seen))
        case Phase.FAILED:
            created = infrastructure.completed is not None
            code = ReasonCode.RECONCILE_FAILED if created else ReasonCode.CREATE_FAILED
            said = answer.message or "the provider does not say why"
            return Outcome(fail(cluster, situation, code, f"The infrastructure failed: {said}", **seen))
    if _is_overdue(situation, infrastructure.started):
        return _time_out(cluster, situation, seen)
    return Outcome(go_on(cluster, situation, **seen), situation.pace.poll)


def _learn_while_held_up(cluster: Cluster, situation: Situation, phase: Phase, seen: dict[str, Any]) -> Outcome:
    """Note where it stands: what the next attempt is follows from that."""
    infrastructure = known(cluster, situation)
    if infrastructure.phase == Phase.DELETING.value:
        if phase is Phase.DELETING:
            return Outcome(see(cluster.status, infrastructure, situation, **seen), situation.pace.departure_pause)
        return Outcome(cluster.status, situation.pace.departure_pause, then=Ask(Call.DELETE, str(cluster.status.cluster_id)))
    if phase in (Phase.UNCONFIGURED, Phase.FAILED) or (phase is Phase.CONFIGURED and is_changed(cluster)):
        return Outcome(see(cluster.status, infrastructure, situation, **seen))
    ask = Ask(Call.KUBECONFIG, str(cluster.status.cluster_id)) if phase is Phase.CONFIGURED else None
    return Outcome(go_on(cluster, situation, **seen), situation.pace.poll, then=ask)


def _learn_kubeconfig(cluster: Cluster, situation: Situation, ask: Ask, answer: Any) -> Outcome:
    if cluster.status.state in WORKING:
        return learn_kubeconfig_of_working(cluster, situation, answer)
    if isinstance(answer, NotFound):
        return _learn_loss(cluster, situation)
    if isinstance(answer, Rejected):
        return _failed(cluster, situation, ReasonCode.RETRIEVE_FAILED, answer)
    if isinstance(answer, InfrastructureError):
        return _unseen(cluster, situation, answer)
    if answer is not None:
        changed = without_nulls(answer) != without_nulls(cluster.spec.kubeconfig)
        return Outcome(complete(cluster, situation), kubeconfig=without_nulls(answer) if changed else None)
    infrastructure = known(cluster, situation)
    since = infrastructure.observed or situation.now
    message = "The infrastructure is configured, but its output 'kubeconfig' is empty."
    if infrastructure.message == message and situation.now - since > KUBECONFIG_PATIENCE:
        advice = " Correct the template, and update the cluster with it."
        return Outcome(fail(cluster, situation, ReasonCode.RETRIEVE_FAILED, message + advice))
    return Outcome(go_on(cluster, situation, message=message), situation.pace.poll)


def _learn_updated(cluster: Cluster, situation: Situation, ask: Ask, answer: InfrastructureError | None) -> Outcome:
    if answer is not None:
        # Who does not answer may do it all the same.
        asked = known(cluster, situation).asked if isinstance(answer, Unavailable) else None
        return _change_failed(cluster, situation, ReasonCode.RECONCILE_FAILED, answer, asked=asked)
    status = go_on(cluster, situation, begun=True, phase=Phase.PENDING.value, machines={}, message=None, asked=None)
    return Outcome(replace(status, last_applied_tosca=without_nulls(ask.template)), situation.pace.poll)


def _learn_reconfigured(cluster: Cluster, situation: Situation, ask: Ask, answer: InfrastructureError | None) -> Outcome:
    if answer is not None:
        return _change_failed(cluster, situation, ReasonCode.RECONFIGURE_FAILED, answer)
    return Outcome(go_on(cluster, situation, begun=True, phase=Phase.PENDING.value), situation.pace.poll)


def _learn_deleted(cluster: Cluster, situation: Situation, ask: Ask, answer: InfrastructureError | None) -> Outcome:
    """Go on after what was asked to go: an infrastructure that failed, to make room for another one, or one too many."""
    if ask.id != cluster.status.cluster_id:
        return Outcome(cluster.status, situation.pace.observe, then=Ask(Call.OBSERVE, str(cluster.status.cluster_id)))
    if isinstance(answer, Busy):
        return Outcome(cluster.status, situation.pace.departure_pause)
    if isinstance(answer, NotFound):
        return _begin_anew(cluster, situation)
    if isinstance(answer, InfrastructureError):
        return _failed(cluster, situation, ReasonCode.DELETE_FAILED, answer)
    infrastructure = known(cluster, situation)
    status = see(cluster.status, infrastructure, situation, phase=Phase.DELETING.value, started=situation.now)
    return Outcome(status, situation.pace.departure_pause)


_LEARN: dict[Call, Learn] = {
    Call.FIND: _learn_found,
    Call.CREATE: _learn_created,
    Call.OBSERVE: _learn_seen,
    Call.KUBECONFIG: _learn_kubeconfig,
    Call.UPDATE: _learn_updated,
    Call.RECONFIGURE: _learn_reconfigured,
    Call.DELETE: _learn_deleted,
}


def _failed(cluster: Cluster, situation: Situation, code: ReasonCode, error: InfrastructureError, **changes: Any) -> Outcome:
    return Outcome(fail(cluster, situation, code, str(error), final=isinstance(error, Rejected), **changes))


def _change_failed(
    cluster: Cluster, situation: Situation, code: ReasonCode, error: InfrastructureError, **changes: Any
) -> Outcome:
    working = cluster.status.state in WORKING
    if isinstance(error, Busy):
        return Outcome(cluster.status, situation.pace.poll, intent=True)
    if isinstance(error, NotFound):
        return learn_of_loss(cluster, situation) if working else _learn_loss(cluster, situation)
    if not working:
        return _failed(cluster, situation, code, error, **changes)
    # A cluster that works is not touched by that; it is tried again with the next looks.
    message = f"It could not be mended: {error}"
    status = see(cluster.status, known(cluster, situation), situation, message=message, **changes)
    return Outcome(status, situation.pace.observe)


def _unseen(cluster: Cluster, situation: Situation, error: InfrastructureError) -> Outcome:
    """Go on waiting: the infrastructure may well be on its way, though nobody can look at it now."""
    if isinstance(error, Busy):
        return Outcome(cluster.status, situation.pace.poll)
    infrastructure = known(cluster, situation)
    if cluster.status.state in HELD_UP or _is_overdue(situation, infrastructure.started):
        return _failed(cluster, situation, ReasonCode.RETRIEVE_FAILED, error)
    told = reason(ReasonCode.RETRIEVE_FAILED, str(error))
    return Outcome(see(replace(cluster.status, reason=told), infrastructure, situation), situation.pace.poll)


def _learn_loss(cluster: Cluster, situation: Situation) -> Outcome:
    infrastructure = known(cluster, situation)
    if infrastructure.phase == Phase.DELETING.value:
        return _begin_anew(cluster, situation)
    if infrastructure.completed is not None:
        return learn_of_loss(cluster, situation)
    message = f"The infrastructure '{cluster.status.cluster_id}' has vanished while it was being created."
    status = fail(cluster, situation, ReasonCode.NOT_FOUND, message, phase=Phase.UNKNOWN.value, machines={})
    return Outcome(replace(status, cluster_id=None))


def _begin_anew(cluster: Cluster, situation: Situation) -> Outcome:
    """Have another one created: the one before is gone, as it should be."""
    status = see(cluster.status, known(cluster, situation), situation, phase=Phase.UNKNOWN.value, machines={})
    return Outcome(replace(status, cluster_id=None))


def _is_overdue(situation: Situation, started: datetime | None) -> bool:
    return started is not None and situation.now - started > situation.pace.creation


def _time_out(cluster: Cluster, situation: Situation, seen: dict[str, Any]) -> Outcome:
    minutes = situation.pace.creation.total_seconds() / 60
    message = f"The infrastructure is not ready after {minutes:g} min: it is still {seen['phase']}."
    created = known(cluster, situation).completed is not None
    code = ReasonCode.RECONCILE_FAILED if created else ReasonCode.CREATE_FAILED
    return Outcome(fail(cluster, situation, code, message, **{**seen, "phase": Phase.FAILED.value}))
