"""Puts together what keeps the books about requests."""

from dataclasses import dataclass
from typing import Self

from krake.api.cache import Cache
from krake.api.operations.audit import Audit
from krake.api.operations.figures import Figures
from krake.api.operations.health import Stopping
from krake.api.operations.limits import Limits
from krake.api.settings import ApiConfig


@dataclass(frozen=True)
class Operations:
    """What every request is counted, limited and written down by."""

    figures: Figures
    limits: Limits
    audit: Audit
    stopping: Stopping

    @classmethod
    def of(cls, config: ApiConfig, cache: Cache, stopping: Stopping) -> Self:
        """Make all of it. Raises ValueError if the audit log cannot be written."""
        audit = Audit(config.audit)
        figures = Figures(cache, audit.sink)
        return cls(figures, Limits(config.rate, config.watch.per_user, figures), audit, stopping)
