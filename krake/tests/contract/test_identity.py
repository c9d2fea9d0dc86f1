"""What the port `identity` promises, on real services and on a file."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from fixtures.identity import Impostor, StartProvider
from fixtures.proxy import Proxy
from realidentity.keystone import Keystone as RealKeystone
from realidentity.provider import Provider

from krake.adapters.identity import Keycloak, Keystone, OpenIdProvider, TokenFile, Web
from krake.adapters.identity.token_file import digest
from krake.ports.identity import IdentityService, Rejected, Unavailable

TIMEOUT = 1.0
KEY = ec.generate_private_key(ec.SECP256R1())
Make = Callable[[Web, str], IdentityService]
"""Makes the client of a service at a URL that names only host and port."""

REMOTE: dict[str, Make] = {
    "keystone": lambda web, url: Keystone(web, f"{url}/v3"),
    "keycloak": lambda web, url: Keycloak(web, url, "krake", "/auth"),
    "oidc": lambda web, url: OpenIdProvider(web, f"{url}/auth/realms/krake", "krake"),
}


@pytest.fixture
async def connection() -> AsyncIterator[Web]:
    async with Web(timeout=30) as connection:
        yield connection


def signed_for(url: str) -> str:
    """A token that claims to be of the provider there, so that its keys must be asked for."""
    return jwt.encode({"iss": f"{url}/auth/realms/krake"}, KEY, "ES256", {"kid": "some"})


@dataclass
class Subject:
    """A service under test: whose tokens it issues, and how."""

    service: IdentityService
    user: str
    issue: Callable[[], str]
    revoke: Callable[[str], None] | None = None
    expires: bool = True


@pytest.fixture(params=["keystone", "keycloak", "oidc", "file"])
async def subject(request: pytest.FixtureRequest, connection: Web, tmp_path: Path) -> Subject:
    if request.param == "keystone":
        keystone: RealKeystone = request.getfixturevalue("keystone")
        service = Keystone(connection, keystone.endpoint)
        return Subject(service, "carol", lambda: keystone.issue_token("carol", "carol"), keystone.revoke_token)
    if request.param == "file":
        file = tmp_path / "tokens"
        file.write_text(f"# ours\n\ndave {digest('secret')}\n")
        return Subject(TokenFile(str(file)), "dave", lambda: "secret", lambda _: file.write_text("# none\n"), expires=False)
    provider: Provider = request.getfixturevalue("provider")
    if request.param == "oidc":
        return Subject(OpenIdProvider(connection, provider.issuer, "krake"), "alice", lambda: provider.issue_token(signed=True))
    service = Keycloak(connection, provider.endpoint, "krake", "/auth")
    return Subject(service, "alice", provider.issue_token, provider.revoke_token, expires=False)


async def test_whose_token_it_is(subject: Subject) -> None:
    for _ in range(2):
        user = await subject.service.identify(subject.issue())
        assert user.name == subject.user
        assert (user.expires is not None) == subject.expires
        if user.expires is not None:
            assert datetime.now(UTC) < user.expires < datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("token", ["bogus", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 6000, "\"'<>&;%00", "../../users"])
async def test_unknown_tokens(subject: Subject, token: str) -> None:
    with pytest.raises(Rejected) as caught:
        await subject.service.identify(token)
    assert token not in str(caught.value)
    assert not caught.value.final


async def test_a_token_that_was_changed(subject: Subject) -> None:
    token = subject.issue()
    for wrong in (token[:-4], token[:-8] + token[-8:].swapcase() + "x", token + "AAAA"):
        with pytest.raises(Rejected):
            await subject.service.identify(wrong)


@pytest.mark.parametrize("subject", ["keystone", "keycloak", "file"], indirect=True)
async def test_revoked_tokens(subject: Subject) -> None:
    assert subject.revoke is not None
    token = subject.issue()
    await subject.service.identify(token)
    subject.revoke(token)
    with pytest.raises(Rejected):
        await accepted_no_more(subject.service, token)


async def accepted_no_more(service: IdentityService, token: str) -> None:
    """Ask until the token is refused: a file is looked at once in a second."""
    async with asyncio.timeout(5):
        while True:
            await service.identify(token)
            await asyncio.sleep(0.05)


def say(text: str, status: int = 200, **options: str) -> Callable[[web.Request], web.Response]:
    return lambda _: web.Response(text=text, status=status, headers=options)


def break_off(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


NONSENSE = {
    "an error": say("Internal Server Error", 500),
    "busy": say("", 429),
    "away": say("", 404),
    "in need of a proxy": say("", 407),
    "a page": say("<html>Welcome</html>"),
    "nothing": say(""),
    "a list": say("[]"),
    "an empty object": say("{}"),
    "null": say("null"),
    "wrong types": say('{"token": [], "preferred_username": 5, "issuer": {}}'),
    "half of a token": say('{"token": {"user": {"name": "eve"}, "expires_at": "tomorrow"}, "preferred_username": null}'),
    "no time zone": say('{"token": {"user": {"name": "eve"}, "expires_at": "2030-01-01T00:00:00"}}'),
    "deeply nested": say("[" * 100_000),
    "not text": lambda _: web.Response(body=b"\xff\xfe\x00"),
    "enormous": say(" " * 3_000_000),
    "elsewhere": say("", 302, Location="http://127.0.0.1:1/"),
    "a strange status": say("", 599),
    "broken off": break_off,
}


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("name", REMOTE)
async def test_a_service_that_talks_nonsense_is_unavailable(
    connection: Web, impostor: Impostor, name: str, nonsense: str
) -> None:
    impostor.answer = NONSENSE[nonsense]
    with pytest.raises(Unavailable) as caught:
        await REMOTE[name](connection, impostor.url).identify(signed_for(impostor.url))
    assert impostor.url not in str(caught.value)


@pytest.mark.parametrize("name", REMOTE)
async def test_a_service_that_never_answers_is_given_up(impostor: Impostor, name: str) -> None:
    async with Web(TIMEOUT) as connection:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="within 1 seconds"):
            await REMOTE[name](connection, impostor.url).identify(signed_for(impostor.url))
        assert time.monotonic() - started < 3 * TIMEOUT
        async with asyncio.timeout(5):
            while not impostor.gone:  # noqa: ASYNC110 - the connection is really ended
                await asyncio.sleep(0.01)


async def test_a_service_that_dribbles_is_given_up(impostor: Impostor) -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with Web(TIMEOUT) as connection:
        with pytest.raises(Unavailable, match="did not answer"):
            await Keystone(connection, url).identify("some")
    server.close()


@pytest.mark.parametrize("name", REMOTE)
async def test_a_service_that_is_not_there(connection: Web, name: str) -> None:
    url = "http://127.0.0.1:1"
    with pytest.raises(Unavailable, match="reached"):
        await REMOTE[name](connection, url).identify(signed_for(url))


async def test_a_real_service_that_hangs_and_comes_back(
    keystone: RealKeystone, start_proxy: Callable[[int], Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(keystone.port)
    token = keystone.issue_token("carol", "carol")
    async with Web(TIMEOUT) as connection:
        service = Keystone(connection, f"{proxy.url}/v3")
        assert (await service.identify(token)).name == "carol"
        proxy.hang()
        with pytest.raises(Unavailable, match="did not answer"):
            await service.identify(token)
        await proxy.refuse()
        with pytest.raises(Unavailable, match="reached"):
            await service.identify(token)
        await proxy.resume()
        assert (await service.identify(token)).name == "carol"


async def test_users_of_other_domains_of_a_keystone(connection: Web, keystone: RealKeystone) -> None:
    other = keystone.create_domain("other")
    keystone.create_user("carol", "hers", domain_id=other)
    namesake = keystone.issue_token("carol", "hers", domain="other")
    ours = keystone.issue_token("carol", "carol")
    for domain in ("Default", "default"):
        service = Keystone(connection, keystone.endpoint, domain=domain)
        assert (await service.identify(ours)).name == "carol"
        with pytest.raises(Rejected, match="another domain"):
            await service.identify(namesake)
    assert (await Keystone(connection, keystone.endpoint, domain=other).identify(namesake)).name == "carol"
    assert (await Keystone(connection, keystone.endpoint).identify(namesake)).name == "carol"


async def test_after_the_end_nobody_is_asked(keystone: RealKeystone) -> None:
    async with Web(TIMEOUT) as connection:
        service = Keystone(connection, keystone.endpoint)
    with pytest.raises(Unavailable):
        await service.identify("some")


async def test_keys_that_a_provider_changes(connection: Web, start_provider: StartProvider) -> None:
    provider = start_provider()
    service = OpenIdProvider(connection, provider.issuer, "krake", refresh_interval=0.1)
    old = provider.issue_token(signed=True)
    assert (await service.identify(old)).name == "alice"
    provider.close()
    provider.start()
    new = provider.issue_token(signed=True)
    await asyncio.sleep(0.1)  # Keys are not looked for more often.
    assert (await service.identify(new)).name == "alice"
    with pytest.raises(Rejected, match="does not publish") as caught:
        await service.identify(old)
    assert caught.value.final
