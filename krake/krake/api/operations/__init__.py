"""What keeps the API running well and tells how it is: figures, health, limits, the audit log, connections."""

from krake.api.operations.assembly import Operations
from krake.api.operations.audit import PERMISSION
from krake.api.operations.health import Health, Stopping

__all__ = ["PERMISSION", "Health", "Operations", "Stopping"]
