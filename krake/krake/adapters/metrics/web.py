"""The connection to servers that are asked for metrics: limited in time and size, checked, and never redirected."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Self

from yarl import URL

from krake.adapters import outgoing
from krake.adapters.outgoing import Outgoing, Unanswered
from krake.data.core import Login
from krake.data.destinations import Destinations
from krake.ports.metrics import ProviderError

_MAX_ANSWER = 1_048_576
"""Bytes; a thousand values with many labels have less."""
_LONGEST_QUOTE = 200
_LOOKUPS = 128
"""How many names of hosts are looked up at once: more than providers are asked at once."""


class TooLarge(ProviderError):
    """An answer was larger than anybody should send."""


@dataclass(frozen=True)
class Reply:
    """What a server answered, to the end.

    :param service: the name of the server in messages.
    :param secrets: by which it was asked: should it repeat them, they must not be told to others.
    """

    service: str
    status: int
    body: bytes
    secrets: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The body as text.

        :raises ProviderError: it is none.
        """
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            raise ProviderError(f"{self.service} answered something that is no text.") from None

    def document(self, kind: type[Any]) -> Any:
        """Return the JSON of the body.

        :raises ProviderError: it is no JSON, or not of this kind.
        """
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, kind):
            raise ProviderError(f"{self.service} answered something that can not be read (HTTP {self.status}).")
        return found

    def quote(self, key: str) -> str | None:
        """Return what the server says under a key of a JSON object, shortened; ``None`` if it says nothing there."""
        try:
            said = self.document(dict).get(key)
        except ProviderError:
            return None
        return self.pass_on(said) if isinstance(said, str) and said else None

    def pass_on(self, said: str) -> str:
        """Return what the server says as it may stand in a message."""
        for secret in self.secrets:
            said = said.replace(secret, "…")
        return quote(said)

    def fail(self) -> ProviderError:
        """Return what is wrong with a reply that is no answer."""
        if self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ProviderError(f"{self.service} refuses the login (HTTP {self.status}): check its token or its password.")
        if 300 <= self.status < 400:
            return ProviderError(
                f"{self.service} leads elsewhere (HTTP {self.status}), which is not followed: give the URL that it leads to."
            )
        return ProviderError(f"{self.service} answered with HTTP {self.status}: check its URL.")


def quote(said: str) -> str:
    """Return what somebody else has written as it may stand in a message: one short line."""
    line = "".join(char if char.isprintable() else " " for char in said[: 2 * _LONGEST_QUOTE])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[: _LONGEST_QUOTE - 1]}…"


class Web:
    """Sends requests; an asynchronous context manager.

    :param destinations: where requests may lead.
    :param timeout: seconds that a request may take, from its start to the last byte of the answer.
    :param forbidden: an endpoint that they never lead to.
    """

    def __init__(self, destinations: Destinations, timeout: float, forbidden: str | None = None) -> None:
        self.timeout = timeout
        self._outgoing = Outgoing(destinations, "metrics.allow", timeout, forbidden, largest=_MAX_ANSWER, lookups=_LOOKUPS)

    async def __aenter__(self) -> Self:
        await self._outgoing.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._outgoing.__aexit__(*error)

    async def request(self, service: str, method: str, url: URL, **options: Any) -> Reply:
        """Return what a server answered, whatever the status.

        :param options: see `Outgoing.request`.
        :raises ProviderError: there is no answer in time, or one that is too large, or nobody may be sent there.
        """
        try:
            reply = await self._outgoing.request(service, method, url, **options)
        except outgoing.TooLarge as error:
            raise TooLarge(str(error)) from None
        except Unanswered as error:
            raise ProviderError(str(error)) from None
        return Reply(service, reply.status, reply.body, reply.secrets)


class Server:
    """A server as a provider declares it.

    :param name: of the provider.
    :param url: may hold a user and a password.
    :param login: how to show who asks.
    :param authorization: instead of what *login* says.
    """

    def __init__(self, web: Web, name: str, url: str, login: Login, authorization: str | None = None) -> None:
        self.service = f"The metrics provider '{name}'"
        self.timeout = web.timeout
        self._web = web
        self._ca = login.ca
        try:
            self._url = URL(url)
        except ValueError:
            raise ProviderError(f"{self.service} has a URL that can not be used.") from None
        self._headers = _headers_of(self._url, login, authorization)
        proofs = (each.partition(" ")[2] for each in self._headers.values())
        self._secrets = tuple(filter(None, (*proofs, login.token, login.password, self._url.password)))

    async def ask(self, method: str, path: str, *, query: Mapping[str, str] | None = None, **options: Any) -> Reply:
        """Return what the server answers under a path below its URL.

        :raises ProviderError: see `Web.request`.
        """
        base = self._url.with_user(None).with_query(None).with_fragment(None)
        url = base.with_path(f"{base.path.rstrip('/')}/{path}").with_query(query)
        headers = {**self._headers, **options.pop("headers", {})}
        reply = await self._web.request(self.service, method, url, headers=headers, ca=self._ca, **options)
        return replace(reply, secrets=self._secrets)


def _headers_of(url: URL, login: Login, authorization: str | None) -> dict[str, str]:
    if authorization is None and login.token is not None:
        authorization = f"Bearer {login.token}"
    username = login.username if login.username is not None else url.user
    if authorization is None and username is not None:
        password = login.password if login.username is not None else url.password
        authorization = "Basic " + b64encode(f"{username}:{password or ''}".encode()).decode()
    return {} if authorization is None else {"Authorization": authorization}
