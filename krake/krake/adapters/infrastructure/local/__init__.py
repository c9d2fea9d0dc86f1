"""Infrastructure by a program of the operator's: the provider type ``local``.

``driver`` runs the program, ``infrastructures`` is the adapter. What the program is asked, and has to answer, is told in
``docs/user/local-clusters.md``.
"""

from krake.adapters.infrastructure.local.driver import Driver
from krake.adapters.infrastructure.local.infrastructures import LocalInfrastructures

__all__ = ["Driver", "LocalInfrastructures"]
