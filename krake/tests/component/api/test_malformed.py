"""What is no proper HTTP is answered by a problem, too, and holds up nobody."""

import asyncio
import json
import logging
import socket
from pathlib import Path

import pytest
from fixtures.api import Http, Serve
from fixtures.polling import until

from krake.api import body
from krake.api.operations import connection

MALFORMED = {
    "no http": (b"hello\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "version": (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
    "method": (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "header": (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
    "header name": (b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400),
    "newline in a header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nc\r\n\r\n", 400),
    "length": (b"POST /core/roles HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    "two lengths": (b"POST /core/roles HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "smuggling": (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunk": (b"POST /core/roles HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", 400),
    "long path": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "long header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n", 400),
    "no target": (b"CONNECT  \r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "expectation": (b"POST /core/roles HTTP/1.1\r\nHost: x\r\nExpect: banana\r\nContent-Length: 0\r\n\r\n", 417),
}


async def exchange(http: Http, request: bytes, limit: float = 30) -> tuple[int, dict[str, str], bytes]:
    """Send bytes over a connection of their own; return status, headers and body of the answer, until the server hangs up."""
    host, port = http.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(limit):
            status = int((await reader.readline()).split()[1])
            headers = {}
            while line := (await reader.readline()).decode().strip():
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            return status, headers, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_requests(http: Http, name: str) -> None:
    request, expected = MALFORMED[name]
    status, headers, text = await exchange(http, request)
    assert headers["content-type"].startswith("application/problem+json"), text
    problem = json.loads(text)
    assert (status, problem["status"]) == (expected, expected), problem
    assert headers["x-request-id"]
    assert len(text) < 1000
    assert "\n" not in problem["detail"]
    assert (await http.get("/livez")).status == 200


async def test_who_only_holds_connections_keeps_nobody_out(serve_api: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_WAITING", 5)
    async with serve_api() as http, http.watch("/core/roles", heartbeat="1") as lines:
        host, port = http.url.removeprefix("http://").split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        assert (await http.get("/livez")).status == 200
        cut = [reader.read() for reader, _ in held[:10]]
        async with asyncio.timeout(30):
            ends = await asyncio.gather(*cut, return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)
        # Who is served is not disturbed.
        assert await lines.next_line() == b"\n"
        for _, writer in held:
            writer.close()


async def test_a_client_that_never_finishes_its_headers(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_LIMIT", 0.5)
    host, port = http.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\n")

    async def drip() -> None:
        while not writer.is_closing():
            writer.write(b"A: b\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(30):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
    finally:
        dripping.cancel()
        writer.close()


async def test_a_client_that_leaves_before_it_is_told_to_continue(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    host, port = http.url.removeprefix("http://").split(":")
    head = b"POST /core/roles HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with caplog.at_level(logging.ERROR, "aiohttp.server"):
        for _ in range(50):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(head)
            assert (await http.get("/livez")).status == 200
    assert not caplog.records, caplog.text


async def test_a_body_that_does_not_arrive(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_UPLOAD_LIMIT", 0.3)
    head = b"POST /core/roles HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    status, _, text = await exchange(http, head)
    assert (status, json.loads(text)["status"]) == (408, 408)


async def test_a_client_that_does_not_take_its_answer(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_LIMIT", 0.5)
    for number in range(8):
        rules = [{"api": "x", "resources": ["y" * 900_000], "namespaces": [], "verbs": []}]
        created = await http.post("/core/roles", {"metadata": {"name": f"r{number}"}, "rules": rules})
        assert created.status == 201
    host, port = http.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /core/roles HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        await until(lambda: is_given_up(int(port), writer.get_extra_info("sockname")[1]))
        async with asyncio.timeout(60):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(8 * 900_000)
    finally:
        writer.close()


async def is_given_up(local: int, remote: int) -> bool:
    """Whether the kernel has no open connection from one of our ports to another one any more."""
    connections = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    for line in connections.splitlines()[1:]:
        _, ours, theirs, state, *_ = line.split()
        if (int(ours.split(":")[1], 16), int(theirs.split(":")[1], 16)) == (local, remote):
            return state != "01"
    return True
