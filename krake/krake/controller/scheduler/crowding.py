"""Rules about the others: whether an application finds room on a cluster, and company that it can stand. Pure.

Unlike those of ``filters`` they depend on where the others are, so their answers are good for one decision only; ``decide``
asks them last, and only of clusters that are worth choosing.
"""

from collections.abc import Callable

from krake.controller.scheduler.snapshot import Candidate, Snapshot
from krake.data.kubernetes import Application

RULES: tuple[tuple[str, Callable[[Application, Candidate, Snapshot], str | None]], ...] = ()
"""Every rule by name, in the order in which they are asked; each returns why the cluster is out of the question."""


def load_of(candidate: Candidate, snapshot: Snapshot) -> tuple[bool, float]:
    """Return how loaded a cluster is; of clusters that suit equally well the one with the least gets a newcomer.

    :returns: whether its size is unknown, and the share of it that is taken, or else the number of its tenants.
    """
    return True, float(len(snapshot.ledger.tenants_on(candidate.ref)))
