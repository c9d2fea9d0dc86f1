"""The events that the API itself tells: of what users and hooks asked for, and of bindings.

`tell` decides what is worth telling of a change (pure); the `Recorder` writes it, beside everything else.
"""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from krake.api import lifecycle
from krake.api.items import Item
from krake.api.lifecycle import Outcome
from krake.api.problem import Problem
from krake.api.writer import Writer
from krake.data.events import Event, Regarding, Said, combine, make_event, normal, warning
from krake.data.infrastructure import mark_of
from krake.data.kinds import Resource
from krake.data.kubernetes import Application, ApplicationState, Cluster
from krake.data.openstack import MagnumCluster
from krake.data.placements import Placement
from krake.ports.store import Unavailable
from krake.recording import Later, Recording

COMPONENT = "api"

Tell = Callable[[Any, Any], Iterator[Said]]
T = TypeVar("T", bound=Tell)

_SPECIAL: dict[type[Resource], Tell] = {}


def about(kind: type[Resource]) -> Callable[[T], T]:
    """Register what is told of changes of objects of a kind, given the object before and after."""

    def register(special: T) -> T:
        _SPECIAL[kind] = special
        return special

    return register


def tell(old: Resource, outcome: Outcome) -> Iterator[Said]:
    """Yield what is worth telling of a change; nothing of transient objects, such as events, and of what Krake notes itself."""
    new = outcome.record
    if new.definition.transient or isinstance(new, Placement):
        return
    if special := _SPECIAL.get(type(new)):
        yield from special(old, new)
    if outcome.removed and new.metadata.finalizers:
        yield warning("Removed", f"It was removed by force; {_left_by(old)}.")
    elif old.metadata.deleted is None and new.metadata.deleted is not None:
        yield normal("DeletionRequested", "Its deletion was asked for.")


def _left_by(old: Resource) -> str:
    """Say what is left behind of an object that others still held, and where, as far as that is known."""
    infrastructure = old.status.infrastructure if isinstance(old, Cluster) else None
    if infrastructure is None:
        return "what belongs to it is left behind"
    assert isinstance(old, Cluster)
    id = f" (id {old.status.cluster_id})" if old.status.cluster_id else ""
    where = f"at {infrastructure.provider} on {old.status.running_on}"
    return f"its infrastructure is left behind, if there is one: '{mark_of(old.metadata.uid)}'{id} {where}"


@about(Application)
def tell_of_application(old: Application, new: Application) -> Iterator[Said]:
    """Bindings, and what its hooks say."""
    yield from _tell_of_binding(old.status.scheduled_to, new.status.scheduled_to)
    ready = ApplicationState.READY_FOR_ACTION
    if old.status.state is not ready and new.status.state is ready:
        if old.metadata.deleted is None and new.metadata.deleted is not None:
            yield normal("Completed", "It says that its work is done.")
        else:
            yield normal("ShutdownAcknowledged", "It says that it is ready to be stopped.")


@about(Cluster)
def tell_of_cluster(old: Cluster, new: Cluster) -> Iterator[Said]:
    """Bindings."""
    yield from _tell_of_binding(old.status.scheduled_to, new.status.scheduled_to)


@about(MagnumCluster)
def tell_of_magnum_cluster(old: MagnumCluster, new: MagnumCluster) -> Iterator[Said]:
    """Bindings."""
    yield from _tell_of_binding(old.status.project, new.status.project)


def _tell_of_binding(old: object, new: object) -> Iterator[Said]:
    if new is not None and new != old:
        yield normal("Scheduled", f"Bound to {new}.")


class Recorder:
    """Has events written."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._recording = Recording()

    def changed(self, old: Resource, outcome: Outcome) -> None:
        """Tell what is worth telling of a change that was just written."""
        for said in tell(old, outcome):
            self._recording.add(make_event(Regarding.of(outcome.record), said, COMPONENT, self._now()))

    def start(self, writer: Writer) -> None:
        """Begin to write what is told."""
        self._recording.start(partial(self._write, writer))

    async def close(self) -> None:
        """Write what is left, for a short while; the cache must work until then."""
        await self._recording.close()

    async def _write(self, writer: Writer, event: Event) -> None:
        def add(item: Item) -> Outcome:
            assert isinstance(item.record, Event)
            return lifecycle.update(item.record, combine(item.record, event), self._now())

        try:
            try:
                await writer.create(lifecycle.create(event, event.metadata.namespace, str(uuid.uuid4()), self._now()))
            except Problem as problem:
                if problem.status != 409:
                    raise
                await writer.change(Event, event.key, add)
        except Unavailable as error:
            raise Later(str(error)) from None
        except Problem as problem:
            # 404: it has expired just now.
            raise Later(str(problem)) if problem.status in (404, 409, 503) else problem from None
