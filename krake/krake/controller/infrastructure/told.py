"""What is told of clusters that are created on clouds. Pure."""

from collections.abc import Iterator

from krake.controller.infrastructure.steps import GONE, HELD_UP, REASONS, WORKING, State
from krake.data.events import Said, normal, warning
from krake.data.infrastructure import InfrastructureStatus
from krake.data.kubernetes import Cluster, ClusterStatus
from krake.ports.infrastructure import Phase


def tell(before: Cluster, after: Cluster) -> Iterator[Said]:
    """Yield what is worth telling of a change of its status."""
    old, new = before.status, after.status
    if new.infrastructure is None:
        if _is_news(old, new):
            yield warning("InfrastructureFailed", _said(new))
        return
    if new.state is not old.state:
        yield from _tell_state(old, new, new.infrastructure)
    elif new.state in WORKING:
        yield from _tell_drift(old.infrastructure, new.infrastructure)
    elif _is_news(old, new):
        yield warning("DeletionFailed" if new.state is State.DELETING else "InfrastructureFailed", _said(new))
    if old.infrastructure is not None and _progress(old) != _progress(new) and new.state not in WORKING:
        yield normal("InfrastructureProgress", _progress(new))


def _tell_state(old: ClusterStatus, new: ClusterStatus, infrastructure: InfrastructureStatus) -> Iterator[Said]:
    match new.state:
        case State.CREATING:
            yield normal("Creating", f"It is created on {new.running_on} by {infrastructure.provider}.")
        case State.RECONCILING:
            yield normal("Reconciling", "Its infrastructure is being made as declared.")
        case State.CONNECTING if new.reason is None:
            count = len(infrastructure.machines)
            yield normal("InfrastructureReady", f"Its infrastructure is ready, with {count} machine{'s'[: count != 1]}.")
        case State.CONNECTING:
            yield warning("InfrastructureDrift" if infrastructure.phase == GONE else "InfrastructureFailed", _said(new))
        case State.DELETING:
            yield normal("Deleting", f"Its infrastructure on {new.running_on} is being deleted.")
        case state if state in HELD_UP:
            yield warning("InfrastructureFailed", _said(new))


def _is_news(old: ClusterStatus, new: ClusterStatus) -> bool:
    return new.reason is not None and new.reason != old.reason and new.reason.code in REASONS


def _tell_drift(old: InfrastructureStatus | None, new: InfrastructureStatus) -> Iterator[Said]:
    """Tell of trouble when something is done about it, and when it is over."""
    if old is None:
        return
    if new.attempts > old.attempts or (new.phase == GONE and old.phase != GONE):
        yield warning("InfrastructureDrift", new.message or "The infrastructure is not as declared.")
    elif new.phase == Phase.CONFIGURED.value and (new.attempts < old.attempts or old.phase == GONE):
        yield normal("InfrastructureMended", "The infrastructure is as declared again.")


def _said(status: ClusterStatus) -> str:
    return status.reason.message if status.reason else "The provider does not say why."


def _progress(status: ClusterStatus) -> str:
    """Return how far it is."""
    infrastructure = status.infrastructure
    if infrastructure is None:
        return ""
    if not infrastructure.machines:
        return f"The infrastructure is {infrastructure.phase}."
    ready = sum(phase == Phase.CONFIGURED.value for phase in infrastructure.machines.values())
    count = len(infrastructure.machines)
    return f"The infrastructure is {infrastructure.phase}: {ready} of {count} machines configured."
