"""Asks the services of an OpenStack cloud as one user of one of its projects."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from yarl import URL

from krake.adapters.openstack.login import Login
from krake.adapters.outgoing import Forbidden, Outgoing, Reply, Unanswered
from krake.ports.infrastructure import Refused, Rejected, Unavailable

_EARLY = timedelta(seconds=60)
"""How long before its end a token is used no more, as what is asked by it takes time, and clocks differ."""

_LARGEST_CATALOGUE = 200_000
"""Characters; catalogues are kept as long as their tokens are."""


@dataclass(frozen=True)
class Endpoint:
    """Where a service can be asked."""

    type: str
    interface: str
    region: str
    url: str


@dataclass(frozen=True)
class Token:
    """Shows who asks, until it ends.

    :param renewal: when a new one is due.
    :param project: the id of the project that it is for; empty if it is for none.
    """

    value: str = field(repr=False)
    renewal: datetime
    project: str
    endpoints: Sequence[Endpoint]


class Session:
    """The access of one user to one cloud. It logs in when it is first needed, and again when that ends.

    :param service: the name of the cloud in messages, such as ``The cloud 'north'``.
    :param services: whether the services of the cloud are to be found.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        service: str,
        login: Login,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        services: bool = True,
    ) -> None:
        self._outgoing = outgoing
        self._service = service
        self._login = login
        self._now = now
        self._services = services
        self._url = f"{login.url}/auth/tokens" + ("" if services else "?nocatalog")
        self._token: Token | None = None
        self._under_way: asyncio.Task[Token] | None = None
        """A login; whoever needs a token meanwhile has the same outcome, so that none waits for the failures of all others."""

    async def check(self) -> Token:
        """Return a token that Keystone accepts at this moment: the one that there is, or that of a new login.

        Whoever may not log in any more has no token that is accepted: Keystone takes them back when a password is changed, and
        when a user, a project, a role in it or an application credential is deleted or disabled. To ask costs it far less than
        a login, for which it makes hashing a password slow on purpose.

        :raises InfrastructureError: Keystone does not let in (`Refused`), does not answer (`Unavailable`), or can not be asked
            like this at all (`Rejected`).
        """
        token = self._token
        if token is not None and self._now() < token.renewal:
            seen = await self._look_at(token)
            if self._token is token:  # and was not replaced meanwhile
                self._token = seen
        return await self.token()

    async def token(self) -> Token:
        """Return a token that is good for a while; Keystone is asked for a new one only if there is none.

        :raises InfrastructureError: see `check`.
        """
        if self._token is not None and self._now() < self._token.renewal:
            return self._token
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._log_in())
            self._under_way.add_done_callback(self._end)
        return await asyncio.shield(self._under_way)

    async def endpoint(self, types: Sequence[str], interface: str = "public", region: str | None = None) -> str:
        """Return the URL of a service, without a slash at its end.

        :param types: by which it may be known in the catalogue, best first, such as ``container-infra``.
        :param region: ``None`` for the first by name, of the clouds that have more than one.
        :raises Rejected: the cloud has no such service.
        :raises InfrastructureError: see `check`.
        """
        found = await self._find_endpoint(await self.token(), types, interface, region)
        return found.rstrip("/")

    async def ask(
        self,
        types: Sequence[str],
        method: str,
        path: str,
        *,
        interface: str = "public",
        region: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Reply:
        """Return what a service answers, whatever the status, under a path below its endpoint that begins with a slash.

        A token that is not accepted any more is replaced once.

        :param options: of the request, as aiohttp has them.
        :raises InfrastructureError: see `endpoint`; the service itself does not answer (`Unavailable`).
        """
        for attempt in range(2):
            token = await self.token()
            url = await self._find_endpoint(token, types, interface, region)
            shown = {**(headers or {}), "X-Auth-Token": token.value}
            reply = await self._send(method, url.rstrip("/") + path, (token.value,), headers=shown, **options)
            if reply.status != HTTPStatus.UNAUTHORIZED or attempt:
                break
            self._forget(token)
        return reply

    def _end(self, login: asyncio.Task[Token]) -> None:
        self._under_way = None
        failed = login.cancelled() or login.exception()  # seen, even if nobody waits for it any more
        self._token = None if failed else login.result()

    def _forget(self, token: Token) -> None:
        if self._token is token:
            self._token = None

    async def _find_endpoint(self, token: Token, types: Sequence[str], interface: str, region: str | None) -> str:
        for wanted in types:
            fit = [each for each in token.endpoints if each.type == wanted and each.interface == interface]
            fit = [each for each in fit if region is None or each.region == region]
            if fit:
                return min(fit, key=lambda each: (each.region, each.url)).url
        where = f" in the region '{region}'" if region is not None else ""
        raise Rejected(f"{self._service} has no service '{types[0]}'{where} in its catalogue.")

    async def _look_at(self, token: Token) -> Token | None:
        """Return a token as Keystone knows it now, with the services that there are now; ``None`` if it is not accepted."""
        shown = {"X-Auth-Token": token.value, "X-Subject-Token": token.value}
        reply = await self._send("GET", self._url, (token.value,), headers=shown)
        if reply.status >= 500 or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._refuse(reply)
        return self._read(reply) if reply.status == HTTPStatus.OK else None

    async def _log_in(self) -> Token:
        reply = await self._send("POST", self._url, (), json={"auth": self._login.auth})
        if reply.status != HTTPStatus.CREATED:
            self._refuse(reply)
        return self._read(reply)

    def _read(self, reply: Reply) -> Token:
        try:
            token = _read_token(reply, self._now())
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise Unavailable(f"{self._service} answered something that is no token: is there a Keystone at its URL?") from None
        return token if self._services else replace(token, endpoints=())

    async def _send(self, method: str, url: str, secrets: tuple[str, ...], **options: Any) -> Reply:
        try:
            target = URL(url)
        except ValueError:
            raise Rejected(f"{self._service} has a URL that can not be used.") from None
        try:
            return await self._outgoing.request(
                self._service, method, target, secrets=(*self._login.secrets, *secrets), ca=self._login.ca, **options
            )
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except Unanswered as error:
            raise Unavailable(str(error)) from None

    def _refuse(self, reply: Reply) -> None:
        """Raise what it means that Keystone gives no token."""
        said = f": {quoted}" if (quoted := _quote_keystone(reply)) else "."
        # Keystone finds no application credential that was deleted, and says so.
        gone = reply.status == HTTPStatus.NOT_FOUND and "application credential" in said.lower()
        if gone or reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Refused(f"{self._service} refuses the login ({reply.outcome}): check its user, its secret and its project.")
        if reply.status == HTTPStatus.BAD_REQUEST:
            raise Rejected(f"{self._service} does not understand the login ({reply.outcome}){said}")
        if 300 <= reply.status < 400:
            raise Unavailable(f"{self._service} leads elsewhere ({reply.outcome}), which is not followed: check its URL.")
        if reply.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            raise Unavailable(f"{self._service} has no Keystone of version 3 at its URL ({reply.outcome}).")
        raise Unavailable(f"{self._service} answered with {reply.outcome}{said}")


def _quote_keystone(reply: Reply) -> str:
    try:
        document = reply.document()
    except Unanswered:
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    return reply.quote(error.get("message")) if isinstance(error, dict) else ""


def _read_token(reply: Reply, now: datetime) -> Token:
    """Return the token of an answer. Raises whatever comes of one that has another form."""
    try:
        token = reply.document()["token"]
    except Unanswered:
        raise ValueError from None
    value, end = reply.headers["X-Subject-Token"], datetime.fromisoformat(token["expires_at"])
    if not value.isascii() or not value.isprintable() or end.tzinfo is None:
        raise ValueError
    # However short its life is, it must be of use at least once.
    renewal = max(end - _EARLY, now + (end - now) / 2)
    endpoints = [
        Endpoint(str(service["type"]), str(each["interface"]), str(each.get("region_id") or each.get("region")), each["url"])
        for service in token.get("catalog") or ()
        for each in service["endpoints"]
        if isinstance(each["url"], str)
    ]
    if sum(len(each.type) + len(each.interface) + len(each.region) + len(each.url) for each in endpoints) > _LARGEST_CATALOGUE:
        raise ValueError
    return Token(value, renewal, str((token.get("project") or {}).get("id") or ""), endpoints)
