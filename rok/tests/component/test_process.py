"""``rok`` as a process: its exit status, what goes wrong around it, and how fast it starts."""

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from command import Rok
from krake.client import Client, Unavailable
from krake.data import Key
from krake.data.kubernetes import Application

from rok.config import Config
from rok.kinds import applications
from rok.place import Place
from rok.session import Session

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer, first: bytes = b"\r\n\r\n") -> AsyncIterator[str]:
    """Serve something that is not Krake; gives its URL.

    :param first: what the server reads up to before it answers.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await (reader.readuntil(first) if first else reader.read(1))
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


def answering(text: bytes) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return answer


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def free_url() -> str:
    """Return the URL of a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def test_a_command_as_a_user_runs_it(rok: Rok, client: Client) -> None:
    done = await rok.process("kube cluster list")
    assert (done.status, done.err) == (0, "")
    assert "| name | namespace | labels | created | modified | deleted | state |" in done.out
    named = await rok.process("kube cluster list --config rok.yaml -o json")
    assert (named.status, named.json) == (0, [])


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("kube app get gone", 1, "rok: error: 'Application' 'gone' does not exist"),
        ("kube app get", 2, "usage: rok"),
        ("kube app create x -l foo", 2, "rok: error: the label 'foo' is not KEY=VALUE"),
        ("kube app list --config gone.yaml", 1, "rok: error: there is no configuration file 'gone.yaml'"),
    ],
)
async def test_exit_status(line: str, status: int, message: str, rok: Rok, client: Client) -> None:
    done = await rok.process(line)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(message)
    assert "Traceback" not in done.err


async def test_a_server_that_is_down(rok: Rok) -> None:
    rok.use(free_url())
    done = await rok("kube app list")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("rok: error: can not reach Krake at http://127.0.0.1:")
    assert "(Connection refused): is it running, and is api_url right in rok.yaml?" in done.err
    assert done.err.count("\n") == 1


async def test_a_name_that_nobody_knows(rok: Rok) -> None:
    rok.use("http://krake.invalid")
    done = await rok("kube app list")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("rok: error: can not reach Krake at http://krake.invalid (")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "This is not the API of Krake"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", "is not Krake: check api_url in rok.yaml"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "the answer is not a list of objects"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhello", "the connection to Krake"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nBoom!", "The API answered with status 500: Boom! (500)"),
        (b"HTTP/1.1 302 Go\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "302"),
        (b"\x16\x03\x01\x00", "Krake"),
        (b"", "Krake"),
    ],
)
async def test_a_server_that_talks_nonsense(text: bytes, message: str, rok: Rok) -> None:
    async with server(answering(text)) as url:
        rok.use(url)
        done = await rok("kube app list")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("rok: error: ")
    assert message in done.err
    assert done.err.count("\n") == 1


def put_off(status: int, after: str) -> bytes:
    return b"HTTP/1.1 %d No\r\nConnection: close\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % (status, after.encode())


EMPTY = b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{"items": []}'
CREATED = EMPTY.replace(b'13\r\n\r\n{"items": []}', b"2\r\n\r\n{}")


@pytest.mark.parametrize(
    ("line", "answers", "status", "asked"),
    [
        ("kube app list -o yaml", [put_off(429, "0"), put_off(429, "0"), EMPTY], 0, 3),
        ("kube app list -o yaml", [put_off(503, "0"), EMPTY], 0, 2),
        ("kube app list -o yaml", [put_off(429, "0")] * 9, 1, 5),
        ("kube app list -o yaml", [put_off(429, "60"), EMPTY], 1, 1),
        ("kube app list -o yaml", [put_off(429, "soon"), EMPTY], 1, 1),
        ("kube app list -o yaml", [put_off(500, "0"), EMPTY], 1, 1),
        ("kube app create a -f a.yaml -o yaml", [put_off(429, "0"), CREATED], 0, 2),
        ("kube app create a -f a.yaml -o yaml", [put_off(503, "0"), CREATED], 1, 1),
    ],
)
async def test_what_is_put_off_for_a_short_while_is_asked_again(
    line: str, answers: list[bytes], status: int, asked: int, rok: Rok
) -> None:
    rok.write("a.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(left.pop(0))(reader, writer)

    async with server(answer) as url:
        rok.use(url)
        done = await rok(line)
    assert (done.status, len(answers) - len(left)) == (status, asked), done.err
    assert done.err.count("\n") == status


async def test_a_server_that_hangs() -> None:
    async with server(silence) as url:
        with Session(Config(api_url=url), limit=0.3) as session, pytest.raises(Unavailable) as failed:
            await asyncio.to_thread(session.get, Place(applications.VIEW.route, "red", "x"))
    assert failed.value.detail == f"Krake at {url} did not answer within 0.3 s: look whether it is well, then try again"


async def test_a_server_that_drips() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with server(drip) as url:
        with Session(Config(api_url=url), limit=0.5) as session, pytest.raises(Unavailable, match=r"not answer within 0\.5 s"):
            await asyncio.to_thread(session.get, Place(applications.VIEW.route, "red", "x"))


async def test_a_plain_server_behind_tls_settings(rok: Rok) -> None:
    async with server(answering(b"HTTP/1.1 400 What\r\n\r\n"), first=b"") as url:
        rok.use(url.replace("http:", "https:"), tls={"enabled": True})
        done = await rok("kube app list")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "does not speak TLS" in done.err


async def test_ctrl_c(rok: Rok) -> None:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await silence(reader, writer)

    async with server(hang) as url:
        rok.use(url)
        process = await rok.start("kube app list")
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130
    assert err.decode() == "rok: interrupted: what Krake was told to do goes on\n"


async def test_a_reader_that_has_enough(rok: Rok) -> None:
    body = json.dumps({"items": [{"metadata": {"name": f"n{number}"}} for number in range(20_000)]}).encode()
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))) as url:
        rok.use(url)
        process = await asyncio.create_subprocess_shell(
            f"set -o pipefail; {sys.executable} -m rok kube app list | head -n 2",
            executable="/bin/bash",
            cwd=rok.directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err, len(out.splitlines())) == (0, b"", 2)


async def test_a_wait_survives_a_server_that_goes_away(rok: Rok, client: Client) -> None:
    rok.write("a.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})
    created = (await rok("kube app create a -f a.yaml -o json")).json
    body = json.dumps(created).encode()
    later = json.dumps({**created, "status": {**created["status"], "state": "RUNNING", "observed_generation": 1}}).encode()
    answers = [body, None, later]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = answers.pop(0)
        if text is not None:
            await answering(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))(
                reader, writer
            )

    async with server(answer) as url:
        rok.use(url)
        done = await rok("kube app create a -f a.yaml --wait --timeout 20")
    assert (done.status, done.rows["state"]) == (0, "RUNNING"), done.err
    assert answers == []


@pytest.mark.parametrize(("variables", "coloured"), [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)])
async def test_a_terminal_shows_progress_and_colours(
    variables: dict[str, str], coloured: bool, rok: Rok, client: Client
) -> None:
    rok.write("a.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})
    terminal, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rok", "kube", "app", "create", "a", "-f", "a.yaml", "--wait"),
        cwd=rok.directory,
        env={key: value for key, value in os.environ.items() if key != "NO_COLOR"} | variables | {"COLUMNS": "70"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(read_terminal, terminal, "application a: PENDING"))
    await asyncio.wait_for(reading, 30)
    reason = {"code": "NO_SUITABLE_RESOURCE", "message": "No cluster"}
    later = "2030-01-01T00:00:00+00:00"
    for status in (
        {"state": "FAILED", "reason": reason, "scheduled_retry": later},
        {"state": "RUNNING", "reason": None, "observed_generation": 1},
    ):
        await client.patch(Application, Key("system:admin", "a"), {"status": status}, subresource="status")
    shown = await asyncio.wait_for(asyncio.to_thread(read_terminal, terminal), 30)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    os.close(terminal)
    assert "application a: FAILED (NO_SUITABLE_RESOURCE: No cluster)" in shown
    assert ("\x1b[32mRUNNING" in shown) == coloured
    assert ("\x1b" in shown) == coloured
    assert max(len(line) for line in shown.replace("\x1b[32m", "").replace("\x1b[0m", "").splitlines()) <= 70


def read_terminal(terminal: int, until: str | None = None) -> str:
    """Return what is written to a terminal until a text comes, or until nobody writes any more."""
    text = ""
    while until is None or until not in text:
        try:
            text += os.read(terminal, 4096).decode()
        except OSError:
            break
    return text


def test_help_starts_fast() -> None:
    """`rok --help` takes no longer than twice `python3 -c 'import requests'`."""

    def measure(*command: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return time.perf_counter() - started

    pairs = [(measure("-m", "rok", "--help"), measure("-c", "import requests")) for _ in range(7)]
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert ours <= 2 * theirs


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rok.commands import build_parser; build_parser().format_help();"
        "print(*{'requests', 'yaml', 'marshmallow', 'aiohttp', 'rich', 'shtab', 'krake.data'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
