"""What the adapter of the Infrastructure Manager makes of servers that are none, or ill."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote, quote_plus

import pytest
from aiohttp import web
from fixtures.identity import Impostor
from fixtures.im import cloud_of, provider_of, template_of

from krake.adapters.infrastructure import Connector
from krake.data.destinations import Destinations
from krake.data.infrastructure import CloudSpec, InfrastructureProviderSpec
from krake.ports.infrastructure import InfrastructureError, Infrastructures, Phase, Refused, Rejected, Unavailable

TIMEOUT = 1.0
SECRETS = ('im\'s "secret" é', "cloud's; secret")

ASKS: dict[str, Callable[[Infrastructures], Awaitable[object]]] = {
    "find": lambda infrastructures: infrastructures.find("krake-1"),
    "create": lambda infrastructures: infrastructures.create("krake-1", template_of()),
    "observe": lambda infrastructures: infrastructures.observe("1"),
    "update": lambda infrastructures: infrastructures.update("1", template_of()),
    "reconfigure": lambda infrastructures: infrastructures.reconfigure("1"),
    "delete": lambda infrastructures: infrastructures.delete("1"),
    "kubeconfig": lambda infrastructures: infrastructures.kubeconfig("1"),
}
asks = pytest.mark.parametrize("ask", ASKS)


@pytest.fixture
async def connector() -> AsyncIterator[Connector]:
    async with Connector(Destinations(), "infrastructure.allow", TIMEOUT) as found:
        yield found


@pytest.fixture
def infrastructures(connector: Connector, impostor: Impostor) -> Infrastructures:
    return connect(connector, provider_of(impostor.url, password=SECRETS[0]))


def connect(connector: Connector, provider: InfrastructureProviderSpec, *, trusted: bool = True) -> Infrastructures:
    cloud = cloud_of("http://cloud.example/v3", password=SECRETS[1])
    return connector.connect("north", provider, "cloud", cloud, trusted=trusted, cloud_trusted=True)


async def failure(infrastructures: Infrastructures, ask: str) -> InfrastructureError:
    with pytest.raises(InfrastructureError) as caught:
        await ASKS[ask](infrastructures)
    message = str(caught.value)
    assert message.startswith("The infrastructure provider 'north' ")
    assert "\n" not in message
    assert len(message) < 600
    assert "secret" not in message
    return caught.value


ILL: tuple[Callable[[], web.Response], ...] = (
    lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    lambda: web.Response(status=500, text="<html>oops"),
    lambda: web.Response(status=503),
    lambda: web.Response(status=418, text="a teapot"),
    lambda: web.Response(body=b"x" * 5_000_000),
    lambda: web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
)
NONSENSE = (
    b"nothing",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"state": {"state": []}}',
    b'{"outputs": []}',
    b"\x00",
)


@asks
async def test_a_server_that_is_ill_may_have_done_it(infrastructures: Infrastructures, impostor: Impostor, ask: str) -> None:
    for response in ILL:
        impostor.answer = lambda request, response=response: response()  # type: ignore[misc]
        assert isinstance(await failure(infrastructures, ask), Unavailable)


@pytest.mark.parametrize("ask", ["find", "create", "observe", "update", "kubeconfig", "delete"])
async def test_an_answer_that_makes_no_sense_is_none(infrastructures: Infrastructures, impostor: Impostor, ask: str) -> None:
    for body in NONSENSE:
        impostor.answer = lambda request, body=body: web.Response(body=body)  # type: ignore[misc]
        try:
            found = await ASKS[ask](infrastructures)
        except Unavailable:
            continue
        assert ask in ("kubeconfig", "delete")
        assert found is None


async def test_a_server_that_hangs_is_given_up_in_time(infrastructures: Infrastructures) -> None:
    started = time.monotonic()
    await asyncio.gather(*(failure(infrastructures, ask) for ask in ASKS))
    assert time.monotonic() - started < 5 * TIMEOUT


async def test_a_server_that_repeats_secrets_does_not_get_them_told(
    infrastructures: Infrastructures, impostor: Impostor
) -> None:
    def answer(request: web.Request) -> web.Response:
        header = request.headers["Authorization"]
        return web.Response(status=400, text=f"{SECRETS[0]} {SECRETS[1]} {header}")

    impostor.answer = answer
    for ask in ASKS:
        await failure(infrastructures, ask)


@pytest.mark.parametrize("spell", [repr, json.dumps, quote, quote_plus, lambda text: b64encode(text.encode()).decode()])
async def test_secrets_are_not_told_however_they_are_spelt(
    infrastructures: Infrastructures, impostor: Impostor, spell: Callable[[str], str]
) -> None:
    impostor.answer = lambda request: web.Response(status=400, text=f"No: {' '.join(map(spell, SECRETS))}")
    for ask in ASKS:
        message = str(await failure(infrastructures, ask))
        assert not any(spell(secret) in message for secret in SECRETS)


async def test_an_im_that_lists_more_than_anybody_has_is_not_asked_about_each(
    infrastructures: Infrastructures, impostor: Impostor
) -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="\n".join(f"http://im.example/infrastructures/{each}" for each in range(20_000)))

    impostor.answer = answer
    assert "more than 10000" in str(await failure(infrastructures, "find"))
    assert asked == ["/infrastructures"]


async def test_of_an_error_without_end_only_the_beginning_is_looked_at(
    infrastructures: Infrastructures, impostor: Impostor
) -> None:
    # To search megabytes for what IM may mean would take so long that everybody else has to wait.
    told = json.dumps({"detail": "\n" * 2_000_000 + "Invalid InfrastructureManager credentials"})
    impostor.answer = lambda request: web.Response(status=500, text=told)
    for ask in ASKS:
        assert isinstance(await failure(infrastructures, ask), Unavailable)


@pytest.mark.parametrize("ask", ["observe", "update", "kubeconfig", "delete"])
async def test_more_json_than_anybody_needs_is_not_read(infrastructures: Infrastructures, impostor: Impostor, ask: str) -> None:
    impostor.answer = lambda request: web.Response(text=f"[{'[],' * 300_000}[]]")
    assert "answered with more than 524288 bytes of JSON" in str(await failure(infrastructures, ask))


async def test_a_larger_template_than_anybody_has_is_not_read(infrastructures: Infrastructures, impostor: Impostor) -> None:
    def answer(request: web.Request) -> web.Response:
        many = f"a: [{'x,' * 600_000}x]" if request.path.endswith("/tosca") else "http://im.example/infrastructures/one"
        return web.Response(text=many)

    impostor.answer = answer
    assert "a template of more than 1048576 bytes" in str(await failure(infrastructures, "find"))


async def test_an_id_that_nobody_could_keep_is_none(infrastructures: Infrastructures, impostor: Impostor) -> None:
    impostor.answer = lambda request: web.Response(text=f"http://im.example/infrastructures/{'x' * 100_000}")
    for ask in ("find", "create"):
        assert isinstance(await failure(infrastructures, ask), Unavailable)


BOMBS = (
    "a: " + "[" * 100_000,
    "a: 0x" + "F" * 500_000,
    "a0: &a0 {k: v}\n" + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)),
)


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_kubeconfig_that_is_a_bomb_does_no_harm(
    infrastructures: Infrastructures, impostor: Impostor, bomb: str
) -> None:
    impostor.answer = lambda request: web.json_response({"outputs": {"kubeconfig": bomb}})
    with pytest.raises(Rejected, match="is no kubeconfig"):
        await infrastructures.kubeconfig("1")


@pytest.mark.parametrize("status", [401, 403])
async def test_refusals_are_told_from_trouble(infrastructures: Infrastructures, impostor: Impostor, status: int) -> None:
    impostor.answer = lambda request: web.json_response({"detail": "No."}, status=status)
    for ask in ASKS:
        assert isinstance(await failure(infrastructures, ask), Refused)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_is_sent_where_the_administrator_has_not_allowed(
    connector: Connector, impostor: Impostor, host: str
) -> None:
    impostor.answer = lambda request: web.Response()
    theirs = connect(connector, provider_of(impostor.url.replace("127.0.0.1", host)), trusted=False)
    for ask in ASKS:
        error = await failure(theirs, ask)
        assert isinstance(error, Rejected)
        assert "has not allowed it (infrastructure.allow)" in str(error)
    assert impostor.asked == 0


async def test_checks_keep_to_what_is_allowed_too(connector: Connector, impostor: Impostor) -> None:
    with pytest.raises(Rejected, match="has not allowed it"):
        await connector.check_provider("north", provider_of(impostor.url))
    with pytest.raises(Rejected, match="has not allowed it"):
        await connector.check_cloud("cloud", cloud_of(impostor.url))
    assert impostor.asked == 0


async def test_a_server_that_is_not_there(connector: Connector) -> None:
    for url in ("http://127.0.0.1:1", "http://no-such-host.invalid", "https://127.0.0.1:1"):
        assert isinstance(await failure(connect(connector, provider_of(url)), "observe"), Unavailable)


async def test_ids_lead_nowhere_else(infrastructures: Infrastructures, impostor: Impostor) -> None:
    uris = ["http://evil.example/infrastructures/../..", "/infrastructures/a/b", "x", "http://a/infrastructures/"]
    for uri in uris:
        impostor.answer = lambda request, uri=uri: web.Response(text=uri)  # type: ignore[misc]
        assert isinstance(await failure(infrastructures, "create"), Unavailable)
        assert isinstance(await failure(infrastructures, "find"), Unavailable)


async def test_what_goes_while_it_is_searched_is_not_found(infrastructures: Infrastructures, impostor: Impostor) -> None:
    def answer(request: web.Request) -> web.Response:
        if request.path == "/infrastructures":
            return web.Response(text="http://im/infrastructures/1\nhttp://im/infrastructures/2")
        if "/1/" in request.path:
            return web.Response(status=404, text="Deleted infrastructure.")
        return web.Response(text="metadata: {infra_name: krake-1}")

    impostor.answer = answer
    assert await infrastructures.find("krake-1") == ["2"]


async def test_what_im_knows_nothing_about_is_not_taken_for_lost(infrastructures: Infrastructures, impostor: Impostor) -> None:
    states = {"0": "unknown", "1": "unknown"}
    impostor.answer = lambda request: web.json_response({"state": {"state": "unknown", "vm_states": states}})
    found = await infrastructures.observe("1")
    assert found.phase is Phase.UNKNOWN
    assert set(found.machines.values()) == {Phase.UNKNOWN}


async def test_a_provider_can_not_work_on_every_cloud(connector: Connector) -> None:
    local = CloudSpec.deserialize(
        {"type": "local", "local": {"infrastructure_provider": {"name": "north", "namespaced": False}}}
    )
    with pytest.raises(Rejected, match="of the type 'im' do not work on clouds of the type 'local'"):
        connector.connect("north", provider_of("http://im.example"), "cloud", local)
