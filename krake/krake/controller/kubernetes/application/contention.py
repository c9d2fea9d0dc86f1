"""Who else wants an object to be different: after a few corrections in a row, each waits longer than the one before.

So a fight with another controller costs little, and a change by hand is put right at once. Pure: the time is handed over.
"""

from dataclasses import dataclass, field

from krake.lib.backoff import Backoff
from krake.ports.cluster import Identity

AT_ONCE = 4
"""So many corrections in a row are not waited with."""
CALM = 30.0
"""Seconds without a correction that was due after which a fight is over."""
PAUSES = Backoff(1.0, 60.0)


@dataclass
class Contention:
    """The corrections of the objects on a cluster.

    :param rounds: how often each was corrected in a row, and when last.
    """

    rounds: dict[Identity, tuple[int, float]] = field(default_factory=dict)

    def pause(self, identity: Identity, now: float) -> float:
        """In how many seconds an object may be corrected."""
        count, last = self.rounds.get(identity, (0, now))
        return max(0.0, last + _pause_after(count) - now)

    def count(self, identity: Identity) -> int:
        """How often an object was corrected in a row."""
        return self.rounds.get(identity, (0, 0.0))[0]

    def note(self, identity: Identity, now: float) -> None:
        """Remember that an object was corrected."""
        count, last = self.rounds.get(identity, (0, now))
        is_over = now - last > _pause_after(count) + CALM
        self.rounds[identity] = (1 if is_over else count + 1, now)


def _pause_after(count: int) -> float:
    return PAUSES.delay(count - AT_ONCE + 1, 1.0) if count >= AT_ONCE else 0.0
