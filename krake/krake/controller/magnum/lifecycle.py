"""What a Magnum cluster needs next: a snapshot in, a step out. Pure.

Each round, the controller looks at the cluster at Magnum, takes the step that `plan` returns, whose status it stores before
it acts, and stores what `settle` makes of the outcome. So nothing is asked for whose intent is not stored, and a cluster whose
id got lost is found again by its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from krake.controller.magnum.naming import name_cluster, name_resource
from krake.data.metadata import MAGNUM_CLUSTER_DELETION, Reason, ReasonCode
from krake.data.openstack import MagnumCluster, MagnumClusterState, MagnumClusterStatus
from krake.lib.backoff import Backoff
from krake.ports.infrastructure import InfrastructureError, NotFound, Rejected
from krake.ports.magnum import Order, Outcome, Sight

State = MagnumClusterState
Status = MagnumClusterStatus

RETRIES = Backoff(60.0, 3600.0)
"""How long a cluster that failed is left alone."""
_SKEW = timedelta(minutes=1)
"""By so much clocks may differ that belong together; what is later yet was written down before the clock was set back."""
_LOOKS = 6
"""So often a cluster is looked for while it may still appear."""
_SOON = 1.0
"""Seconds until what is at hand is done."""


@dataclass(frozen=True)
class Settings:
    """The settings that decisions depend on; seconds, and a number of attempts. See `MagnumConfig`."""

    poll_interval: float = 30.0
    observe_interval: float = 60.0
    creation_timeout: float = 3600.0
    creation_attempts: int = 3
    settle_time: float = 60.0


@dataclass(frozen=True)
class Look:
    """What was seen in this round.

    :param found: the clusters at Magnum that are, or may be, this one.
    :param project_modified: when the project was declared as it is.
    :param answers: whether the Kubernetes cluster that came of it is of use.
    :param resource: whether there is a resource of that cluster in Krake.
    """

    found: Sequence[Sight] = ()
    project_modified: datetime | None = None
    answers: bool = False
    resource: bool = False


@dataclass(frozen=True)
class Hold:
    """Put the finalizer on the Magnum cluster."""


@dataclass(frozen=True)
class Create:
    """Ask for a cluster."""

    order: Order


@dataclass(frozen=True)
class Resize:
    """Ask for another number of nodes."""

    id: str
    node_count: int


@dataclass(frozen=True)
class Delete:
    """Ask for the deletion of clusters."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Publish:
    """Have the Kubernetes cluster registered in Krake, with credentials that are good."""

    sight: Sight


@dataclass(frozen=True)
class Withdraw:
    """Have the resource of the Kubernetes cluster deleted."""


@dataclass(frozen=True)
class Release:
    """Take the finalizer off."""


Action = Hold | Create | Resize | Delete | Publish | Withdraw | Release


@dataclass(frozen=True)
class Step:
    """What to do now.

    :param status: to store before anything is done.
    :param again: in how many seconds to look again; ``None`` for not before something changes.
    """

    status: Status
    action: Action | None = None
    again: float | None = None


def seeks_by_name(cluster: MagnumCluster) -> bool:
    """Whether there may be clusters at Magnum of which only the name is known."""
    return cluster.metadata.deleted is not None or cluster.status.state is State.CREATING


def plan(cluster: MagnumCluster, look: Look, now: datetime, settings: Settings) -> Step:
    """Return what a Magnum cluster that is bound to a project needs next."""
    if cluster.metadata.deleted is not None:
        return _leave(cluster, look, now, settings)
    if MAGNUM_CLUSTER_DELETION not in cluster.metadata.finalizers:
        return Step(cluster.status, Hold(), 0.0)
    status, sight = cluster.status, _choose(cluster, look)
    may_be_lost = status.state is not State.CREATING and (look.answers or status.state is not State.FAILED)
    if sight is None and status.cluster_id is not None and may_be_lost:
        return _lose(cluster, look, now, settings)
    if status.state is State.PENDING or (status.state is State.FAILED and _is_due(cluster, look, now)):
        return _begin(cluster, look, now, settings, sight)
    if sight is None:
        failed = status.state is State.FAILED
        return Step(status, None, _until(status.scheduled_retry, now)) if failed else _seek(cluster, look, now, settings)
    extra = tuple(each.id for each in look.found if each.id != sight.id and not each.is_leaving)
    if extra:
        return Step(_describe(status, sight), Delete(extra), settings.poll_interval)
    return _follow(cluster, sight, now, settings)


def _choose(cluster: MagnumCluster, look: Look) -> Sight | None:
    """The cluster at Magnum that counts as this one: the known one, else the one that has come furthest."""
    known = next((each for each in look.found if each.id == cluster.status.cluster_id), None)
    if known is not None:
        return known
    order = (Outcome.COMPLETE, Outcome.IN_PROGRESS, Outcome.FAILED)
    staying = [each for each in look.found if not each.is_leaving]
    return min(staying, key=lambda each: (order.index(each.outcome), each.id), default=None)


def _is_due(cluster: MagnumCluster, look: Look, now: datetime) -> bool:
    """Whether what failed is tried again: its time has come, or what it rests on was changed."""
    due = cluster.status.scheduled_retry
    longest = timedelta(seconds=RETRIES.ceiling) + _SKEW
    return _is_changed(cluster, look) or (due is not None and not now < due <= now + longest)


def _is_changed(cluster: MagnumCluster, look: Look) -> bool:
    started, modified = cluster.status.started, look.project_modified
    if cluster.metadata.generation != cluster.status.observed_generation:
        return True
    return started is not None and modified is not None and modified > started


def _begin(cluster: MagnumCluster, look: Look, now: datetime, settings: Settings, sight: Sight | None) -> Step:
    """Begin an attempt; of a cluster that could not be created nothing is kept."""
    status = cluster.status
    if sight is not None and not sight.is_leaving and sight.operation == "CREATE" and sight.outcome is not Outcome.COMPLETE:
        return Step(_describe(status, sight), Delete((sight.id,)), min(settings.poll_interval, _SOON))
    fresh = status.state is State.PENDING or _is_changed(cluster, look)
    status = replace(
        status,
        state=State.CREATING if sight is None or sight.is_leaving else State.RECONCILING,
        cluster=status.cluster or name_resource(cluster),
        cluster_id=None if sight is None or sight.is_leaving else sight.id,
        observed_generation=cluster.metadata.generation,
        # The clock of the API may be ahead.
        started=max(filter(None, (now, look.project_modified))),
        attempts=0 if fresh else status.attempts,
        scheduled_retry=None,
    )
    count = cluster.spec.node_count
    if sight is not None and not sight.is_leaving and sight.outcome is Outcome.FAILED and count is not None:
        return Step(status, Resize(sight.id, count), settings.poll_interval)
    return Step(status, None, 0.0)


def _seek(cluster: MagnumCluster, look: Look, now: datetime, settings: Settings) -> Step:
    """Create a cluster that is not there, once it can be said that it will not appear."""
    status = replace(cluster.status, cluster_id=None)
    if look.found:
        stuck = [each for each in look.found if each.outcome is Outcome.FAILED]
        if not stuck:
            return Step(replace(status, phase=look.found[0].phase), None, settings.poll_interval)
        status = _blame(status, ReasonCode.DELETE_FAILED, _quote(stuck[0]))
        return Step(status, Delete(tuple(each.id for each in stuck)), settings.observe_interval)
    left = _settles_in(status, now, settings)
    if left > 0:
        return Step(status, None, min(left, settings.settle_time / _LOOKS, settings.poll_interval))
    spec = cluster.spec
    order = Order(name_cluster(cluster), str(status.template), spec.master_count, spec.node_count, settings.creation_timeout)
    return Step(replace(status, asked=now), Create(order), settings.poll_interval)


def _settles_in(status: Status, now: datetime, settings: Settings) -> float:
    """Seconds for which a cluster may still appear that was asked for without an answer."""
    if status.asked is None or status.asked > now + _SKEW:
        return 0.0
    return settings.settle_time - (now - status.asked).total_seconds()


def _lose(cluster: MagnumCluster, look: Look, now: datetime, settings: Settings) -> Step:
    """Make a cluster anew that is gone; but as long as it works, whatever Magnum says, it is left alone."""
    if look.answers:
        told = "Magnum does not know the cluster any more, though it works: check the login of its project."
        return Step(_blame(cluster.status, ReasonCode.NOT_FOUND, told), None, settings.observe_interval)
    told = "The cluster is gone from OpenStack; it is created anew."
    status = replace(cluster.status, state=State.CREATING, cluster_id=None, phase=None, started=now, attempts=0)
    return Step(_blame(status, ReasonCode.NOT_FOUND, told), None, 0.0)


def _follow(cluster: MagnumCluster, sight: Sight, now: datetime, settings: Settings) -> Step:
    """Go on as far as Magnum has come."""
    status = _describe(cluster.status, sight)
    match sight.outcome, sight.operation:
        case Outcome.IN_PROGRESS, "DELETE":
            if status.state is not State.CREATING:
                status = _blame(status, ReasonCode.NOT_FOUND, "The cluster is being deleted in OpenStack.")
            return Step(status, None, settings.poll_interval)
        case Outcome.IN_PROGRESS, _:
            return _await(cluster, status, sight.operation, now, settings)
        case Outcome.FAILED, _:
            return _fail(cluster, status, sight.operation, _quote(sight), now, settings)
    return _complete(cluster, status, sight, now, settings)


def _await(cluster: MagnumCluster, status: Status, operation: str, now: datetime, settings: Settings) -> Step:
    if status.state is State.FAILED:
        return Step(status, None, _sooner(status.scheduled_retry, now, settings.poll_interval))
    if status.state is State.RUNNING or status.started is None:
        status = replace(status, started=now)
    if status.started is not None and now - status.started > timedelta(seconds=settings.creation_timeout):
        told = f"Magnum: {status.phase} for more than {settings.creation_timeout / 60:g} minutes."
        return _fail(cluster, status, operation, told, now, settings)
    state = State.CREATING if operation == "CREATE" else State.RECONCILING
    return Step(replace(status, state=state, reason=None), None, settings.poll_interval)


_BLAMED = {"CREATE": ReasonCode.CREATE_FAILED, "DELETE": ReasonCode.DELETE_FAILED}


def _fail(cluster: MagnumCluster, status: Status, operation: str, told: str, now: datetime, settings: Settings) -> Step:
    """Note that Magnum has failed, and when it is tried again."""
    if status.state is State.FAILED:
        return Step(status, None, _sooner(status.scheduled_retry, now, settings.observe_interval))
    code = _BLAMED.get(operation, ReasonCode.RECONCILE_FAILED)
    attempts = status.attempts + 1
    match operation:
        case "CREATE":
            again = attempts < settings.creation_attempts
        case "DELETE":
            again = False  # whoever wanted it gone, it may still be of use
        case _:
            again = cluster.spec.node_count is not None  # else it is somebody else who has changed it
    due = now + timedelta(seconds=RETRIES.limit(attempts)) if again else None
    status = replace(_blame(status, code, told), state=State.FAILED, attempts=attempts, scheduled_retry=due)
    return Step(status, None, _sooner(due, now, settings.observe_interval))


def _complete(cluster: MagnumCluster, status: Status, sight: Sight, now: datetime, settings: Settings) -> Step:
    if status.state is not State.RUNNING and not sight.api_address:
        return Step(status, None, settings.poll_interval)
    wanted = cluster.spec.node_count
    if wanted is not None and sight.node_count is not None and wanted != sight.node_count:
        if status.state is State.FAILED and status.scheduled_retry is not None:
            return Step(status, None, _sooner(status.scheduled_retry, now, settings.observe_interval))
        if status.state is not State.RECONCILING or status.observed_generation != cluster.metadata.generation:
            status = replace(status, started=now)
        status = replace(status, state=State.RECONCILING, observed_generation=cluster.metadata.generation)
        return Step(status, Resize(sight.id, wanted), settings.poll_interval)
    status = replace(
        status,
        state=State.RUNNING,
        reason=None,
        observed_generation=cluster.metadata.generation,
        attempts=0,
        scheduled_retry=None,
    )
    return Step(status, Publish(sight), settings.observe_interval)


def _leave(cluster: MagnumCluster, look: Look, now: datetime, settings: Settings) -> Step:
    """Remove whatever there is of a cluster; the applications on it have gone before."""
    status = cluster.status
    if cluster.metadata.finalizers[-1:] != [MAGNUM_CLUSTER_DELETION]:
        return Step(status)
    status = replace(status, state=State.DELETING)
    if look.resource:
        return Step(status, Withdraw(), settings.poll_interval)
    if not look.found:
        left = _settles_in(status, now, settings)
        return Step(status, Release()) if left <= 0 else Step(status, None, min(left, settings.settle_time / _LOOKS))
    status = replace(status, phase=look.found[0].phase)
    failed = next((each for each in look.found if each.is_leaving and each.outcome is Outcome.FAILED), None)
    if failed is not None:
        due = status.scheduled_retry
        status = _blame(status, ReasonCode.DELETE_FAILED, _quote(failed))
        if due is None or cluster.status.state is not State.DELETING:
            attempts = status.attempts + 1 if cluster.status.state is State.DELETING else 1
            due = now + timedelta(seconds=RETRIES.limit(attempts))
            return Step(replace(status, attempts=attempts, scheduled_retry=due), None, settings.poll_interval)
        if now < due <= now + timedelta(seconds=RETRIES.ceiling) + _SKEW:
            return Step(status, None, _sooner(due, now, settings.poll_interval))
    open_ = tuple(each.id for each in look.found if not each.is_leaving or each.outcome is Outcome.FAILED)
    return Step(replace(status, scheduled_retry=None), Delete(open_) if open_ else None, settings.poll_interval)


def settle(status: Status, action: Action, outcome: str | InfrastructureError | None, now: datetime) -> Status:
    """Return the status after an action.

    :param outcome: the id of the cluster that was created, or why something could not be done.
    """
    match action, outcome:
        case Create(), str(id):
            # It stays asked for until it is seen: Magnum gives out the id before it knows the cluster.
            return replace(status, cluster_id=id, reason=None, phase="CREATE_IN_PROGRESS")
        case Create(), Rejected() | NotFound():
            code = ReasonCode.CREATE_FAILED
            return _reject(replace(status, asked=None), code, str(outcome), now)
        case Resize(), Rejected():
            return _reject(status, ReasonCode.RECONCILE_FAILED, str(outcome), now)
        case _, InfrastructureError():
            return trouble(status, outcome)
    return status


def refuse_template(status: Status, orchestrator: str, now: datetime) -> Status:
    """Return the status of a cluster whose template makes something that Krake can not use."""
    told = f"The cluster template {status.template} makes clusters of {orchestrator}, not of kubernetes: name another one."
    return _reject(replace(status, asked=None), ReasonCode.INVALID_CLUSTER_TEMPLATE, told, now)


def trouble(status: Status, error: InfrastructureError) -> Status:
    """Return the status of a cluster about which OpenStack can not be asked at the moment."""
    return _blame(status, ReasonCode.OPENSTACK_ERROR, str(error))


def _reject(status: Status, code: ReasonCode, told: str, now: datetime) -> Status:
    # Nothing was made, so it costs nothing to try for ever: quotas grow, and templates are mended.
    attempts = status.attempts + 1
    due = now + timedelta(seconds=RETRIES.limit(attempts))
    return replace(_blame(status, code, told), state=State.FAILED, attempts=attempts, scheduled_retry=due)


def _describe(status: Status, sight: Sight) -> Status:
    return replace(
        status,
        cluster_id=sight.id,
        asked=None,
        phase=sight.phase,
        node_count=sight.node_count,
        api_address=sight.api_address,
        master_addresses=list(sight.master_addresses) or None,
        node_addresses=list(sight.node_addresses) or None,
    )


def _blame(status: Status, code: ReasonCode, told: str) -> Status:
    return replace(status, reason=Reason(code=code, message=told))


def _until(due: datetime | None, now: datetime) -> float | None:
    return None if due is None else max(0.0, (due - now).total_seconds())


def _sooner(due: datetime | None, now: datetime, seconds: float) -> float:
    left = _until(due, now)
    return seconds if left is None else min(left, seconds)


def _quote(sight: Sight) -> str:
    return f"Magnum: {sight.phase}: {sight.message or 'it does not say why.'}"
