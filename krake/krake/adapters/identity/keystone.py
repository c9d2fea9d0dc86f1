"""OpenStack Keystone: a token is looked up with its own authority."""

from datetime import datetime

from krake.adapters.identity.web import Reply, Web, refuse, trust
from krake.ports.identity import Rejected, Unavailable, User

_NAME = "Keystone"


class Keystone:
    """A Keystone.

    :param endpoint: of the identity API, for example ``https://keystone.example:5000/v3``.
    :param domain: name or id of the one whose users are accepted; if empty, those of all are.
    :param ca: PEM file to verify it by; if empty, the authorities of the system do.
    :raises ValueError: *ca* can not be used; the message begins with ``ca``.
    """

    def __init__(self, web: Web, endpoint: str, *, domain: str = "", ca: str = "") -> None:
        self._web = web
        self._url = f"{endpoint.rstrip('/')}/auth/tokens"
        self._domain = domain
        self._trusted = trust(ca)

    async def identify(self, token: str) -> User:
        """See the port."""
        # The catalog of a cloud is long, and says nothing of the user.
        reply = await self._web.request(
            _NAME,
            "GET",
            self._url,
            self._trusted,
            params={"nocatalog": ""},
            headers={"X-Auth-Token": token, "X-Subject-Token": token},
        )
        refuse(reply, _NAME)
        return self._read_user(reply)

    def _read_user(self, reply: Reply) -> User:
        try:
            token = reply.document(_NAME)["token"]
            user, expires = token["user"], datetime.fromisoformat(token["expires_at"])
            name, domain = user["name"], user.get("domain") or {}
            known = not self._domain or self._domain in (domain.get("name"), domain.get("id"))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Unavailable(f"{_NAME} answered with something that is not a token.") from None
        if not isinstance(name, str) or expires.tzinfo is None:
            raise Unavailable(f"{_NAME} answered with something that is not a token.")
        if not known:
            raise Rejected(f"The user of this {_NAME} token is of another domain.", final=True)
        return User(name, expires)
