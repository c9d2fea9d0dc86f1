"""A simulated Infrastructure Manager: its REST API, and behind it simulated Kubernetes clusters instead of virtual machines.

`authorization` and `template` are pure: who asks, and what is asked for. `records` are the infrastructures and how time changes
them; `provider` makes, changes and removes them, with their clusters; `server` speaks HTTP. Answers are those of IM 2.0.
"""

from krake.simulator.infrastructure.provider import SimulatedProvider
from krake.simulator.infrastructure.settings import Settings

__all__ = ["Settings", "SimulatedProvider"]
