"""Asks one way to know users after the other."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from krake.api.problem import Problem
from krake.api.requests import Identity


class Authenticator(Protocol):
    """A way to know users."""

    async def identify(self, request: web.Request) -> Identity | None:
        """Return who the user is; ``None`` if this way does not apply, and the next one is to be asked.

        :raises Problem: 401 the user shows something that is wrong; nobody else is asked then.
        """
        ...


async def identify(chain: Sequence[Authenticator], request: web.Request) -> Identity:
    """Return who the user is. Raises Problem 401."""
    for authenticator in chain:
        identity = await authenticator.identify(request)
        if identity is not None:
            return identity
    raise unauthenticated("No user has been authenticated.")


def unauthenticated(detail: str) -> Problem:
    """Return the problem of a user who is not known."""
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="krake"'})
