"""The record of who did what. Never holds bodies, credentials or values of unknown parameters."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from krake.api.authorization.rules import Permission
from krake.api.operations.redaction import redact, shorten
from krake.api.operations.sink import Sink
from krake.api.requests import IDENTITY, REQUEST_ID, USER
from krake.api.settings import AuditSettings

PERMISSION = web.RequestKey("permission", Permission)
"""What the request needs; there is none where no route was found, or nobody has to be allowed anything."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_DECISIONS = {401: "unauthenticated", 403: "deny", 429: "limit"}


class Audit:
    """Writes a line for each request: of writes and of what was refused always, of reads if asked for.

    :raises ValueError: the file cannot be written.
    """

    def __init__(self, settings: AuditSettings) -> None:
        self._reads = settings.reads
        self.sink: Sink | None = None
        if settings.file:
            try:
                self.sink = Sink(settings.file)
            except OSError as error:
                raise ValueError(f"audit.file: {settings.file} cannot be written ({error.strerror}).") from None

    def note(self, request: web.Request, status: int, seconds: float, response: web.StreamResponse | None) -> None:
        """Write the line of a request that is done with; there is no *response* if the client has gone before."""
        if self.sink is None:
            return
        # Probes have no users; they would bury everything.
        reads = self._reads and bool(request[USER])
        if reads or request.method not in _READS or status in _DECISIONS:
            location = "" if response is None else response.headers.get("Location", "")
            self.sink.write(_line(request, "end", status, location) | {"seconds": round(seconds, 6)})

    def note_opened(self, request: web.Request, status: int) -> None:
        """Write the line of a request whose answer begins, and will go on."""
        if self.sink is not None and self._reads:
            self.sink.write(_line(request, "open", status, ""))

    def close(self) -> None:
        """Write what waits to be written."""
        if self.sink is not None:
            self.sink.close()


def _line(request: web.Request, stage: str, status: int, location: str) -> dict[str, Any]:
    identity = request.get(IDENTITY)
    permission = request.get(PERMISSION)
    names = request.match_info
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "stage": stage,
        "request_id": request[REQUEST_ID],
        "user": request[USER],
        "way": identity.way if identity else "",
        "address": request.remote or "",
        "verb": permission.verb.name if permission else request.method.lower(),
        "api": permission.api if permission else "",
        "resource": permission.resources[0] if permission else "",
        "namespace": shorten(names.get("namespace", "")),
        "name": shorten(names.get("name") or location.rpartition("/")[2]),
        "method": shorten(request.method, 16),
        "path": redact(request.raw_path),
        "decision": _DECISIONS.get(status, "allow"),
        "status": status,
        "user_agent": shorten(request.headers.get("User-Agent", ""), 256),
    }
