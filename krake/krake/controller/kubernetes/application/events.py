"""What is told of applications. Pure."""

from collections.abc import Iterator, Sequence

from krake.controller.kubernetes.application.lifecycle import MOVING
from krake.data.events import Said, normal, warning
from krake.data.kubernetes import Application, ApplicationState, ApplicationStatus
from krake.ports.cluster import Identity

State = ApplicationState

_TROUBLE = {State.FAILED: "Failed", State.DEGRADED: "Degraded", State.RESTARTING: "Restarting"}


def tell(before: Application, after: Application) -> Iterator[Said]:
    """Yield what is worth telling of a change of its status."""
    old, new = before.status, after.status
    if after.metadata.deleted is not None:
        yield from _tell_of_deletion(old, new)
    elif old.running_on is not None and new.running_on != old.running_on:
        yield from _tell_of_move(old, new)
    elif new.migration_retries > old.migration_retries and new.reason is not None:
        yield warning("MigrationFailed", new.reason.message)
    elif old.state in MOVING and new.state is State.RECONCILING:
        yield normal("MigrationCancelled", f"It stays on {new.running_on}.")
    else:
        yield from _tell_of_state(old, new)


def _tell_of_deletion(old: ApplicationStatus, new: ApplicationStatus) -> Iterator[Said]:
    if new.reason is not None and new.reason != old.reason:
        yield warning("DeletionFailed", new.reason.message)
    elif old.placed_on and not new.placed_on:
        yield normal("Deleted", f"Nothing of it is left on {_list(old.placed_on)}.")
    elif new.state is State.DELETING and old.state is not State.DELETING:
        yield normal("Deleting", f"It is taken from {_list(new.placed_on)}." if new.placed_on else "It is on no cluster.")


def _tell_of_move(old: ApplicationStatus, new: ApplicationStatus) -> Iterator[Said]:
    if new.running_on is not None:
        yield normal("Migrated", f"It runs on {new.running_on} now, not on {old.running_on} any more.")
    elif new.scheduled_to is None:
        yield warning("Unbound", f"It was taken from {old.running_on}, and waits for a cluster that it fits on.")


def _tell_of_state(old: ApplicationStatus, new: ApplicationStatus) -> Iterator[Said]:
    changed = new.state is not old.state
    if old.running_on is None and new.running_on is not None:
        yield normal("Created", f"All its objects are on {new.running_on}.")
    if new.state in _TROUBLE and (changed or new.reason != old.reason):
        yield warning(_TROUBLE[new.state], new.reason.message if new.reason else "Nothing is known of the cause.")
    elif changed and new.state is State.MIGRATING:
        yield normal("Migrating", f"It moves from {new.running_on} to {new.scheduled_to}.")
    elif changed and new.state is State.RECONCILING:
        yield normal("Updating", f"Its objects on {new.running_on} are changed to what is declared now.")
    elif changed and new.state is State.RUNNING:
        yield normal("Running", f"It runs on {new.running_on}.")
    elif changed and new.state is State.COMPLETED:
        yield normal("Completed", f"It has come to its end on {new.running_on}.")


def tell_of_drift(app: Application, corrected: Sequence[Identity]) -> Iterator[Said]:
    """Yield what is worth telling of objects that had to be changed on the cluster.

    :param app: as it was before that.
    """
    status = app.status
    settled = status.observed_generation == app.metadata.generation and status.running_on == status.scheduled_to
    if corrected and settled and status.state in (State.RUNNING, State.DEGRADED, State.RESTARTING, State.COMPLETED):
        yield warning("DriftCorrected", f"Somebody else had changed or removed {_list(corrected)}; it is as declared again.")


def _list(names: Sequence[object]) -> str:
    return ", ".join(map(str, names))
