"""Who is known by a token, and what becomes of those who are not."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fixtures.api import Serve
from fixtures.identity import Impostor, StartProvider, me, refusal, user_of, ways
from fixtures.proxy import Proxy
from realidentity.keystone import Keystone
from realidentity.provider import Provider

from krake.api import watch


def of_keystone(keystone: Keystone) -> dict[str, str]:
    return {"endpoint": keystone.endpoint}


def of_keycloak(url: str) -> dict[str, str]:
    return {"endpoint": url, "base_path": "/auth"}


@pytest.fixture
def token_file(tmp_path: Path) -> dict[str, str]:
    """Settings with the tokens ``one`` of ann and ``two`` of a controller."""
    names = {"one": "ann", "two": "system:scheduler"}
    lines = [f"{name} {hashlib.sha256(token.encode()).hexdigest()}\n" for token, name in names.items()]
    (tmp_path / "tokens").write_text("".join(lines))
    return {"file": str(tmp_path / "tokens")}


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   ", ""])
async def test_tokens_come_with_their_scheme_or_bare(serve_api: Serve, token_file: dict[str, str], scheme: str) -> None:
    async with serve_api(authentication=ways(tokens=token_file)) as http:
        assert (await me(http, "one", scheme)).json["user"] == "ann"
        assert (await me(http, "two", scheme)).json["user"] == "system:scheduler"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic YW5uOmFubg==", "Bearer one two", "one, two", "Bearer öne", "ön"]
)
async def test_headers_without_a_token(serve_api: Serve, token_file: dict[str, str], header: str) -> None:
    async with serve_api(authentication=ways(tokens=token_file, anonymous=True)) as http:
        answer = await http("GET", "/me", headers={"Authorization": header})
        assert (answer.status, answer.detail) == (401, "The header Authorization must be 'Bearer' and one token.")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="krake"'


async def test_two_headers_are_refused(serve_api: Serve, token_file: dict[str, str]) -> None:
    async with serve_api(authentication=ways(tokens=token_file)) as http:
        answer = await http("GET", "/me", headers=[("Authorization", "Bearer one"), ("Authorization", "Bearer two")])
        assert answer.status == 401


async def test_who_shows_nothing_is_asked_by_the_next_way(serve_api: Serve, token_file: dict[str, str]) -> None:
    async with serve_api(authentication=ways(tokens=token_file)) as http:
        for headers in ({}, {"Authorization": ""}):
            answer = await http("GET", "/me", headers=headers)
            assert (answer.status, answer.detail) == (401, "No user has been authenticated.")
    async with serve_api(authentication=ways(tokens=token_file, anonymous=True)) as http:
        assert (await me(http)).json["user"] == "system:anonymous"
    async with serve_api(authentication=ways(tokens=token_file, static={"name": "eve"}, anonymous=True)) as http:
        assert (await me(http)).json["user"] == "eve"


async def test_a_wrong_token_makes_nobody_anonymous(serve_api: Serve, token_file: dict[str, str]) -> None:
    async with serve_api(authentication=ways(tokens=token_file, static={"name": "eve"}, anonymous=True)) as http:
        assert (await refusal(http, "wrong"))[0] == "INVALID_TOKEN"
        assert await user_of(http, "one") == "ann"


async def test_a_refusal_can_be_read_by_allowed_pages(serve_api: Serve, token_file: dict[str, str]) -> None:
    settings = ways(tokens=token_file) | {"cors_origin": "https://page.example"}
    async with serve_api(authentication=settings) as http:
        headers = {"Authorization": "Bearer wrong", "Origin": "https://page.example"}
        answer = await http("GET", "/me", headers=headers)
        assert answer.status == 401
        assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"


# The order


async def test_static_before_tokens_does_not_look_at_them(serve_api: Serve, token_file: dict[str, str]) -> None:
    settings = ways(tokens=token_file, static={"name": "eve"}) | {"order": ["static", "tokens"]}
    async with serve_api(authentication=settings) as http:
        assert await user_of(http, "wrong") == "eve"


async def test_all_ways_together(serve_api: Serve, token_file: dict[str, str], keystone: Keystone, provider: Provider) -> None:
    strategy = {
        "tokens": token_file,
        "oidc": {"issuer": provider.issuer, "username_prefix": "oidc:"},
        "keystone": of_keystone(keystone),
        "keycloak": of_keycloak(provider.endpoint),
    }
    async with serve_api(authentication=ways(**strategy)) as http:
        assert await user_of(http, "one") == "ann"
        assert await user_of(http, provider.issue_token("bob", signed=True)) == "oidc:bob"
        assert await user_of(http, keystone.issue_token("carol", "carol")) == "carol"
        assert await user_of(http, provider.issue_token("bob")) == "bob"
        assert await refusal(http, "wrong") == (
            "INVALID_TOKEN",
            "The token is accepted by none of: tokens, oidc, keystone, keycloak.",
        )


async def test_the_first_in_order_decides(serve_api: Serve, impostor: Impostor) -> None:
    impostor.answer = lambda request: web.json_response(
        {"preferred_username": "of-keycloak"}
        if request.method == "POST"
        else {"token": {"user": {"name": "of-keystone"}, "expires_at": "2040-01-01T00:00:00Z"}}
    )
    strategy = {"keystone": {"endpoint": impostor.url}, "keycloak": {"endpoint": impostor.url}}
    for first, second in (("keystone", "keycloak"), ("keycloak", "keystone")):
        async with serve_api(authentication=ways(**strategy) | {"order": [first, second]}) as http:
            assert await user_of(http, "some") == f"of-{first}"


async def test_one_service_down_harms_only_its_own_users(
    serve_api: Serve, provider: Provider, token_file: dict[str, str]
) -> None:
    strategy = {"keystone": {"endpoint": "http://127.0.0.1:1"}, "keycloak": of_keycloak(provider.endpoint)}
    async with serve_api(authentication=ways(**strategy, tokens=token_file)) as http:
        assert await user_of(http, "one") == "ann"
        assert await user_of(http, provider.issue_token("bob")) == "bob"
        assert (await me(http, "wrong")).status == 503


# The words of the original


async def test_refusals_of_keystone(serve_api: Serve, keystone: Keystone) -> None:
    async with serve_api(authentication=ways(keystone=of_keystone(keystone))) as http:
        expected = ("INVALID_KEYSTONE_TOKEN", "Invalid Keystone token (HTTP 401 Unauthorized)")
        assert await refusal(http, "wrong") == expected
        # It is kept for a moment, in the same words.
        assert await refusal(http, "wrong") == expected


async def test_refusals_of_keycloak(serve_api: Serve, provider: Provider) -> None:
    async with serve_api(authentication=ways(keycloak=of_keycloak(provider.endpoint))) as http:
        assert await refusal(http, "wrong") == ("INVALID_KEYCLOAK_TOKEN", "Invalid Keycloak token (HTTP 401 Unauthorized)")


# Services that fail


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(status=500),
        lambda _: web.Response(text="<html>"),
        lambda _: web.Response(text=" " * 2_000_000),
        None,
    ],
)
async def test_a_service_that_fails_is_not_the_users_fault(serve_api: Serve, impostor: Impostor, answer: Any) -> None:
    impostor.answer = answer
    async with serve_api(authentication=ways(keystone={"endpoint": impostor.url}, timeout=0.5, anonymous=True)) as http:
        started = time.monotonic()
        refused = await me(http, "some")
        assert time.monotonic() - started < 5
        assert (refused.status, refused.json["title"]) == (503, "IDENTITY_SERVICE_UNAVAILABLE")
        assert "Keystone" in refused.detail
        assert impostor.url not in refused.text
        assert int(refused.headers["Retry-After"]) >= 1
        # It is back; nothing has to be restarted.
        impostor.answer = keystone_answer("ann")
        assert await user_of(http, "some") == "ann"


def keystone_answer(name: Any, lifetime: float = 3600) -> Callable[[web.Request], web.StreamResponse]:
    """Answer as Keystone does, about a token that lives so many seconds from now."""
    expires = (datetime.now(UTC) + timedelta(seconds=lifetime)).isoformat()
    return lambda _: web.json_response({"token": {"user": {"name": name}, "expires_at": expires}})


async def test_a_provider_that_is_killed_and_comes_back(serve_api: Serve, start_provider: StartProvider) -> None:
    provider = start_provider()
    strategy = {"keycloak": of_keycloak(provider.endpoint), "oidc": {"issuer": provider.issuer}}
    async with serve_api(authentication=ways(**strategy, cache=0)) as http:
        opaque, signed = provider.issue_token("bob"), provider.issue_token(signed=True)
        assert await user_of(http, opaque) == "bob"
        assert await user_of(http, signed) == "alice"
        provider.process.kill()
        assert (await me(http, opaque)).status == 503
        # What can be verified without asking still is.
        assert await user_of(http, signed) == "alice"
        provider.start()
        assert await user_of(http, provider.issue_token("bob")) == "bob"


async def test_keystone_that_hangs(
    serve_api: Serve, keystone: Keystone, start_proxy: Callable[[int], Awaitable[Proxy]]
) -> None:
    proxy = await start_proxy(keystone.port)
    settings = ways(keystone={"endpoint": f"{proxy.url}/v3"}, timeout=0.5, cache=0)
    token = keystone.issue_token("carol", "carol")
    async with serve_api(authentication=settings) as http:
        assert await user_of(http, token) == "carol"
        proxy.hang()
        answers = await asyncio.gather(*(me(http, token) for _ in range(50)), me(http))
        assert {answer.status for answer in answers} == {503, 401}
        await proxy.resume()
        proxy.cut()
        assert await user_of(http, token) == "carol"


# What is kept


async def test_revoked_tokens_are_refused_after_the_time_of_the_cache(serve_api: Serve, keystone: Keystone) -> None:
    token, kept = (keystone.issue_token("carol", "carol") for _ in range(2))
    async with serve_api(authentication=ways(keystone=of_keystone(keystone), cache=1)) as http:
        assert await user_of(http, token) == "carol"
        keystone.revoke_token(token)
        assert await user_of(http, token) == "carol"
        async with asyncio.timeout(30):
            while (await me(http, token)).status == 200:  # noqa: ASYNC110 - this is the public way to know
                await asyncio.sleep(0.05)
        assert (await refusal(http, token))[0] == "INVALID_KEYSTONE_TOKEN"
        assert await user_of(http, kept) == "carol"


async def test_a_watch_ends_with_its_token(
    serve_api: Serve, token_file: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_KNOWN_FOR", 0.1)
    async with serve_api(authentication=ways(tokens=token_file), authorization="always-allow") as http:
        http.session.headers["Authorization"] = "Bearer one"
        async with http.watch("/core/roles", heartbeat="1") as lines:
            assert await lines.next_line() == b"\n"
            Path(token_file["file"]).write_text("# nobody\n")  # noqa: ASYNC240 - a few bytes
            kind, problem = await lines.next()
            assert (kind, problem["status"]) == ("ERROR", 401)
            assert await lines.next_line() == b""


async def test_no_token_is_kept_for_longer_than_it_lives(serve_api: Serve, impostor: Impostor) -> None:
    async with serve_api(authentication=ways(keystone={"endpoint": impostor.url}, cache=3600)) as http:
        impostor.answer = keystone_answer("ann", lifetime=1)
        assert await user_of(http, "some") == "ann"
        impostor.answer = lambda _: web.Response(status=401)
        async with asyncio.timeout(30):
            while (await me(http, "some")).status == 200:  # noqa: ASYNC110 - this is the public way to know
                await asyncio.sleep(0.05)


async def test_a_service_is_asked_once_for_a_token(serve_api: Serve, impostor: Impostor) -> None:
    impostor.answer = keystone_answer("ann")
    impostor.held.clear()
    async with serve_api(authentication=ways(keystone={"endpoint": impostor.url})) as http:
        first = asyncio.create_task(me(http, "some"))
        await until(lambda: impostor.asked == 1)
        others = [asyncio.create_task(me(http, "some")) for _ in range(20)]
        stranger = asyncio.create_task(me(http, "other"))
        await until(lambda: impostor.asked == 2)
        # The one who asked first hangs up; the others get their answer all the same.
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        impostor.held.set()
        answers = await asyncio.gather(*others, stranger)
        assert [answer.json["user"] for answer in answers] == ["ann"] * 21
        assert await user_of(http, "some") == "ann"
        assert (impostor.asked, impostor.gone) == (2, 0)


async def test_repeating_a_bad_token_does_not_trouble_the_service(serve_api: Serve, impostor: Impostor) -> None:
    impostor.answer = lambda _: web.Response(status=401)
    async with serve_api(authentication=ways(keystone={"endpoint": impostor.url})) as http:
        for _ in range(30):
            await refusal(http, "wrong")
        assert impostor.asked == 1


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - the world has no event for it
            await asyncio.sleep(0.01)


# Names


@pytest.mark.parametrize("name", ["system:admin", "system:", "", " ann", "ann\n", "ann\x00", "a\u202eb", "x" * 256])
async def test_names_that_outsiders_may_not_have(serve_api: Serve, impostor: Impostor, name: str) -> None:
    impostor.answer = keystone_answer(name)
    async with serve_api(authentication=ways(keystone={"endpoint": impostor.url}, static={"name": "eve"})) as http:
        title, detail = await refusal(http, "some")
        assert title == "INVALID_KEYSTONE_TOKEN"
        assert detail.startswith("The token is valid, but the name of its user ")
        assert not [letter for letter in detail if not letter.isprintable()]


@pytest.mark.parametrize("name", ["ann", "ann@example.org", "Ännchen von Tharau", "System:admin", "x" * 255])
async def test_names_that_they_may_have(serve_api: Serve, impostor: Impostor, name: str) -> None:
    impostor.answer = keystone_answer(name)
    async with serve_api(authentication=ways(keystone={"endpoint": impostor.url})) as http:
        assert await user_of(http, "some") == name


# The configuration


@pytest.mark.parametrize(
    ("strategy", "key"),
    [
        ({"tokens": {}}, "authentication.strategy.tokens.file"),
        ({"tokens": {"file": "/nowhere/tokens"}}, "authentication.strategy.tokens.file"),
        ({"oidc": {}}, "authentication.strategy.oidc.issuer"),
        ({"oidc": {"issuer": "https://a.example", "audience": ""}}, "authentication.strategy.oidc.audience"),
        ({"oidc": {"issuer": "https://a.example", "username_claim": ""}}, "authentication.strategy.oidc.username_claim"),
        ({"oidc": {"issuer": "https://a.example", "ca": "/nowhere/ca"}}, "authentication.strategy.oidc.ca"),
        ({"oidc": {"issuer": "a.example"}}, "authentication.strategy.oidc.issuer"),
        ({"keystone": {"ca": "/nowhere/ca"}}, "authentication.strategy.keystone.ca"),
        ({"keycloak": {"ca": "/nowhere/ca"}}, "authentication.strategy.keycloak.ca"),
    ],
)
async def test_settings_that_are_missing_or_wrong(serve_api: Serve, strategy: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        async with serve_api(authentication=ways(**strategy)):
            pass


async def test_a_way_that_would_never_be_asked(serve_api: Serve, token_file: dict[str, str]) -> None:
    settings = ways(tokens=token_file, static={}) | {"order": ["certificate", "static"]}
    with pytest.raises(ValueError, match=r"^authentication\.order: 'tokens'"):
        async with serve_api(authentication=settings):
            pass
