"""What the current task works on, for its log records."""

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is served; of a controller, the id under which its calls appear in the logs of the API."""
key: ContextVar[str | None] = ContextVar("key", default=None)
"""What a controller reconciles, as ``CONTROLLER NAMESPACE/NAME``."""
