"""What can be tuned about simulated clusters."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Delays are in seconds; a real cluster takes longer for all of them."""

    start_delay: float = 0.1  # from a Pod's creation until it is ready
    finish_delay: float = 0.2  # from the start of a Job's Pod until it has succeeded
    stop_delay: float = 0.05  # from the deletion of a Pod until it is gone
    nodes: int = 1
    node_cpu: str = "8"
    node_memory: str = "16Gi"
    history: int = 1000  # changes that a watch can resume from
    bookmark_interval: float = 60.0
    node_ports: tuple[int, int] = (30000, 32767)
