"""What can be done to objects besides reading and writing them: one function for each kind and action.

An action is a pure function: the stored object, the body of the request and the situation in, the changed object out. Returning
the object as it came in changes nothing.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from krake.api.lifecycle import mark_deleted, with_status
from krake.api.problem import Problem, of_fields, refused
from krake.data.infrastructure import Cloud, CloudBinding, GlobalCloud
from krake.data.kinds import Resource
from krake.data.kubernetes import (
    Application,
    ApplicationComplete,
    ApplicationShutdown,
    ApplicationState,
    ApplicationStatus,
    Cluster,
    ClusterBinding,
)
from krake.data.metadata import ResourceRef
from krake.data.openstack import MagnumCluster, MagnumClusterBinding, Project

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Situation:
    """What an action knows besides the object: the time, and the object that the body refers to, if there is one."""

    now: datetime
    target: Resource | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """An action of a kind.

    :param run: ``(object, body, situation) → object``.
    :param permissions: of the resource names for roles, any one of which allows the action.
    :param target: the field of the body that refers to another object.
    """

    run: Callable[[Any, Any, Situation], Resource]
    permissions: tuple[str, ...]
    target: str | None = None

    def target_of(self, body: Any) -> ResourceRef | None:
        """Return what the body refers to."""
        return getattr(body, self.target) if self.target else None


_TARGETS: dict[type[Resource], tuple[type[Resource], ...]] = {
    Application: (Cluster,),
    Cluster: (Cloud, GlobalCloud),
    MagnumCluster: (Project,),
}
"""What objects of a kind can be bound to."""

ACTIONS: dict[tuple[type[Resource], str], Action] = {}
"""All actions by kind and name, as in the path."""

Run = TypeVar("Run", bound=Callable[[Any, Any, Situation], Resource])


def action(
    kind: type[Resource], name: str, *, target: str | None = None, allowed_by: Sequence[str] = ()
) -> Callable[[Run], Run]:
    """Register a function as an action; besides its own name, those of *allowed_by* permit it."""

    def register(run: Run) -> Run:
        plural = kind.definition.plural
        ACTIONS[kind, name] = Action(run, tuple(f"{plural}/{each}" for each in (name, *allowed_by)), target)
        return run

    return register


def is_bound_to(kind: type[Resource]) -> bool:
    """Whether bindings make other objects depend on those of a kind."""
    return any(kind in targets for targets in _TARGETS.values())


@action(Application, "binding", target="cluster")
def bind_application(app: Application, body: ClusterBinding, situation: Situation) -> Application:
    """Run the application on a cluster. Binding it anew to the same cluster only hands it to its controller again."""
    _check_target(app, "cluster", body.cluster, situation)
    status = replace(app.status, kube_controller_triggered=situation.now)
    if status.scheduled_to == body.cluster:
        return with_status(_own(app, None, body.cluster), status)
    previous = status.scheduled_to
    status = replace(status, scheduled=situation.now, scheduled_to=body.cluster)
    return with_status(_own(app, previous, body.cluster, status.running_on, *status.placed_on), status)


@action(Cluster, "binding", target="cloud")
def bind_cluster(cluster: Cluster, body: CloudBinding, situation: Situation) -> Cluster:
    """Create the cluster on a cloud."""
    _check_target(cluster, "cloud", body.cloud, situation)
    status = replace(cluster.status, scheduled=situation.now, scheduled_to=body.cloud)
    return with_status(_own(cluster, cluster.status.scheduled_to, body.cloud, status.running_on), status)


@action(MagnumCluster, "binding", target="project")
def bind_magnum_cluster(cluster: MagnumCluster, body: MagnumClusterBinding, situation: Situation) -> MagnumCluster:
    """Create the Magnum cluster in a project, by a template."""
    _check_target(cluster, "project", body.project, situation)
    status = replace(cluster.status, project=body.project, template=body.template)
    if status == cluster.status and body.project in cluster.metadata.owners:
        return cluster
    return with_status(_own(cluster, cluster.status.project, body.project), status)


def _check_target(bound: Resource, field: str, target: ResourceRef, situation: Situation) -> None:
    if bound.metadata.deleted is not None:
        raise refused(409, f"{bound.ref} is being deleted and cannot be bound any more.")
    kinds = _TARGETS[type(bound)]
    kind = next((each for each in kinds if (each.definition.api, each.definition.name) == (target.api, target.kind)), None)
    if kind is None:
        names = " or ".join(f"{each.definition.api} {each.definition.name}" for each in kinds)
        raise of_fields([(f"{field}.kind", f"{bound.kind} can be bound to {names}, not to {target.api} {target.kind}.")])
    expected = bound.metadata.namespace if kind.definition.namespaced else None
    if target.namespace != expected:
        place = f"in namespace '{expected}', as {bound.kind} '{bound.metadata.name}' is" if expected else "without a namespace"
        raise of_fields([(f"{field}.namespace", f"{target.kind} '{target.name}' must be {place}.")])
    if situation.target is None:
        raise of_fields([(field, f"{target} does not exist.")])
    if situation.target.metadata.deleted is not None:
        raise refused(409, f"{target} is being deleted; nothing can be bound to it.")


def _own(bound: R, previous: ResourceRef | None, target: ResourceRef, *places: ResourceRef | None) -> R:
    """Make *target* an owner instead of *previous*, which stays one as long as the object has something there.

    :param places: where the object has something.
    """
    dropped = previous if previous not in (target, *places) else None
    owners = [owner for owner in bound.metadata.owners if dropped is None or owner != dropped]
    if target not in owners:
        owners.append(target)
    return replace(bound, metadata=replace(bound.metadata, owners=owners))


@action(Application, "complete")
def complete(app: Application, body: ApplicationComplete, situation: Situation) -> Application:
    """The application says that its work is done: it is deleted, and not asked to get ready for that."""
    _check_token(app, "complete", app.status.complete_token, body.token)
    if app.metadata.deleted is not None and app.status.state is ApplicationState.DELETING:
        return app
    return mark_deleted(with_status(app, _ready(app.status)), situation.now)


@action(Application, "shutdown")
def shut_down(app: Application, body: ApplicationShutdown, situation: Situation) -> Application:
    """The application says that it is ready to be stopped; it may also say so late. Who was not asked changes nothing."""
    _check_token(app, "shutdown", app.status.shutdown_token, body.token)
    waits = app.status.state is ApplicationState.WAITING_FOR_CLEANING
    return with_status(app, _ready(app.status)) if waits or _gave_up(app) else app


@action(Application, "retry", allowed_by=["status"])
def retry(app: Application, body: None, situation: Situation) -> Application:
    """Try once more what failed: ask the application to get ready to be stopped, or begin anew with all its attempts."""
    if _gave_up(app):
        return with_status(app, wait_for_cleaning(app.status))
    if app.status.state not in (ApplicationState.FAILED, ApplicationState.DEGRADED):
        raise refused(400, "No migration or deletion retry needed")
    return with_status(app, replace(app.status, retries=None, scheduled_retry=None))


def wait_for_cleaning(status: ApplicationStatus) -> ApplicationStatus:
    """Return the status of an application that is to be asked to get ready to be stopped, from the first attempt on."""
    return replace(
        status,
        state=ApplicationState.WAITING_FOR_CLEANING,
        reason=None,
        shutdown_attempts=0,
        shutdown_grace_period=None,
    )


def _ready(status: ApplicationStatus) -> ApplicationStatus:
    return replace(wait_for_cleaning(status), state=ApplicationState.READY_FOR_ACTION)


def _gave_up(app: Application) -> bool:
    """Whether the application was asked in vain; it may be DEGRADED for other reasons, too."""
    asked = "shutdown" in app.spec.hooks and app.status.shutdown_attempts > 0
    return asked and app.status.state is ApplicationState.DEGRADED


def _check_token(app: Application, hook: str, expected: str | None, given: str | None) -> None:
    """Refuse a request without the token; what a user has given up by taking the hook away opens nothing any more."""
    known = expected if hook in app.spec.hooks else None
    if not known or not given or not hmac.compare_digest(known.encode(), given.encode()):
        challenge = {"WWW-Authenticate": "Hook-Token"}
        raise Problem(401, "No token has been provided or the provided one is invalid.", headers=challenge)
