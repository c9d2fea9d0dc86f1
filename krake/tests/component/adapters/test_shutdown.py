"""Applications are called, and whatever answers there does no harm."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from testpki.authority import SERVER, Authority

from krake.adapters import shutdown
from krake.adapters.shutdown import CallFailed, check_address, put

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def application(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    server = web.Server(answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    try:
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}/shutdown"
    finally:
        listener.close()
        await server.shutdown(0)


@asynccontextmanager
async def raw(answer: bytes) -> AsyncIterator[str]:
    """Something that answers bytes and goes on for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            while await reader.read(1):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/shutdown"
    finally:
        listener.close()


async def test_the_headers_arrive_without_a_body() -> None:
    seen: list[tuple[str, str, str | None, bytes]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append((request.method, request.path, request.headers.get("Krake-Signature"), await request.read()))
        return web.Response(status=202)

    async with application(answer) as url:
        await put(url, {"Krake-Signature": "sha256=x"}, local=True)
    assert seen == [("PUT", "/shutdown", "sha256=x", b"")]


async def test_a_certificate_that_nobody_knows_does_no_harm(tmp_path_factory: pytest.TempPathFactory) -> None:
    pair = Authority.make("somebody", 1).issue("app", [SERVER])
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(pair.certificate_pem)
    (folder / "key.pem").write_bytes(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    async with application(answer, context) as url:
        await put(url, {}, local=True)


@pytest.mark.parametrize("status", [301, 307, 308, 400, 404, 500, 503])
async def test_only_success_is_success_and_redirects_lead_nowhere(status: int) -> None:
    called: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        called.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with application(answer) as url:
        with pytest.raises(CallFailed, match=f"answers with status {status}"):
            await put(url, {}, local=True)
    assert called == ["/shutdown"]


async def test_an_answer_without_an_end_is_not_read() -> None:
    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000) as url, asyncio.timeout(30):
        await put(url, {}, local=True)


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000, b"\x00" * 1000 + b"\r\n\r\n"],
)
async def test_what_speaks_another_language_fails_with_one_line(answer: bytes) -> None:
    async with raw(answer) as url, asyncio.timeout(30):
        with pytest.raises(CallFailed) as error:
            await put(url, {}, local=True)
    assert len(str(error.value)) < 400


async def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "CALL_LIMIT", 0.2)
    async with raw(b"") as url, asyncio.timeout(30):
        with pytest.raises(CallFailed, match="does not answer within"):
            await put(url, {}, local=True)


async def test_nobody_is_there(unused_tcp_port: int) -> None:
    with pytest.raises(CallFailed, match="can not be called"):
        await put(f"http://127.0.0.1:{unused_tcp_port}/shutdown", {}, local=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/shutdown", "http://localhost:1/shutdown", "http://[::1]:1/shutdown"])
async def test_what_is_on_this_machine_only_is_not_called_for_clusters_elsewhere(url: str) -> None:
    with pytest.raises(CallFailed, match="Applications are not called at"):
        await put(url, {}, local=False)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "2002:a9fe:a9fe::",
        "64:ff9b::a9fe:a9fe",
        "100.100.100.200",
        "0.1.2.3",
        "2852039166",
        "169.254.43518",
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_addresses_at_which_there_are_no_applications(host: str, local: bool) -> None:
    if host.endswith("127.0.0.1") and local:
        check_address(host, local=True)
        return
    with pytest.raises(CallFailed):
        check_address(host, local=local)


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "203.0.113.7", "2001:db8::1", "cluster.example"])
def test_addresses_at_which_there_may_be_applications(host: str) -> None:
    check_address(host, local=False)


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1", "0x7f000001", "127.0.0.1.nip.invalid@127.0.0.1"])
async def test_this_machine_is_not_called_however_it_is_written(host: str) -> None:
    called: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        called.append(request.path)
        return web.Response()

    async with application(answer) as url:
        with pytest.raises(CallFailed):
            await put(url.replace("127.0.0.1", host), {}, local=False)
    assert called == []


@pytest.mark.parametrize("host", ["10.0.0.1:8080/api/delete?all=", "user@10.0.0.1", "10.0.0.1#", "a b", "", "[fe80::1%eth0]"])
async def test_hosts_do_not_change_what_is_asked_for(host: str) -> None:
    with pytest.raises(CallFailed, match="neither a name nor an address"):
        await put(f"http://{host}:80/shutdown", {}, local=False)
