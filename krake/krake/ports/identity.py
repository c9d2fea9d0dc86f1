"""What Krake needs from whoever knows users: whose token this is.

No method takes longer than the time limit that its adapter was made with.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class User:
    """Whose token it is.

    :param name: as the service spells it; nothing has been checked of it but that it is a text.
    :param expires: when the token ends, with a time zone; ``None`` if the service does not tell.
    """

    name: str
    expires: datetime | None = None


class IdentityError(Exception):
    """No user was found; the message is one sentence for people, in which neither the token nor an address stands."""


class Rejected(IdentityError):
    """The service does not accept the token.

    :param final: whether the token was meant for this service, so that no other one needs to be asked.
    """

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Unavailable(IdentityError):
    """The service can not be reached, does not answer in time, or gives an answer that is none.

    Nothing is known of the token; the same call may succeed later.
    """


class IdentityService(Protocol):
    """Knows users by their tokens."""

    async def identify(self, token: str) -> User:
        """Return whose *token* it is, which consists of 1 to some thousand printable ASCII characters without blanks.

        :raises Rejected: the token is unknown, wrong, expired or revoked.
        :raises Unavailable: nobody can tell now.
        """
        ...
