"""The steps from one schema of the stored objects to the next. Pure.

A step changes the wire form of one object, and changes nothing if it is applied once more: several processes may upgrade the
same store at once, and one that was killed begins anew. Fields that are only new need no step: an object without them is read
with their defaults, and stored so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from krake.data.kinds import Resource
from krake.data.kubernetes import Application
from krake.data.metadata import Key

Wire = dict[str, Any]
Migrate = Callable[[type[Resource], Key, Wire], Wire]


@dataclass(frozen=True)
class Step:
    """Leads from the schema before to the next one."""

    summary: str
    migrate: Migrate


def from_original(kind: type[Resource], key: Key, wire: Wire) -> Wire:
    """Objects that the original Krake has stored (up to its release 1.0.1, and after it), or ours before there were schemas.

    They have no generation, global ones may have a namespace, and applications do not tell where objects of theirs may be.
    """
    metadata = {**wire["metadata"], "namespace": key.namespace}
    if not metadata.get("generation"):
        metadata["generation"] = 1
    wire = {**wire, "metadata": metadata}
    status = wire.get("status")
    if issubclass(kind, Application) and isinstance(status, dict) and "placed_on" not in status:
        places = [place for place in (status.get("running_on"), status.get("scheduled_to")) if place]
        unique = [place for index, place in enumerate(places) if place not in places[:index]]
        wire["status"] = {**status, "placed_on": unique}
    return wire


def keep_data(kind: type[Resource], key: Key, wire: Wire) -> Wire:
    """Applications of which nobody could say yet that their volumes begin empty after a move.

    ``none`` was stored for all of them, and had no effect: the original copied the files of volumes in any case.
    """
    spec = wire.get("spec")
    if issubclass(kind, Application) and isinstance(spec, dict) and spec.get("storage_migration") == "none":
        return {**wire, "spec": {**spec, "storage_migration": "copy"}}
    return wire


STEPS: Sequence[Step] = (
    Step("what the original Krake has stored", from_original),
    Step("volumes are moved with their data, unless their user says that they begin empty", keep_data),
)
CURRENT = len(STEPS)
"""The schema of this version of Krake; 0 is that of a store that does not say."""


def migrate(kind: type[Resource], key: Key, wire: Wire, version: int) -> Wire:
    """Return the wire form that an object of an older schema has in the current one.

    :param wire: with metadata that is an object.
    """
    for step in STEPS[version:]:
        wire = step.migrate(kind, key, wire)
    return wire
