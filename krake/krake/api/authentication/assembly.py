"""Puts together the ways to know users that the configuration asks for."""

from krake.api.authentication.chain import Authenticator
from krake.api.authentication.fixed import Anonymous, Static
from krake.api.settings import AuthenticationSettings


def make_chain(settings: AuthenticationSettings) -> tuple[Authenticator, ...]:
    """Return the ways to know users that are switched on, in their order."""
    chain: list[Authenticator] = []
    if settings.strategy.static.enabled:
        chain.append(Static(settings.strategy.static.name))
    if settings.allow_anonymous:
        chain.append(Anonymous())
    return tuple(chain)
