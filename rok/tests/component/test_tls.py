"""Talking to an API behind TLS that wants to know who asks."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from certificates import Authority
from command import Rok


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


@pytest.fixture
async def url(authority: Authority) -> AsyncIterator[str]:
    """A server that lists no applications to whoever has a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.directory / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.sign("server"))

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"items": [], "metadata": {}})

    app = web.Application()
    app.router.add_get("/kubernetes/namespaces/red/applications", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_certificate_opens_the_door(url: str, authority: Authority, rok: Rok) -> None:
    certificate, key = authority.sign("alice")
    tls = {"enabled": True, "client_ca": "../ca.pem", "client_cert": str(certificate), "client_key": str(key)}
    rok.use(url, user="red", tls=tls)
    done = await rok("kube app list -o json")
    assert (done.status, done.err, done.json) == (0, "", [])


async def test_an_unknown_authority_is_not_trusted(url: str, rok: Rok) -> None:
    rok.use(url, tls={"enabled": True})
    done = await rok("kube app list")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "certificate verify failed" in done.err
    assert done.err.endswith("check tls in rok.yaml\n")


async def test_without_a_certificate_the_door_stays_closed(url: str, rok: Rok) -> None:
    rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem"})
    done = await rok("kube app list")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("rok: error: ")


async def test_a_file_that_is_no_certificate(url: str, authority: Authority, rok: Rok) -> None:
    (rok.directory / "bad.pem").write_text("nothing")
    rok.use(url, tls={"enabled": True, "client_ca": "../ca.pem", "client_cert": "bad.pem", "client_key": "bad.pem"})
    done = await rok("kube app list")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "check tls in rok.yaml" in done.err
