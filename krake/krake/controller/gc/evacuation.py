"""Which dependents outlive what they depend on: the applications of a cluster go elsewhere. Pure."""

from enum import Enum, auto

from krake.data.kinds import Resource
from krake.data.kubernetes import Application, Cluster


class Fate(Enum):
    """What becomes of an object when its owner is deleted."""

    GO = auto()
    """It is deleted as well."""
    LEAVE = auto()
    """It goes elsewhere by itself, which is waited for."""
    STAY = auto()
    """It has nothing to do with its owner; it only names it."""


def fate_of(dependent: Resource, owner: Resource) -> Fate:
    """Return what becomes of an object when its owner is deleted."""
    if not isinstance(dependent, Application) or not isinstance(owner, Cluster):
        return Fate.GO
    status = dependent.status
    used = owner.ref in (status.scheduled_to, status.running_on)
    if owner.ref in status.placed_on and not used:
        return Fate.LEAVE  # it has moved away, and something of it is still there
    if owner.status.cascade:
        return Fate.GO
    return Fate.LEAVE if used else Fate.STAY
