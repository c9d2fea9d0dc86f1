"""What answers at the address of a cluster may be anything; the connection says so, in time, and survives."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from krake.adapters.kubernetes import connect
from krake.ports.cluster import Identity, ObjectType, Rejected, Unreachable

CONFIG_MAP = ObjectType("v1", "ConfigMap")
IDENTITY = Identity(CONFIG_MAP, "default", "x")
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def kubeconfig(server: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Accept connections, and do with them what *answer* does."""

    responding: set[asyncio.Task[None]] = set()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(respond(reader, writer))
        responding.add(task)
        task.add_done_callback(responding.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in responding:
            task.cancel()
        await asyncio.gather(*responding)


def replying(body: bytes, status: str = "200 OK", headers: str = "") -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
        await writer.drain()

    return answer


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await writer.drain()


NOT_KUBERNETES = {
    "nothing": (never, "did not answer within"),
    "dripping": (drip, "did not answer within"),
    "hanging up": (hang_up, "can not be reached"),
    "another protocol": (babble, "can not be reached"),
    "a page": (replying(b"<html>hello</html>"), "is not Kubernetes"),
    "no object": (replying(b"[1, 2]"), "is not Kubernetes"),
    "another object": (replying(b'{"hello": "world"}'), "is not Kubernetes"),
    "deep nesting": (replying(b"[" * 200_000), "is not Kubernetes"),
    "no text": (replying(b"\xff\xfe\x00"), "is not Kubernetes"),
    "a redirect": (replying(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"), "status 302"),
    "a gateway": (replying(b"Bad Gateway", "502 Bad Gateway"), "status 502"),
}


@pytest.mark.parametrize("what", NOT_KUBERNETES)
async def test_what_is_not_kubernetes_is_unreachable(what: str) -> None:
    answer, said = NOT_KUBERNETES[what]
    async with serving(answer) as url:
        cluster = connect(kubeconfig(url), timeout=0.5)
        calls = [
            cluster.version(),
            cluster.is_namespaced(CONFIG_MAP),
            cluster.get(IDENTITY),
            cluster.delete(IDENTITY, "x"),
            anext(cluster.watch_nodes()),
            anext(cluster.watch(CONFIG_MAP)),
        ]
        began = time.monotonic()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - began < 3
        await cluster.close()
    assert all(isinstance(result, Unreachable) and said in str(result) for result in results), results


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://no-such-host.invalid", "http://[::1]:1"]
)
async def test_where_nobody_answers_is_unreachable(server: str) -> None:
    cluster = connect(kubeconfig(server), timeout=2)
    with pytest.raises(Unreachable, match="The cluster at http"):
        await cluster.version()
    await cluster.close()


async def test_a_page_that_refuses_is_a_refusal() -> None:
    async with serving(replying(b"no", "403 Forbidden")) as url:
        cluster = connect(kubeconfig(url))
        with pytest.raises(Rejected, match="refuses the credentials"):
            await cluster.version()
        await cluster.close()


async def test_a_watch_notices_that_the_server_has_gone_silent() -> None:
    listing = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"watch=true" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await never(reader, writer)
        await replying_now(writer, listing)

    async with serving(answer) as url:
        cluster = connect(kubeconfig(url), timeout=0.5, node_interval=1)
        events = cluster.watch_nodes()
        await anext(events)
        with pytest.raises(Unreachable, match="did not answer"):
            async with asyncio.timeout(5):
                await anext(events)
        await cluster.close()


async def replying_now(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


@pytest.mark.parametrize(
    "line", [b"garbage\n", b'{"type": "ADDED"}\n', b'{"type": "ODD", "object": {"metadata": {"name": "x"}}}\n']
)
async def test_a_watch_that_tells_garbage_is_unreachable(line: bytes) -> None:
    listing = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        await replying_now(writer, line if b"watch=true" in request else listing)

    async with serving(answer) as url:
        cluster = connect(kubeconfig(url), timeout=0.5)
        events = cluster.watch_nodes()
        await anext(events)
        with pytest.raises(Unreachable, match="is not Kubernetes"):
            await anext(events)
        await cluster.close()


WRONG = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n").decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"current-context": "other"},
        {"contexts": None},
        {"clusters": [{"name": "c", "cluster": {"server": "ftp://x"}}]},
        {"clusters": [{"name": "c", "cluster": {"server": 7}}]},
        {"clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "?"}}]},
        {"users": [{"name": "u", "user": {"token": "a\nb"}}]},
        {"users": [{"name": "u", "user": {"client-certificate-data": 3, "client-key-data": 4}}]},
        {"users": [3]},
    ],
)
async def test_a_kubeconfig_that_can_not_be_used_says_so(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unreachable, match="kubeconfig can not be used"):
        connect({**kubeconfig("https://127.0.0.1:1"), **wrong} if wrong else {})


@pytest.mark.parametrize("what", [{"certificate-authority-data": WRONG}, {}])
async def test_certificates_that_are_none_are_told(what: dict[str, Any]) -> None:
    user = {} if what else {"client-certificate-data": WRONG, "client-key-data": WRONG}
    cluster = connect(kubeconfig("https://127.0.0.1:1", user, **what))
    with pytest.raises(Unreachable, match="certificates in the kubeconfig can not be used"):
        await cluster.version()
    await cluster.close()


async def test_credentials_do_not_appear_in_messages() -> None:
    cluster = connect(kubeconfig("http://admin:s3cret@127.0.0.1:1", {"token": "t0ken"}), timeout=1)
    with pytest.raises(Unreachable) as caught:
        await cluster.version()
    assert "s3cret" not in str(caught.value)
    assert "t0ken" not in str(caught.value)
    await cluster.close()
