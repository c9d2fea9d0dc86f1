"""What users give the addresses of is fetched without trusting anybody."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from fixtures.web import Web

from krake.adapters.fetching import Fetcher, FetchError
from krake.data.destinations import Destinations

HERE = Destinations(["127.0.0.1"])


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(HERE, timeout=1.0, size_limit=1000) as found:
        yield found


async def refusal(fetcher: Fetcher, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await fetcher.fetch(url)
    return caught.value


def leads_to(location: str, status: int = 302) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    return answer


def says(**response: Any) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    return answer


async def test_a_document_is_fetched_without_telling_who_asks(
    fetcher: Fetcher, web_server: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    web_server.answers["/cookie"] = says(text="", headers={"Set-Cookie": "a=b"})
    web_server.answers["/a"] = "content"
    await fetcher.fetch(f"{web_server.url}/cookie")
    assert await fetcher.fetch(f"{web_server.url}/a") == b"content"
    for headers in web_server.headers:
        assert headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


async def test_redirections_are_followed(fetcher: Fetcher, web_server: Web) -> None:
    for status in (301, 302, 303, 307, 308):
        web_server.answers[f"/{status}"] = leads_to("sub/b", status)
    web_server.answers["/sub/b"] = "there"
    for status in (301, 302, 303, 307, 308):
        assert await fetcher.fetch(f"{web_server.url}/{status}") == b"there"


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:1/a",
        "http://[::ffff:169.254.169.254]/a",
        "http://0.0.0.0:1/a",
        "http://169。254。169。254/a",
        "http://１６９.254.169.254/a",
        "http://[fe80::1%25eth0]/a",
        "http://0xa9.254.169.254/a",
    ],
)
async def test_nobody_is_sent_where_it_is_denied(fetcher: Fetcher, web_server: Web, place: str) -> None:
    web_server.answers["/away"] = leads_to(place)
    for url in (place, f"{web_server.url}/away"):
        error = await refusal(fetcher, url)
        assert "the administrator of Krake has not allowed it (fetching.allow)" in str(error)
        assert not error.passing


@pytest.mark.parametrize(
    "place",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://me:secret@127.0.0.1/",
        "gopher://x",
        "http://0/a",
        "http://2852039166/a",
        "http://169.254.43518/a",
    ],
)
async def test_only_http_is_followed(fetcher: Fetcher, web_server: Web, place: str) -> None:
    web_server.answers["/away"] = leads_to(place)
    assert not (await refusal(fetcher, f"{web_server.url}/away")).passing


async def test_names_are_checked_by_what_they_mean(web_server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means another address whenever it is looked up leads to one that was checked, or to none."""
    meanings = iter([["127.0.0.1"], ["93.184.216.34", "127.0.0.2"], ["169.254.169.254"]])

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> Any:
        assert host == "rebinding.example"
        return [(2, 1, 6, "", (address, port)) for address in next(meanings)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    web_server.answers["/a"] = "content"
    async with Fetcher(HERE, timeout=1.0, size_limit=1000) as fetcher:
        url = f"http://rebinding.example:{web_server.port}/a"
        assert await fetcher.fetch(url) == b"content"
        for _ in range(2):
            assert "has not allowed it" in str(await refusal(fetcher, url))
    assert web_server.asked == ["/a"]


async def test_the_api_is_never_asked(web_server: Web) -> None:
    web_server.answers["/a"] = "content"
    for name in ("127.0.0.1", "localhost"):
        endpoint = f"http://{name}:{web_server.port}"
        async with Fetcher(HERE, timeout=1.0, size_limit=1000, forbidden=endpoint) as fetcher:
            for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
                assert not (await refusal(fetcher, f"http://{host}:{web_server.port}/a")).passing
    assert web_server.asked == []


async def test_slow_and_endless_answers_are_cut(fetcher: Fetcher, web_server: Web) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 500)

    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    web_server.answers |= {"/drip": drip, "/flood": flood, "/silent": silent, "/circle": leads_to("/circle")}
    web_server.answers["/large"] = "x" * 1001
    said = {path: await refusal(fetcher, f"{web_server.url}{path}") for path in sorted(web_server.answers)}
    assert {path: str(error).removeprefix(f"{web_server.url}{path} ") for path, error in said.items()} == {
        "/circle": "leads on more than 5 times.",
        "/drip": "was not there within 1 seconds.",
        "/flood": "is larger than 1000 bytes.",
        "/large": "is larger than 1000 bytes.",
        "/silent": "was not there within 1 seconds.",
    }
    assert all(error.passing for error in said.values())


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({"text": "<html>", "content_type": "text/html"}, "is a web page; give the address of the file itself."),
        ({"status": 404}, "its host answers HTTP 404."),
        ({"status": 503}, "its host answers HTTP 503."),
        ({"status": 302}, "its host answers HTTP 302."),
        ({"body": b"x", "headers": {"Content-Encoding": "gzip"}}, "its host sends it compressed, unasked."),
    ],
)
async def test_what_is_no_document_is_refused(fetcher: Fetcher, web_server: Web, response: dict[str, Any], said: str) -> None:
    web_server.answers["/a"] = says(**response)
    error = await refusal(fetcher, f"{web_server.url}/a")
    assert str(error).startswith(f"{web_server.url}/a ")
    assert str(error).endswith(said)


async def test_what_is_no_web_server_is_told(fetcher: Fetcher) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "can not be fetched" in str(await refusal(fetcher, f"http://127.0.0.1:{port}/a"))
        assert "can not be fetched" in str(await refusal(fetcher, f"https://127.0.0.1:{port}/a"))
    assert "can not be fetched" in str(await refusal(fetcher, f"http://127.0.0.1:{port}/a"))
    assert "there is no host of this name" in str(await refusal(fetcher, "http://no-such-host.invalid/a"))
