"""What signed tokens (JWT) say."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def read_expiry(claims: Mapping[str, Any]) -> datetime | None:
    """Return when a token ends; ``None`` if it does not say, or names a moment beyond all calendars."""
    try:
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
