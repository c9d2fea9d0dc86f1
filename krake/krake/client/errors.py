"""What a call to the API can end with instead of a result."""

from collections.abc import Iterator, Mapping
from typing import Any


class ApiError(Exception):
    """The API did not do what it was asked for.

    As text: one line that says what is wrong, and with which request.
    """

    def __init__(self, status: int, problem: Mapping[str, Any] | None = None, where: str = "") -> None:
        super().__init__(status, problem, where)
        self.status = status
        """The HTTP status; 0 if there was no answer."""
        self.problem: Mapping[str, Any] = problem or {}
        """The problem document, as far as there was one."""
        self.where = where
        """Method and path of the request."""

    @property
    def title(self) -> str:
        """The name of the problem, for example ``NOT_FOUND_ERROR``; may be empty."""
        return str(self.problem.get("title") or "")

    @property
    def detail(self) -> str:
        """What is wrong, for people."""
        return str(self.problem.get("detail") or self.title or f"The API answered with status {self.status}.")

    @property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """``(field, message)`` for each wrong field, for example ``("spec.manifest[0].kind", "Missing data …")``."""
        return tuple(_pairs(self.problem.get("errors")))

    def __str__(self) -> str:
        parts = " ".join(self.detail.split())
        listed = "; ".join(f"{field}: {message}" for field, message in self.errors if message not in parts)
        text = f"{parts.rstrip('.:')}: {listed}" if listed else parts
        return f"{text} ({self.where})" if self.where else text


def _pairs(errors: Any) -> Iterator[tuple[str, str]]:
    if isinstance(errors, Mapping):
        for name, messages in errors.items():
            for message in messages if isinstance(messages, list) else [messages]:
                yield str(name), str(message)
    elif isinstance(errors, list):
        for each in errors:
            if isinstance(each, Mapping):
                yield str(each.get("field", "")), str(each.get("message", ""))


class Invalid(ApiError):
    """The request is wrong, and will be as long as it stays the same."""


class Unauthorized(ApiError):
    """The API does not know who is asking."""


class Forbidden(ApiError):
    """The API knows who is asking, and does not allow it."""


class NotFound(ApiError):
    """There is no such object."""


class Conflict(ApiError):
    """The object is not as the request supposes; read it again and decide anew."""


class AlreadyExists(Conflict):
    """An object of this name is there already."""


class Gone(ApiError):
    """The history from the named version on is forgotten; list anew and watch from there."""


class Unavailable(ApiError):
    """The API cannot be reached, does not answer in time, or cannot work now; the same call may succeed later."""

    def __init__(
        self, status: int = 0, problem: Mapping[str, Any] | None = None, where: str = "", *, outcome_unknown: bool = False
    ) -> None:
        super().__init__(status, problem, where)
        self.outcome_unknown = outcome_unknown
        """Whether a write may have been applied; read the object to find out."""
