"""Bytes that are no request, or one that nobody should send: never a failure of the server, never a hang."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from fixtures.api_process import ApiProcess, RunApi
from fixtures.fuzzing import MINUTES, check_log
from fixtures.samples import path_of, sample

from krake.data import KINDS

AT_ONCE = 16
ANSWER_LIMIT = 20.0
"""Seconds in which a whole request is answered, and a connection ends of which no more can come."""
STATUS_LINE = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)

Chance = random.Random

TEXTS = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"-Infinity",
    b"1e999999",
    b"9" * 5_000,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\u0000"',
    b"\xed\xa0\x80",
    b"[" * 3_000,
    b"[" * 90 + b"]" * 90,
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b'{"a": 1, "a": {}, "a": []}',
    b"[1,]",
    b"'a'",
    b"// comment",
    b'"' + b"x" * 100_000 + b'"',
    b"0x10",
    b"01",
    b"1.",
    b"true false",
    "\u2028\U0001f600".encode(),
]
PARTS = rb"""
.. . %2e%2e %00 %FF % %zz %2F ; \ * # ? {name} %F0%9F%98%80 -a a%0D%0AX:y a+b core namespaces roles default example status
""".split()
PARTS += [b"", b"a b", b"\xff", b"\xc3\xa4", b"a" * 300, b"a" * 9_000]
QUERIES = rb"""
limit=0 limit=-1 limit=1e9 limit=%D9%A3 limit=1&limit=2 continue=%00 continue=W10 continue=WzEsIi8iXQ
label_selector=(( label_selector=a+in+(
label_selector=%FF label_selector=%00 blocking=never blocking=%00 force=%zz heartbeat=-1 heartbeat=x resource_version=-1
resource_version=99999999999999999999 user=%00 user=%FF &&&=& watch=false&heartbeat=0
watch watch=1&heartbeat=1&bookmarks=1 watch&resource_version=1 watch&label_selector=a %00=%00 verbose=%FF
""".split()
QUERIES += [b"limit=" + b"9" * 50, b"limit=\xff", b"continue=" + b"A" * 5_000, b"label_selector=" + b"a," * 3_000, b"a" * 8_000]
HEADERS = rb"""
Content-Length: -1
Content-Length: 99999999999999999999
Content-Length: +5
Content-Length: 0x5
Content-Length: 5
Transfer-Encoding: chunked
Transfer-Encoding: gzip, chunked
Transfer-Encoding: identity
Content-Encoding: gzip
Content-Encoding: deflate
Content-Encoding: br
Content-Encoding: zstd
Content-Type: application/merge-patch+json; charset=utf-7
Content-Type: multipart/form-data
Content-Type: ;;;
Expect: 100-continue
Expect: 999-nonsense
Upgrade: websocket
Upgrade: h2c
Connection: Upgrade
Connection: close, keep-alive, upgrade
Authorization: Bearer
Authorization: Basic %%%
Authorization: a
Sec-WebSocket-Key: x
If-None-Match: "
If-None-Match: W/,,"
Accept-Encoding: gzip;q=x
Origin: null
Host: other.example
Range: bytes=0-
: no name
No colon
 folded
""".strip(b"\n").split(b"\n")
HEADERS += [
    *(
        name + b": \xff"
        for name in (b"Accept", b"Authorization", b"Expect", b"Origin", b"Host", b"Access-Control-Request-Method")
    ),
    *(name + b": \x01" for name in (b"X-Request-Id", b"Transfer-Encoding", b"Content-Type")),
    *(name + b": " + b"a" * 7_000 for name in (b"Authorization: Bearer", b"Content-Type", b"X-Request-Id", b"Cookie")),
    b"Cookie: \x00",
    b"A\x00: b",
    b"A: b\r\n folded",
    b"X: " + b"y" * 20_000,
    b"\r\n".join(b"X-%d: y" % index for index in range(300)),
]
METHODS = b"GET GET POST POST PUT PUT PATCH PATCH DELETE HEAD OPTIONS TRACE CONNECT get PRI G\xffT".split()
VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 x", b""]
SIZES = [b"-1", b"f" * 17, b"", b"0x5", b"5;ext=" + b"a" * 5_000, b" 5", b"g"]
ENDS = [b"\r\n0\r\n\r\n", b"0\r\n\r\n", b"\r\n0\r\nTrailer: x\r\n\r\n", b"", b"\n0\n\n"]


def random_path(chance: Chance) -> bytes:
    """A path of the API, of which parts may be replaced."""
    kind = chance.choice(list(KINDS.values()))
    path = path_of(kind, chance.choice([None, "example"]), namespace="default").encode()
    path = chance.choice(
        [
            path,
            path,
            path + b"/status",
            path + b"/binding",
            b"/me",
            b"/authorize",
            b"/metrics",
            b"/openapi.json",
            b"*",
            b"//x/y",
            b"http://x/me",
        ]
    )
    if chance.random() < 0.5:
        parts = path.split(b"/")
        parts[chance.randrange(len(parts))] = chance.choice(PARTS)
        path = b"/".join(parts)
    if chance.random() < 0.4:
        path += b"?" + b"&".join(chance.choices(QUERIES, k=chance.randint(1, 3)))
    return path


def random_body(chance: Chance) -> bytes:
    """A body: a nasty text, or a sample in which something was replaced by one."""
    if chance.random() < 0.3:
        return chance.choice(TEXTS)
    wire = sample(chance.choice(list(KINDS.values())), name="example")
    place: Any = wire
    while True:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], (dict, list)) or not place[key] or chance.random() < 0.2:
            break
        place = place[key]
    place[key] = "NASTY"
    return json.dumps(wire).encode().replace(b'"NASTY"', chance.choice(TEXTS))


def chunked(chance: Chance, body: bytes) -> bytes:
    """A body in chunks, which are mostly wrong."""
    size = chance.choice([b"%x" % len(body), b"%x" % (len(body) + 5), *SIZES])
    return size + b"\r\n" + body + chance.choice(ENDS)


def request(chance: Chance) -> bytes:
    """A request with one or more oddities."""
    method, body, headers = chance.choice(METHODS), random_body(chance), [b"Host: krake.example"]
    if method in (b"POST", b"PUT", b"PATCH"):
        if chance.random() < 0.15:
            headers.append(b"Transfer-Encoding: chunked")
            body = chunked(chance, body)
        else:
            headers.append(b"Content-Length: %d" % len(body))
    else:
        body = b""
    headers += chance.choices(HEADERS, k=chance.choice([0, 0, 1, 1, 2]))
    line = method + b" " + random_path(chance) + b" " + chance.choice(VERSIONS)
    return b"\r\n".join([line, *headers, b"", body])


def mangled(chance: Chance) -> bytes:
    """A request with bytes changed, lost or doubled."""
    data = bytearray(request(chance))
    for _ in range(chance.randint(1, 10)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            case 2:
                del data[at : at + chance.randint(1, 20)]
            case _:
                data[at:at] = data[at : at + chance.randint(1, 50)]
    return bytes(data)


def several(chance: Chance) -> bytes:
    """Requests sent without waiting for answers."""
    return b"".join(request(chance) for _ in range(chance.randint(2, 5)))


GENERATORS: list[Callable[[Chance], bytes]] = [
    request,
    request,
    request,
    mangled,
    several,
    lambda chance: chance.randbytes(chance.randint(1, 2_000)),
]


async def test_malformed_requests(run_api: RunApi, fuzz_seed: int) -> None:
    async with run_api("--etcd-retry-transactions", "3") as api:
        ends = time.monotonic() + MINUTES * 60
        async with asyncio.TaskGroup() as tasks:
            for index in range(AT_ONCE):
                tasks.create_task(torment(api, random.Random(f"{fuzz_seed}/{index}"), ends))
        assert api.process.returncode is None
    check_log(api.output)


async def torment(api: ApiProcess, chance: Chance, ends: float) -> None:
    """Send requests until the time is over, one connection each."""
    while time.monotonic() < ends:
        data = chance.choice(GENERATORS)(chance)
        answer = await exchange(api.port, data)
        failures = [status for status in STATUS_LINE.findall(answer) if status >= b"500"]
        assert not failures, f"{data!r}\n{answer!r}\n{api.output[-5_000:]}"


async def exchange(port: int, data: bytes) -> bytes:
    """Send bytes, and return all that comes back: until a moment of silence, and then until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        with suppress(ConnectionError):
            writer.write(data)
            await asyncio.wait_for(writer.drain(), ANSWER_LIMIT)
            answer = await read_until_silence(reader)
            writer.write_eof()
            async with asyncio.timeout(ANSWER_LIMIT):
                answer += await reader.read()
    except TimeoutError:
        pytest.fail(f"The server holds on to a connection after {data!r}: {answer!r}")
    finally:
        writer.close()
    return answer


async def read_until_silence(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    with suppress(TimeoutError):
        while True:
            chunk = await asyncio.wait_for(reader.read(65_536), 0.05 if answer else 0.5)
            if not chunk:
                break
            answer += chunk
    return answer


@pytest.mark.parametrize("name", ["request", "mangled"])
async def test_whole_requests_are_answered(run_api: RunApi, fuzz_seed: int, name: str) -> None:
    """A request that is whole in itself is answered, however odd its path and body are."""
    chance = random.Random(f"{fuzz_seed}/{name}")
    async with run_api() as api:
        for _ in range(200):
            body = random_body(chance)
            if name == "mangled":
                body = bytes(chance.choice([byte, byte, byte, byte ^ 1 << chance.randrange(8)]) for byte in body)
            method = chance.choice([b"POST", b"PUT", b"PATCH"])
            path = path_of(chance.choice(list(KINDS.values())), None if method == b"POST" else "example").encode()
            head = b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (method, path, len(body))
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(head + body)
            async with asyncio.timeout(ANSWER_LIMIT):
                answer = await reader.read()
            writer.close()
            status = STATUS_LINE.search(answer)
            assert status is not None, (head, body)
            assert status[1] < b"500", (head, body, answer, api.output[-5_000:])
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert status[1] < b"400" or problem["status"] == int(status[1])
