"""Talking to an API behind TLS that wants to know who asks."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from command import Rok
from testpki.authority import CLIENT, SERVER, Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority.make("authority", 1)
    (tmp_path / "ca.pem").write_bytes(authority.pair.certificate_pem)
    return authority


def store(folder: Path, name: str, pair: Pair) -> dict[str, str]:
    """Write a certificate and its key; returns what the configuration says of them."""
    paths = {"client_cert": folder / f"{name}.pem", "client_key": folder / f"{name}-key.pem"}
    paths["client_cert"].write_bytes(pair.certificate_pem)
    paths["client_key"].write_bytes(pair.key_pem)
    return {key: str(path) for key, path in paths.items()}


@asynccontextmanager
async def serving(folder: Path, pair: Pair, wants_one: bool = True) -> AsyncIterator[str]:
    """A server that lists no applications to whoever has a certificate of the authority, and tells the headers it got."""
    files = store(folder, "server", pair)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED if wants_one else ssl.CERT_NONE
    context.load_cert_chain(files["client_cert"], files["client_key"])

    async def answer(request: web.Request) -> web.Response:
        (folder / "authorization").write_text(request.headers.get("Authorization", ""))
        return web.json_response({"items": [], "metadata": {}})

    app = web.Application()
    app.router.add_get("/kubernetes/namespaces/red/applications", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@contextmanager
def talkative(folder: Path) -> Iterator[str]:
    """A server that says what it does not like about one client; that of aiohttp just hangs up."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")

    def refuse(listening: socket.socket) -> None:
        plain, _ = listening.accept()
        with plain, context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as connection:
            with pytest.raises(ssl.SSLError):
                connection.do_handshake()
            socket.socket.shutdown(connection, socket.SHUT_WR)
            while socket.socket.recv(connection, 4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        listening.settimeout(20)
        refusing = pool.submit(refuse, listening)
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        refusing.result(20)


def server_of(authority: Authority, hosts: Iterable[str] = ("127.0.0.1",), days: float = 1) -> Pair:
    return authority.issue("server", [SERVER], hosts=hosts, days=days)


@pytest.fixture
async def url(authority: Authority, tmp_path: Path) -> AsyncIterator[str]:
    async with serving(tmp_path, server_of(authority)) as url:
        yield url


async def fail(rok: Rok) -> str:
    """Run a command that fails with one line."""
    done = await rok("kube app list")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("rok: error: ")
    return done.err.strip()


async def test_a_certificate_opens_the_door(url: str, authority: Authority, rok: Rok, tmp_path: Path) -> None:
    files = store(tmp_path, "alice", authority.issue("alice"))
    rok.use(url, user="red", tls={"enabled": True, "client_ca": "../ca.pem", **files})
    done = await rok("kube app list -o json")
    assert (done.status, done.err, done.json) == (0, "", [])
    assert (tmp_path / "authorization").read_text() == ""


async def test_an_unknown_authority_is_not_trusted(url: str, rok: Rok) -> None:
    rok.use(url, tls={"enabled": True})
    said = await fail(rok)
    assert "is not trusted (certificate verify failed)" in said
    assert said.endswith("name its authority by tls.client_ca in rok.yaml")


async def test_a_server_of_another_name(authority: Authority, rok: Rok, tmp_path: Path) -> None:
    async with serving(tmp_path, server_of(authority, ["krake.example"])) as url:
        rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem"})
        assert "is made out to another name" in await fail(rok)
        rok.use(url.replace("127.0.0.1", "localhost"), tls={"enabled": True, "client_ca": "../ca.pem"})
        assert "is made out to another name" in await fail(rok)


async def test_a_server_whose_time_is_over(authority: Authority, rok: Rok, tmp_path: Path) -> None:
    async with serving(tmp_path, server_of(authority, days=-1)) as url:
        rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem"})
        assert "has expired" in await fail(rok)


async def test_without_a_certificate_the_door_stays_closed(url: str, rok: Rok) -> None:
    rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem"})
    assert "wants a certificate, name yours by tls.client_cert and tls.client_key in rok.yaml" in await fail(rok)


async def test_without_tls_the_door_stays_closed(url: str, rok: Rok) -> None:
    rok.use(url.replace("https", "http"))
    assert "if it wants TLS, switch tls on in rok.yaml" in await fail(rok)


async def test_certificates_that_do_not_open_the_door(url: str, authority: Authority, rok: Rok, tmp_path: Path) -> None:
    for said, pair in {
        "does not know the authority of your certificate": Authority.make("stranger", 1).issue("alice"),
        "your certificate has expired": authority.issue("alice", [CLIENT], days=-1),
        "does not take your certificate for a user's": authority.issue("alice", [SERVER]),
    }.items():
        rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem", **store(tmp_path, "alice", pair)})
        assert "does not accept your certificate" in await fail(rok)
        with talkative(tmp_path) as other:
            rok.use(other, tls={"enabled": True, "client_ca": "../ca.pem", **store(tmp_path, "alice", pair)})
            assert said in await fail(rok)
    with talkative(tmp_path) as other:
        rok.use(other, tls={"enabled": True, "client_ca": "../ca.pem"})
        assert "wants a certificate: name yours" in await fail(rok)


async def test_a_file_that_is_no_certificate(url: str, rok: Rok) -> None:
    (rok.directory / "bad.pem").write_text("nothing")
    rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem", "client_cert": "bad.pem", "client_key": "bad.pem"})
    assert "check tls in rok.yaml" in await fail(rok)


async def test_an_authority_that_is_none(url: str, rok: Rok) -> None:
    (rok.directory / "bad.pem").write_text("nothing")
    rok.use(url, tls={"enabled": True, "client_ca": "bad.pem"})
    assert "rok.yaml" in await fail(rok)


@pytest.mark.parametrize("given", [{"token": "t0k"}, {"token_file": "token"}])
async def test_a_token_is_sent(
    authority: Authority, rok: Rok, tmp_path: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (rok.directory / "token").write_text("t0k\n")
    async with serving(tmp_path, server_of(authority), wants_one=False) as url:
        rok.use(url, user="red", tls={"enabled": True, "client_ca": "../ca.pem"}, **given)
        assert (await rok("kube app list")).status == 0
        assert (tmp_path / "authorization").read_text() == "Bearer t0k"
        monkeypatch.setenv("ROK_TOKEN", "other")
        assert (await rok("kube app list")).status == 0
        assert (tmp_path / "authorization").read_text() == "Bearer other"


@pytest.mark.parametrize("token", ["", "two words", "töken", "t0k\n\nother"])
async def test_a_file_without_a_token(rok: Rok, token: str) -> None:
    (rok.directory / "token").write_text(token)
    rok.use("http://127.0.0.1:1", token_file="token")
    said = await fail(rok)
    assert "write nothing but the token into it" in said
    assert "words" not in said


async def test_two_tokens(rok: Rok) -> None:
    (rok.directory / "token").write_text("t0k")
    rok.use("http://127.0.0.1:1", token_file="token", token="t0k")
    assert "leave one of them out" in await fail(rok)


async def test_a_token_is_not_sent_in_the_open_without_a_word(rok: Rok) -> None:
    rok.use("http://krake.invalid:1", token="t0k")
    done = await rok("kube app list")
    assert done.status == 1
    assert done.err.startswith("rok: warning: the token is sent to http://krake.invalid:1 for everybody on the way to read")
