"""What becomes of a cluster when something begins, fails, or is given up. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from krake.controller.infrastructure.sense import shorten
from krake.controller.infrastructure.steps import (
    WORKING,
    Ask,
    Call,
    Home,
    Rest,
    Situation,
    State,
    Step,
    Store,
    infrastructure_of,
    without_nulls,
)
from krake.controller.runtime.retries import plan_retry
from krake.data.infrastructure import InfrastructureStatus
from krake.data.kubernetes import Cluster, ClusterStatus
from krake.data.metadata import Reason, ReasonCode


def reason(code: ReasonCode, message: str) -> Reason:
    """Return a reason that people can read."""
    return Reason(code=code, message=shorten(message))


def known(cluster: Cluster, situation: Situation) -> InfrastructureStatus:
    """Return what is known of the infrastructure of a cluster that has a home."""
    assert isinstance(situation.home, Home)
    return infrastructure_of(cluster, situation.home)


def failures_of(infrastructure: InfrastructureStatus, basis: str) -> int:
    """How many attempts have failed since something was changed."""
    return infrastructure.attempts if infrastructure.basis == basis else 0


def intend(cluster: Cluster, situation: Situation, *, anew: bool = True) -> ClusterStatus:
    """Return the status that says, before the provider is asked, that an infrastructure is about to be created.

    :param anew: whether another one is asked for, instead of the one that was intended just now.
    """
    assert isinstance(situation.home, Home)
    before = cluster.status.infrastructure
    basis = situation.basis(cluster)
    infrastructure = InfrastructureStatus(
        provider=situation.home.provider.ref,
        started=situation.now,
        observed=situation.now,
        attempts=failures_of(before, basis) if before else 0,
        basis=basis,
        unseen=(before.unseen if before else 0) + (1 if anew else 0),
    )
    return replace(
        cluster.status,
        state=State.CREATING,
        reason=None,
        scheduled_retry=None,
        cluster_id=None,
        running_on=situation.home.cloud.ref,
        last_applied_tosca=without_nulls(cluster.spec.tosca),
        infrastructure=infrastructure,
    )


def without_future(status: ClusterStatus, situation: Situation) -> ClusterStatus:
    """Return a status in which nothing has begun, or was seen, later than now; see `Situation.is_to_come`."""
    infrastructure = status.infrastructure
    if infrastructure is not None:
        moments = {name: getattr(infrastructure, name) for name in ("started", "observed", "asked")}
        late: dict[str, Any] = {name: situation.now for name, moment in moments.items() if situation.is_to_come(moment)}
        if late:
            status = replace(status, infrastructure=replace(infrastructure, **late))
    if situation.is_to_come(status.scheduled_retry, situation.pace.longest):
        status = replace(status, scheduled_retry=situation.now)
    return status


def go_on(cluster: Cluster, situation: Situation, *, begun: bool = False, **changes: Any) -> ClusterStatus:
    """Return the status of a cluster whose infrastructure is being worked on.

    :param begun: whether that began just now.
    :param changes: of what is known of the infrastructure.
    """
    infrastructure = known(cluster, situation)
    state = cluster.status.state
    if state not in WORKING and state is not State.DELETING:
        state = State.RECONCILING if infrastructure.completed else State.CREATING
    if begun or cluster.status.state is not state:
        changes = {"started": situation.now, **changes}
    status = cluster.status
    if state not in WORKING:
        status = replace(status, state=state, reason=None, scheduled_retry=None)
    return see(status, infrastructure, situation, **changes)


def see(status: ClusterStatus, infrastructure: InfrastructureStatus, situation: Situation, /, **changes: Any) -> ClusterStatus:
    """Return a status with what is known of the infrastructure now; when it was seen is written only if that differs."""
    after = replace(infrastructure, **changes)
    stale = infrastructure.observed is None or situation.now - infrastructure.observed > _STALE
    if after != infrastructure or stale:
        after = replace(after, observed=situation.now)
    return replace(status, infrastructure=after)


_STALE = timedelta(minutes=10)


def complete(cluster: Cluster, situation: Situation) -> ClusterStatus:
    """Return the status of a cluster whose infrastructure is done; the cluster controller goes on from here."""
    infrastructure = known(cluster, situation)
    status = replace(
        cluster.status,
        state=State.CONNECTING,
        reason=None,
        retries=cluster.spec.backoff_limit,
        scheduled_retry=None,
    )
    done = infrastructure.completed or situation.now
    return see(status, infrastructure, situation, completed=done, attempts=0, basis=None, message=None)


def fail(
    cluster: Cluster, situation: Situation, code: ReasonCode, message: str, /, *, final: bool = False, **changes: Any
) -> ClusterStatus:
    """Return the status after an attempt that failed, with the time of the next one.

    A cluster that was never ready is given up as FAILED. One that was goes on as it is: what it is asked for is not made, but
    what it was before may well work.

    :param final: whether another attempt is of no use before something is changed.
    :param changes: of what is known of the infrastructure.
    """
    infrastructure = known(cluster, situation)
    basis = situation.basis(cluster)
    failures = failures_of(infrastructure, basis)
    left = cluster.status.retries if failures else None
    retry = plan_retry(cluster.spec, left, situation.now, failures=failures, longest=situation.pace.longest)
    due = None if final else retry.due
    state = State.FAILING_RECONCILIATION
    if due is None:
        state = State.CONNECTING if infrastructure.completed else State.FAILED
    status = replace(
        cluster.status,
        state=state,
        reason=reason(code, message),
        retries=0 if final else (cluster.spec.backoff_limit if retry.retries is None else retry.retries),
        scheduled_retry=due,
        # Who waits need not wait any longer: nothing more is done about what is declared now.
        observed_generation=cluster.status.observed_generation if due else cluster.metadata.generation,
    )
    return see(status, infrastructure, situation, **{"attempts": failures + 1, "basis": basis, **changes})


def ask_for_change(cluster: Cluster, situation: Situation, template: Mapping[str, Any]) -> Step:
    """Return what is next for an infrastructure to become what a template says.

    That it is asked for is stored before: a provider may double machines if it is asked twice, and by the time that nobody
    looks for a creation any more it knows of what it was asked, and refuses the second question.
    """
    infrastructure = known(cluster, situation)
    if infrastructure.asked is not None and situation.intended:
        return Ask(Call.UPDATE, str(cluster.status.cluster_id), template)
    if (rest := rest_from_change(infrastructure, situation)) is not None:
        return Rest(rest)
    return Store(replace(cluster.status, infrastructure=replace(infrastructure, asked=situation.now)), intent=True)


def rest_from_change(infrastructure: InfrastructureStatus, situation: Situation) -> timedelta | None:
    """Return how long it is until a change may be asked for that another process has asked for without an answer."""
    rest = timedelta() if infrastructure.asked is None else infrastructure.asked + situation.pace.search - situation.now
    return rest if rest > timedelta() else None


def is_changed(cluster: Cluster) -> bool:
    """Whether the infrastructure is not yet asked to be what the cluster declares."""
    return bool(without_nulls(cluster.spec.tosca) != cluster.status.last_applied_tosca)
