"""Infrastructures, and how time changes them. Times are seconds since 1970."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from krake.simulator.infrastructure.template import Template

# The state of an infrastructure is the first one of these that one of its machines has.
PRECEDENCE = ("failed", "unknown", "off", "stopped", "pending", "running", "unconfigured", "configured", "deleting")


@dataclass
class Machine:
    """A virtual machine of an infrastructure.

    :param number: its id at the provider.
    :param node: the node of the template that it is made of.
    :param booted: when it runs.
    :param configured: when it is configured.
    :param fate: the state it has in the end; ``stuck`` stays ``pending``.
    """

    number: int
    node: str
    booted: float
    configured: float
    fate: str = "configured"

    @property
    def name(self) -> str:
        """What the node of the cluster is called; nodes of templates may have names that Kubernetes does not allow."""
        words = re.findall("[a-z0-9]+", self.node.lower())
        return "-".join([*words, str(self.number)])[-60:].lstrip("-")

    def state(self, now: float) -> str:
        """The state as the provider words it."""
        if self.fate == "stuck" or now < self.booted:
            return "pending"
        if self.fate in ("configured", "unconfigured"):
            return "running" if now < self.configured else self.fate
        return self.fate

    def next_change(self, now: float) -> float | None:
        """When the state changes by itself."""
        return min((each for each in (self.booted, self.configured) if each > now), default=None)


@dataclass
class Infrastructure:
    """A set of machines that become a cluster.

    :param owner: who may use it; see `krake.simulator.infrastructure.authorization`.
    :param next_number: of the next machine; none is used twice.
    :param message: what the provider tells of its trouble.
    :param deleting: when it is gone; ``None`` unless it is being deleted.
    :param zombie: its deletion went wrong, and nothing is known of it any more.
    :param port: of the API server of the cluster, 0 if there was none yet.
    :param token: for the cluster.
    """

    id: str
    owner: list[str]
    template: Template
    machines: dict[int, Machine] = field(default_factory=dict)
    next_number: int = 0
    message: str = ""
    deleting: float | None = None
    zombie: bool = False
    port: int = 0
    token: str = ""

    def states(self, now: float) -> dict[str, str]:
        """The states of the machines by their numbers."""
        if self.deleting is not None:
            return {str(number): "deleting" for number in self.machines}
        return {str(number): machine.state(now) for number, machine in sorted(self.machines.items())}

    def state(self, now: float) -> str:
        """The state of the whole; one without machines has failed."""
        if self.zombie:
            return "unknown"
        if self.deleting is not None:
            return "deleting"
        states = set(self.states(now).values())
        return next((each for each in PRECEDENCE if each in states), "failed")

    def next_change(self, now: float) -> float | None:
        """When something changes by itself."""
        if self.deleting is not None:
            return self.deleting
        changes = (machine.next_change(now) for machine in self.machines.values())
        return min((each for each in changes if each is not None), default=None)

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, document: Mapping[str, Any]) -> Self:
        """Make what `dump` gave again. Raises TypeError, LookupError or AttributeError if it is something else."""
        machines = {int(number): Machine(**machine) for number, machine in document["machines"].items()}
        return cls(**{**document, "machines": machines})
