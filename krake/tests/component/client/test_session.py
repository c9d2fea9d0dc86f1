"""The client against servers that behave in every way a network can."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress

import pytest

from krake.client import ApiError, Client, Gone, NotFound, Unavailable, WatchEvent
from krake.data import Key, Metadata
from krake.data.core import Role
from krake.data.metadata import WatchEventType
from krake.lib import context

KEY = Key(None, "r")
ROLE = Role(metadata=Metadata(name="r", resource_version="5"), rules=[])
BODY = json.dumps(ROLE.serialize()).encode()

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server that hands the head of each request to *answer*; yields its URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    if length := re.search(rb"(?i)content-length: (\d+)", head):
                        head += await reader.readexactly(int(length[1]))
                    await answer(head, writer)
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(body: bytes, status: int = 200, headers: str = "") -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


async def hang(_: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def cut(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def cut_in_the_body(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()


async def talk_nonsense(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.example ESMTP\r\n\r\n")
    await writer.drain()
    writer.close()


def streaming(*chunks: bytes, end: bytes = b"") -> Answer:
    """Send the head of a chunked answer and *chunks*, then *end* and nothing more."""

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if end:
            writer.write(end)
            await writer.drain()
            writer.close()
        else:
            await asyncio.Event().wait()

    return answer


LAST_CHUNK = b"0\r\n\r\n"
CUT = b"5\r\nab"


def line(type_: str, body: bytes = BODY) -> bytes:
    return b'{"type": "' + type_.encode() + b'", "object": ' + body + b"}\n"


async def test_what_is_sent_and_received() -> None:
    requests = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        requests.append(request.decode())
        await saying(BODY)(request, writer)

    async with serving(answer) as url, Client(f"{url}/base/", token="t0k", user_agent="krake-test") as client:
        context.request_id.set("id-1")
        assert await client.get(Role, KEY) == ROLE
        assert await client.patch(Role, KEY, {"metadata": {"labels": {"a": "b"}}}) == ROLE
        assert await client.create(ROLE) == ROLE
        assert await client.update(ROLE) == ROLE
        assert await client.delete(Role, KEY) == ROLE
    assert [request.split(" HTTP", 1)[0] for request in requests] == [
        "GET /base/core/roles/r",
        "PATCH /base/core/roles/r",
        "POST /base/core/roles",
        "PUT /base/core/roles/r",
        "DELETE /base/core/roles/r",
    ]
    for request in requests:
        for header in ("User-Agent: krake-test", "Authorization: Bearer t0k", "X-Request-Id: id-1"):
            assert header in request
    assert requests[1].endswith('{"metadata":{"labels":{"a":"b"}}}')


@pytest.mark.parametrize("answer", [hang, cut, cut_in_the_body, talk_nonsense, saying(b"", 503), saying(b"oh", 502)])
async def test_an_api_that_does_not_work_is_unavailable_soon(answer: Answer) -> None:
    async with serving(answer) as url, Client(url, timeout=0.3) as client, asyncio.timeout(30):
        with pytest.raises(Unavailable) as caught:
            await client.get(Role, KEY)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("(GET /core/roles/r)")
    assert not caught.value.outcome_unknown


async def test_a_write_without_answer_may_have_been_applied() -> None:
    async with serving(hang) as url:
        async with Client(url, timeout=0.2) as client:
            with pytest.raises(Unavailable) as caught:
                await client.create(ROLE)
        assert caught.value.outcome_unknown
        closed = url
    async with Client(closed) as client:
        with pytest.raises(Unavailable) as caught:
            await client.create(ROLE)
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b'{"items": 1}', b'"x"', b""])
async def test_an_answer_from_something_else_is_told_as_such(body: bytes) -> None:
    async with serving(saying(body)) as url, Client(url) as client:
        with pytest.raises(ApiError, match="This is not the API of Krake"):
            await client.get(Role, KEY)
        with pytest.raises(ApiError, match="This is not the API of Krake"):
            await client.list(Role)


async def test_no_credentials_follow_a_redirection() -> None:
    headers = "Location: http://127.0.0.1:9/\r\n"
    async with serving(saying(b"", 302, headers)) as url, Client(url, token="t0k") as client:
        with pytest.raises(ApiError, match="status 302"):
            await client.get(Role, KEY)


async def test_problems_become_errors() -> None:
    problem = json.dumps({"title": "NOT_FOUND_ERROR", "status": 404, "detail": "'Role' 'r' does not exist"}).encode()
    async with serving(saying(problem, 404)) as url, Client(url) as client:
        with pytest.raises(NotFound) as caught:
            await client.get(Role, KEY)
    assert str(caught.value) == "'Role' 'r' does not exist (GET /core/roles/r)"


async def test_an_item_that_cannot_be_read_does_not_hide_the_others() -> None:
    items = [b"null", b"5", b'"x"', b"[]", b"{}", b'{"metadata": 5}', BODY, b'{"metadata": {"name": "s"}, "rules": 5}']
    body = b'{"metadata": {"resource_version": "9", "continue": "t"}, "items": [' + b",".join(items) + b"]}"
    async with serving(saying(body)) as url, Client(url) as client:
        listing = await client.list(Role)
    assert [item.metadata.name for item in listing.items] == ["r", "s"]
    assert (listing.resource_version, listing.continue_token) == ("9", "t")


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "/path"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of an API"):
        Client(url)


async def test_a_watch_yields_events_of_any_length_over_any_chunks() -> None:
    long = json.dumps({**ROLE.serialize(), "metadata": {"name": "x" * 300_000}}).encode()
    stream = b"\n" + line("ADDED") + b"\n" + line("SOMETHING_NEW") + line("MODIFIED", long) + line("DELETED")
    stream += line("BOOKMARK", b'{"metadata": {"resource_version": "77"}}')
    chunks = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    opened = asyncio.Event()
    async with serving(streaming(*chunks, end=LAST_CHUNK)) as url, Client(url) as client:
        events = [event async for event in client.watch(Role, resource_version="3", on_open=opened.set)]
    assert opened.is_set()
    assert [event.type for event in events] == list(WatchEventType)
    assert len(events[1].object.metadata.name) == 300_000
    assert events[3].object.metadata.resource_version == "77"


@pytest.mark.parametrize(
    ("answer", "expected", "seen"),
    [
        (streaming(line("ADDED"), line("ERROR", b'{"status": 410}')), Gone, 1),
        (streaming(line("ADDED"), b"{\n"), Unavailable, 1),
        (streaming(line("ADDED"), end=CUT), Unavailable, 1),
        (streaming(line("ADDED"), b'{"type": "ADD', end=CUT), Unavailable, 1),
        (saying(b'{"detail": "Forgotten."}', 410), Gone, 0),
        (saying(b"", 503), Unavailable, 0),
        (cut, Unavailable, 0),
    ],
)
async def test_a_watch_that_breaks_says_how_after_its_events(answer: Answer, expected: type[ApiError], seen: int) -> None:
    events: list[WatchEvent[Role]] = []

    async def follow(client: Client) -> None:
        async for event in client.watch(Role):
            events.append(event)  # noqa: PERF401 (a comprehension would lose them)

    async with serving(answer) as url, Client(url) as client, asyncio.timeout(30):
        with pytest.raises(expected):
            await follow(client)
    assert len(events) == seen


async def test_a_watch_lives_by_heartbeats_and_not_without() -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0.7)
            writer.write(b"1\r\n\n\r\n")
        beats.set()
        await asyncio.Event().wait()

    beats = asyncio.Event()
    async with serving(answer) as url, Client(url, timeout=0.5, heartbeat=1) as client, asyncio.timeout(60):
        with pytest.raises(Unavailable, match="did not answer within 3 s"):
            async for _ in client.watch(Role):
                pass
    assert beats.is_set(), "it has outlived the time limit of calls, and a silence shorter than three heartbeats"


async def test_leaving_a_watch_ends_its_connection() -> None:
    ended = asyncio.Event()

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = line("ADDED")
        writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        with suppress(OSError):
            while True:
                writer.write(b"1\r\n\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        ended.set()

    async with serving(answer) as url, Client(url) as client:
        async with aclosing(client.watch(Role)) as events:
            async for _ in events:
                break
        async with asyncio.timeout(30):
            await ended.wait()
