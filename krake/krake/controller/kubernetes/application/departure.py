"""What is written while an application is taken from its clusters. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from krake.controller.kubernetes.application.lifecycle import State, recorded_of
from krake.controller.kubernetes.application.volumes.plan import CLAIM, has_claims
from krake.data.kubernetes import Application, ApplicationStatus, ContainerHealth
from krake.data.metadata import Reason, ReasonCode, ResourceRef
from krake.ports.cluster import Identity, ObjectType

NAMESPACE = ObjectType("v1", "Namespace")
NOWHERE = "No matching Kubernetes cluster found"


def deleting(app: Application, problem: Reason | None) -> ApplicationStatus:
    """What to write while an application is deleted."""
    return replace(app.status, state=State.DELETING, reason=problem)


def deleted(app: Application) -> ApplicationStatus:
    """What to write once no objects are left anywhere."""
    gone = departed(app, [*app.status.placed_on, *([app.status.running_on] if app.status.running_on else [])])
    return replace(gone, state=State.DELETING, reason=None)


def unbinding(app: Application) -> ApplicationStatus:
    """What to write before an application is taken from all clusters that has got ready for it."""
    return replace(app.status, state=State.READY_FOR_ACTION) if "shutdown" in app.spec.hooks else app.status


def data_of(app: Application) -> set[Identity]:
    """What stays on a cluster when an application is taken from it without being deleted, for it holds its data."""
    if not has_claims(app.status.last_applied_manifest):
        return set()
    return {each for each in recorded_of(app) if each.type in (CLAIM, NAMESPACE)}


def unbound(app: Application, gone: Iterable[ResourceRef]) -> ApplicationStatus:
    """What to write once an application that fits nowhere has left some of its clusters: the scheduler's reason stays."""
    status = departed(app, gone)
    if status.placed_on or status.running_on is not None:
        return status
    return replace(
        status,
        state=State.PENDING,
        reason=status.reason or Reason(code=ReasonCode.NO_SUITABLE_RESOURCE, message=NOWHERE),
        shutdown_attempts=0,
        shutdown_grace_period=None,
        migration_retries=0,
        migration_timeout=0,
    )


def let_go(app: Application, lost: Iterable[ResourceRef]) -> ApplicationStatus:
    """What to write once an application has nothing to do any more with clusters that are lost for good."""
    nowhere = app.status.scheduled_to is None and app.metadata.deleted is None
    return unbound(app, lost) if nowhere else departed(app, lost)


def departed(app: Application, gone: Iterable[ResourceRef]) -> ApplicationStatus:
    """What to write once nothing of an application is on some clusters, or nobody can find out any more."""
    gone, status = list(gone), app.status
    status = replace(status, placed_on=[place for place in status.placed_on if place not in gone])
    if status.running_on in gone:
        status = replace(
            status,
            running_on=None,
            services={},
            container_health=ContainerHealth(),
            last_observed_manifest=[],
        )
    if not status.placed_on and status.running_on is None:
        status = replace(status, last_applied_manifest=[], volumes=[])
    return status
