"""The question whether someone may do something, and its answer."""

from marshmallow import ValidationError

from krake.data.metadata import Verb
from krake.data.record import Record, field

MOST_REQUESTS = 1000


def check_number(requests: list[object]) -> None:
    """Refuse more questions than are answered at once."""
    if len(requests) > MOST_REQUESTS:
        raise ValidationError(f"At most {MOST_REQUESTS} can be asked at once.")


class AccessRequest(Record):
    """May the user do this? The empty text stands for all APIs, resources or namespaces.

    ``resource`` is the name as in roles, for example ``applications/status``. Without a ``namespace``, the question is about
    all of them, if the resource has namespaces.
    """

    api: str
    resource: str
    verb: Verb
    namespace: str | None = None


class AccessReview(Record):
    """Several questions, about the caller if no other ``user`` is named."""

    user: str | None = None
    requests: list[AccessRequest] = field(validate=check_number)


class AccessVerdict(Record):
    """The answer, and a sentence that says why."""

    allowed: bool
    reason: str
