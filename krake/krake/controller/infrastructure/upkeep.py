"""What is to be done about the infrastructure of a cluster that works: it is looked at now and then, and mended. Pure.

Whether the cluster works is for others to say, and their word stands: what is wrong with its infrastructure changes no state.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from krake.controller.infrastructure.attempts import intend, is_changed, known, reason, rest_from_change, see
from krake.controller.infrastructure.sense import MOST_MACHINES
from krake.controller.infrastructure.steps import (
    GONE,
    LOST,
    REASONS,
    WORKING,
    Ask,
    Call,
    Outcome,
    Rest,
    Situation,
    State,
    Step,
    Store,
    without_nulls,
)
from krake.data.infrastructure import InfrastructureStatus
from krake.data.kubernetes import Cluster, ClusterStatus
from krake.data.metadata import Reason, ReasonCode
from krake.lib.backoff import Backoff
from krake.ports.infrastructure import Infrastructure, InfrastructureError, NotFound, Phase

_BROKEN = frozenset({Phase.FAILED, Phase.UNCONFIGURED})
_UNDER_WAY = frozenset({Phase.PENDING.value, Phase.CREATING.value})
_LONGEST_MENDING = 3600.0
_TOLD = 5
"""Machines that are named."""
_SILENT = frozenset({State.OFFLINE, State.DEGRADED})


def plan_upkeep(cluster: Cluster, situation: Situation) -> Step:
    """Return what is next for a cluster that works, as far as others know."""
    status = cluster.status
    if status.cluster_id is None:
        return Rest()
    infrastructure = known(cluster, situation)
    # A change that was given up without an answer may have been made, though it is not wanted any more.
    wanted = is_changed(cluster) or (infrastructure.asked is not None and infrastructure.basis is not None)
    if infrastructure.phase != GONE and wanted and infrastructure.basis != situation.basis(cluster):
        return Store(begin_update(cluster, situation))
    busy = infrastructure.phase in _UNDER_WAY
    pause = situation.pace.poll if busy else situation.pace.observe
    if cluster.spec.kubeconfig and (rest := situation.rest(pause)):
        return Rest(rest)
    if infrastructure.unseen:
        return Ask(Call.FIND)
    return Ask(Call.OBSERVE, status.cluster_id)


def begin_update(cluster: Cluster, situation: Situation) -> ClusterStatus:
    """Return the status that says that the infrastructure is about to be made what the cluster declares."""
    infrastructure = known(cluster, situation)
    done = infrastructure.completed or situation.now
    status = replace(cluster.status, state=State.RECONCILING, reason=None, scheduled_retry=None)
    return see(status, infrastructure, situation, completed=done, started=situation.now, basis=None, attempts=0, message=None)


def learn_sweep(cluster: Cluster, situation: Situation, answer: Any) -> Outcome:
    """Return what follows from what carries the mark of the cluster: there must be nothing but its infrastructure."""
    infrastructure = known(cluster, situation)
    look = Ask(Call.OBSERVE, str(cluster.status.cluster_id))
    if isinstance(answer, InfrastructureError):
        return Outcome(cluster.status, then=look)
    surplus = [id for id in answer if id != cluster.status.cluster_id]
    if surplus:
        return Outcome(cluster.status, situation.pace.observe, then=Ask(Call.DELETE, surplus[0]))
    if situation.now - (infrastructure.completed or situation.now) < situation.pace.creation:
        return Outcome(cluster.status, then=look)
    return Outcome(see(cluster.status, infrastructure, situation, unseen=0), then=look)


def learn_of_upkeep(cluster: Cluster, situation: Situation, answer: Infrastructure | InfrastructureError) -> Outcome:
    """Return what follows from a look at the infrastructure of a cluster that works."""
    infrastructure = known(cluster, situation)
    pause = situation.pace.observe
    if isinstance(answer, NotFound):
        return learn_of_loss(cluster, situation)
    if isinstance(answer, InfrastructureError):
        return Outcome(see(cluster.status, infrastructure, situation, message=str(answer)), pause)
    phases = {name: phase.value for name, phase in answer.machines.items()}
    lost = sorted(infrastructure.machines.keys() - phases.keys())
    broken = sorted(name for name, phase in answer.machines.items() if phase in _BROKEN)
    seen: dict[str, Any] = {
        "phase": answer.phase.value,
        # A provider that gives its machines other names each time must not have ever more of them remembered.
        "machines": phases | dict.fromkeys(lost[: MOST_MACHINES - len(phases)], LOST),
        "message": answer.message,
    }
    trouble = _describe(answer, lost, broken)
    if trouble is not None:
        return _mend(cluster, situation, answer.phase, trouble, {**seen, "message": trouble})
    if answer.phase is not Phase.CONFIGURED:
        return Outcome(see(cluster.status, infrastructure, situation, **seen), situation.pace.poll)
    status = cluster.status
    if infrastructure.basis is None:
        status = _with_reason(status, None)
    # A change that was given up is still told of.
    fresh = {"attempts": 0} if infrastructure.basis is None else {}
    after = see(status, infrastructure, situation, **seen, **fresh)
    return Outcome(after, pause, then=Ask(Call.KUBECONFIG, str(status.cluster_id)))


def learn_of_loss(cluster: Cluster, situation: Situation) -> Outcome:
    """Return what follows if the infrastructure is gone: a new one only if the cluster does not answer either, twice."""
    infrastructure = known(cluster, situation)
    if cluster.status.state is State.OFFLINE and infrastructure.phase == GONE:
        return Outcome(intend(cluster, situation), intent=True)
    message = f"The infrastructure '{cluster.status.cluster_id}' is gone at {infrastructure.provider}."
    advice = " Another one is made if the cluster does not answer any more either."
    status = cluster.status
    if status.state not in WORKING:
        status = replace(status, state=State.CONNECTING, scheduled_retry=None)
    status = _with_reason(status, reason(ReasonCode.NOT_FOUND, message + advice))
    after = see(status, infrastructure, situation, phase=GONE, message=message, completed=_done(infrastructure, situation))
    return Outcome(after, situation.pace.observe)


def learn_kubeconfig_of_working(cluster: Cluster, situation: Situation, answer: Any) -> Outcome:
    """Return whether the kubeconfig that the provider has now is to be taken over.

    It is if it has changed there, or if the cluster does not answer by the one that is known; otherwise users may have one of
    their own.
    """
    pause = situation.pace.observe
    status = cluster.status
    if isinstance(answer, InfrastructureError):
        return Outcome(see(status, known(cluster, situation), situation, message=str(answer)), pause)
    if answer is None:
        return Outcome(status, pause)
    offered, current = without_nulls(answer), without_nulls(cluster.spec.kubeconfig)
    changed = situation.kubeconfig is not None and without_nulls(situation.kubeconfig) != offered
    wanted = not current or changed or status.state in _SILENT
    return Outcome(status, pause, kubeconfig=offered if wanted and offered != current else None)


def template_of(cluster: Cluster, situation: Situation) -> Any:
    """Return the template by which an infrastructure is mended: not by one that was given up."""
    given_up = is_changed(cluster) and known(cluster, situation).basis == situation.basis(cluster)
    return cluster.status.last_applied_tosca if given_up else cluster.spec.tosca


def _describe(seen: Infrastructure, lost: list[str], broken: list[str]) -> str | None:
    """Return what is wrong with an infrastructure; ``None`` if nothing is."""
    parts = []
    if lost:
        parts.append(f"lost machines: {_enumerate(lost)}")
    if broken:
        parts.append(f"machines that failed: {_enumerate(broken)}")
    if not parts and seen.phase in _BROKEN:
        parts.append(f"it is {seen.phase.value}")
    if not parts:
        return None
    said = f" ({seen.message})" if seen.message else ""
    return f"The infrastructure is not as declared: {'; '.join(parts)}{said}."


def _enumerate(names: list[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def _mend(cluster: Cluster, situation: Situation, phase: Phase, trouble: str, seen: dict[str, Any]) -> Outcome:
    infrastructure = known(cluster, situation)
    # That a change was given up is worth more to know, and the trouble is told as well.
    given_up = infrastructure.basis is not None
    status = cluster.status if given_up else _with_reason(cluster.status, reason(ReasonCode.RECONCILE_FAILED, trouble))
    attempts = infrastructure.attempts
    wait = Backoff(situation.pace.observe.total_seconds(), _LONGEST_MENDING).limit(attempts) if attempts else 0.0
    since = infrastructure.started
    awaited = phase is Phase.DELETING or rest_from_change(infrastructure, situation) is not None
    if awaited or (since is not None and attempts and situation.now - since < timedelta(seconds=wait)):
        return Outcome(see(status, infrastructure, situation, **seen), situation.pace.poll)
    begun: dict[str, Any] = {**seen, "started": situation.now, "attempts": attempts + 1}
    id = str(cluster.status.cluster_id)
    only_unconfigured = phase is Phase.UNCONFIGURED and LOST not in seen["machines"].values()
    if only_unconfigured and Phase.FAILED.value not in seen["machines"].values():
        after = see(status, infrastructure, situation, **begun)
        return Outcome(after, situation.pace.poll, then=Ask(Call.RECONFIGURE, id))
    after = see(status, infrastructure, situation, **begun, asked=situation.now)
    ask = Ask(Call.UPDATE, id, template_of(cluster, situation))
    return Outcome(after, situation.pace.poll, then=ask, intent=True)


def _with_reason(status: ClusterStatus, told: Reason | None) -> ClusterStatus:
    """Return a status with another reason, unless somebody else has given the one that is there."""
    if status.reason is not None and status.reason.code not in REASONS:
        return status
    return replace(status, reason=told)


def _done(infrastructure: InfrastructureStatus, situation: Situation) -> Any:
    return infrastructure.completed or situation.now
