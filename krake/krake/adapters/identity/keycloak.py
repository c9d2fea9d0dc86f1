"""Keycloak, or any OpenID provider with its paths: asked at its userinfo endpoint whose token it is."""

from datetime import datetime
from urllib.parse import quote

import jwt

from krake.adapters.identity.claims import read_expiry
from krake.adapters.identity.web import Web, refuse, trust
from krake.ports.identity import Unavailable, User

_NAME = "Keycloak"


class Keycloak:
    """A realm of a Keycloak.

    :param endpoint: without a path, for example ``https://keycloak.example``.
    :param base_path: of the realms: empty, and ``/auth`` before version 17.
    :param ca: PEM file to verify it by; if empty, the authorities of the system do.
    :raises ValueError: *ca* can not be used; the message begins with ``ca``.
    """

    def __init__(self, web: Web, endpoint: str, realm: str, base_path: str = "", ca: str = "") -> None:
        self._web = web
        start = "/".join(part.strip("/") for part in (endpoint, base_path) if part.strip("/"))
        self._url = f"{start}/realms/{quote(realm, safe='')}/protocol/openid-connect/userinfo"
        self._trusted = trust(ca)

    async def identify(self, token: str) -> User:
        """See the port."""
        reply = await self._web.request(_NAME, "POST", self._url, self._trusted, data={"access_token": token})
        refuse(reply, _NAME)
        name = reply.document(_NAME).get("preferred_username")
        if not isinstance(name, str):
            raise Unavailable(f"{_NAME} answered without a preferred_username; the token may lack the scope 'profile'.")
        return User(name, _read_expiry(token))


def _read_expiry(token: str) -> datetime | None:
    """Return when a token ends that Keycloak has accepted just now, if it can be read."""
    try:
        return read_expiry(jwt.decode(token, options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
