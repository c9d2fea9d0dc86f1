"""Who is asking: an ordered chain of ways to know it, of which the first that knows decides."""

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


async def identify(self, request: web.Request) -> Identity | None:
    """Return who the user is; ``None`` if this way does not apply, and the next one is to be asked.

    :raises Problem: 401 the user shows something that is wrong; nobody else is asked then.
    """
    ...


class Static:
    """Everybody is the same user."""

    def __init__(self, name: str, way: str = "static") -> None:
        self._identity = Identity(name, way)

    async def identify(self, request: web.Request) -> Identity | None:
        return self._identity


class Anonymous(Static):
    """Everybody may come in; the last of the chain."""

    def __init__(self) -> None:
        super().__init__(ANONYMOUS, "anonymous")


def make_chain(settings: AuthenticationSettings) -> tuple[Authenticator, ...]:
    """Return the ways to know users that are switched on, in their order."""
    chain: list[Authenticator] = []
    if settings.strategy.static.enabled:
        chain.append(Static(settings.strategy.static.name))
    if settings.allow_anonymous:
        chain.append(Anonymous())
    return tuple(chain)


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
