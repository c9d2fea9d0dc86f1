"""Puts together the ways to know users that the configuration asks for."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from marshmallow import ValidationError

from krake.adapters.identity import Keycloak, Keystone, OpenIdProvider, TokenFile, Web
from krake.api.authentication.bearer import Bearer, TokenWay
from krake.api.authentication.certificates import Certificates
from krake.api.authentication.chain import Authenticator
from krake.api.authentication.fixed import Anonymous, Static
from krake.api.authentication.verified import Verified, ask
from krake.api.problem import Title
from krake.api.settings import AuthenticationSettings, StrategySettings
from krake.api.tls import ServerTls
from krake.data.names import check_url
from krake.ports.identity import IdentityService


class _Maker(NamedTuple):
    """How a way to know users by tokens is made, and what a token is called that it refuses."""

    make: Callable[[StrategySettings, Web], IdentityService]
    title: Title = Title.INVALID_TOKEN


def _open_token_file(strategy: StrategySettings, _: Web) -> IdentityService:
    return TokenFile(strategy.tokens.file)


def _find_provider(strategy: StrategySettings, web: Web) -> IdentityService:
    oidc = strategy.oidc
    for key in ("issuer", "audience", "username_claim"):
        if not getattr(oidc, key):
            raise ValueError(f"{key}: It must not be empty.")
    try:
        check_url(oidc.issuer)
    except ValidationError as error:
        raise ValueError(f"issuer: {error.messages[0]}") from None
    return OpenIdProvider(
        web,
        oidc.issuer,
        oidc.audience,
        username_claim=oidc.username_claim,
        username_prefix=oidc.username_prefix,
        ca=oidc.ca,
    )


def _find_keystone(strategy: StrategySettings, web: Web) -> IdentityService:
    keystone = strategy.keystone
    return Keystone(web, keystone.endpoint, domain=keystone.domain, ca=keystone.ca)


def _find_keycloak(strategy: StrategySettings, web: Web) -> IdentityService:
    keycloak = strategy.keycloak
    return Keycloak(web, keycloak.endpoint, keycloak.realm, keycloak.base_path, keycloak.ca)


_BY_TOKEN: Mapping[str, _Maker] = {
    "tokens": _Maker(_open_token_file),
    "oidc": _Maker(_find_provider),
    "keystone": _Maker(_find_keystone, Title.INVALID_KEYSTONE_TOKEN),
    "keycloak": _Maker(_find_keycloak, Title.INVALID_KEYCLOAK_TOKEN),
}


def make_chain(settings: AuthenticationSettings, web: Web, tls: ServerTls | None = None) -> tuple[Authenticator, ...]:
    """Return the ways to know users that are switched on, in their order; that by certificates is, if there is TLS.

    All ways by token are one link of the chain, at the place of the first of them.

    :param web: by which services are asked; it is opened and closed by the caller.
    :raises ValueError: a setting is missing or can not be used; the message begins with the key.
    """
    order = dict.fromkeys(settings.order)
    enabled = {name for name in ("static", *_BY_TOKEN) if getattr(settings.strategy, name).enabled}
    for name in sorted(enabled - order.keys()):
        raise ValueError(f"authentication.order: '{name}' is missing, although it is enabled in authentication.strategy.")
    by_token = [_make_way(name, settings, web) for name in order if name in enabled and name in _BY_TOKEN]
    chain: list[Authenticator] = []
    for name in order:
        if name == "certificate" and tls is not None:
            chain.append(Certificates(tls))
        elif name == "static" and name in enabled:
            chain.append(Static(settings.strategy.static.name))
        elif by_token and name == by_token[0].name:
            chain.append(Bearer(by_token))
    if settings.allow_anonymous:
        chain.append(Anonymous())
    return tuple(chain)


def _make_way(name: str, settings: AuthenticationSettings, web: Web) -> TokenWay:
    maker = _BY_TOKEN[name]
    try:
        service = maker.make(settings.strategy, web)
    except ValueError as error:
        raise ValueError(f"authentication.strategy.{name}.{error}") from None
    # The file is here, and whoever writes it decides of everything anyway.
    if name == "tokens":
        return TokenWay(name, partial(ask, service), maker.title, trusted=True)
    return TokenWay(name, Verified(name, service, settings.cache).verify, maker.title)
