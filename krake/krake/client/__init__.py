"""Reaches the API of Krake.

`wire` says what is sent and how the answer is read, without input or output; `errors` what can go wrong; `session` does it,
with aiohttp. Importing the package or its first two modules costs nothing, so that a command line starts fast: `Client` and
`WatchEvent` are loaded when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from krake.client.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)

if TYPE_CHECKING:
    from krake.client.session import Client, WatchEvent

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Client",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "NotFound",
    "Unauthorized",
    "Unavailable",
    "WatchEvent",
]


def __getattr__(name: str) -> Any:
    if name in ("Client", "WatchEvent"):
        from krake.client import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
