"""What a decision has to know of an application besides its own: where it is, and what it takes up there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from krake.data import Key, ResourceRef


@dataclass(frozen=True)
class Tenant:
    """An application, as others see it.

    :param place: the cluster that it is bound to.
    :param requests: what it asks for, by resource: ``cpu`` in cores, ``memory`` in bytes, ``pods`` and others in pieces.
    :param priority: those of a higher one come first.
    :param assumed: whether it was just bound to *place*, and the informer has yet to see it.
    """

    key: Key
    labels: Mapping[str, str] = field(default_factory=dict)
    place: ResourceRef | None = None
    requests: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    assumed: bool = False
