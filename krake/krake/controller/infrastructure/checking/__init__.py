"""Finds out whether what clusters are created with answers and accepts the credentials: providers, clouds and projects.

``verdict`` (pure) says what follows from an answer, ``checker`` asks about the resources of one kind, and ``assembly`` puts
together what the infrastructure controller runs. Whoever may be asked in vain is asked by other workers than the rest.
"""

from krake.controller.infrastructure.checking.assembly import Checking
from krake.controller.infrastructure.checking.checker import Checker
from krake.controller.infrastructure.checking.verdict import Pace

__all__ = ["Checker", "Checking", "Pace"]
