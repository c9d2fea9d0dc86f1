"""What is special to a kind when its objects are deleted or change their status: one pure function for each such kind."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from krake.api.actions import wait_for_cleaning
from krake.api.lifecycle import with_status
from krake.data.kinds import Resource
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState

Prepare = Callable[[Any], Resource]
P = TypeVar("P", bound=Prepare)

Note = Callable[[Any, Any, datetime], Resource]
N = TypeVar("N", bound=Note)

_BEFORE_DELETION: dict[type[Resource], Prepare] = {}
_CASCADES: dict[type[Resource], Prepare] = {}
_NOTES: dict[type[Resource], Note] = {}


def before_deletion(kind: type[Resource]) -> Callable[[P], P]:
    """Register what happens to objects of *kind* in the write that begins their deletion."""

    def register(prepare: P) -> P:
        _BEFORE_DELETION[kind] = prepare
        return prepare

    return register


def on_cascade(kind: type[Resource]) -> Callable[[P], P]:
    """Register what happens to objects of *kind* when all that depends on them is to be deleted as well.

    Of other kinds it is always deleted.
    """

    def register(prepare: P) -> P:
        _CASCADES[kind] = prepare
        return prepare

    return register


def offers_cascade(kind: type[Resource]) -> bool:
    """Whether it can be chosen what becomes of that which depends on an object of a kind."""
    return kind in _CASCADES


def prepare_deletion(record: Resource) -> Resource:
    """Return *record* as it is to be when its deletion begins."""
    prepare = _BEFORE_DELETION.get(type(record))
    return record if prepare is None else prepare(record)


def prepare_cascade(record: Resource) -> Resource:
    """Return *record* as it is to be when all that depends on it is to be deleted as well."""
    prepare = _CASCADES.get(type(record))
    return record if prepare is None else prepare(record)


def on_status(kind: type[Resource]) -> Callable[[N], N]:
    """Register what the API notes by itself when the status of objects of *kind* is written: *(stored, changed, now)*."""

    def register(note: N) -> N:
        _NOTES[kind] = note
        return note

    return register


def note_status(stored: Resource, changed: Resource, now: datetime) -> Resource:
    """Return *changed*, whose status is about to be written, with what the API notes by itself."""
    note = _NOTES.get(type(stored))
    return changed if note is None else note(stored, changed, now)


@before_deletion(Application)
def wait_for_shutdown(app: Application) -> Application:
    """An application with a shutdown hook is asked to stop before it is taken away, unless it just was for another reason."""
    asked = app.status.state in (ApplicationState.WAITING_FOR_CLEANING, ApplicationState.READY_FOR_ACTION)
    if "shutdown" not in app.spec.hooks or asked:
        return app
    return with_status(app, wait_for_cleaning(app.status))


@on_cascade(Cluster)
def give_up_applications(cluster: Cluster) -> Cluster:
    """The applications of a cluster that is deleted go elsewhere, unless they are to go as well."""
    return cluster if cluster.status.cascade else with_status(cluster, replace(cluster.status, cascade=True))


_USABLE = frozenset({ClusterState.ONLINE, ClusterState.FAILING_METRICS})
_OUT_OF_USE = frozenset(
    {
        ClusterState.CONNECTING,
        ClusterState.OFFLINE,
        ClusterState.UNHEALTHY,
        ClusterState.NOTREADY,
        ClusterState.DEGRADED,
        ClusterState.FAILED,
    }
)


@on_status(Cluster)
def note_state(stored: Cluster, changed: Cluster, now: datetime) -> Cluster:
    """Note since when a cluster is in its state, and how long it has been of no use: by one clock, whoever says so."""
    before, status = stored.status, changed.status
    if before.state is status.state:
        return changed
    out_of_use, recovered = before.out_of_use, before.recovered
    coming = status.state is ClusterState.CONNECTING and before.state not in _USABLE
    if status.state in _OUT_OF_USE and not coming:
        out_of_use = out_of_use or now
    elif status.state in _USABLE and out_of_use is not None:
        out_of_use, recovered = None, now
    return with_status(changed, replace(status, state_changed=now, out_of_use=out_of_use, recovered=recovered))
