import json
import subprocess
import sys
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.client import wire
from krake.client.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)
from krake.data import KINDS

APPLICATIONS = wire.Route("kubernetes", "applications", True)
ROLES = wire.Route("core", "roles", False)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (wire.get(APPLICATIONS, "n", "a"), "GET /kubernetes/namespaces/n/applications/a"),
        (wire.get(ROLES, None, "r"), "GET /core/roles/r"),
        (wire.list_(APPLICATIONS), "GET /kubernetes/applications"),
        (wire.list_(APPLICATIONS, "n"), "GET /kubernetes/namespaces/n/applications"),
        (
            wire.list_(ROLES, label_selector="a=b,c", limit=2, continue_="x y"),
            "GET /core/roles?label_selector=a%3Db%2Cc&limit=2&continue=x+y",
        ),
        (wire.watch(ROLES), "GET /core/roles?watch=true&heartbeat=10"),
        (
            wire.watch(APPLICATIONS, "n", resource_version="7", heartbeat=1, bookmarks=True),
            "GET /kubernetes/namespaces/n/applications?watch=true&resource_version=7&heartbeat=1&bookmarks=true",
        ),
        (wire.create(APPLICATIONS, "n", {}), "POST /kubernetes/namespaces/n/applications"),
        (wire.update(ROLES, None, "r", {}), "PUT /core/roles/r"),
        (wire.update(APPLICATIONS, "n", "a", {}, subresource="status"), "PUT /kubernetes/namespaces/n/applications/a/status"),
        (wire.patch(APPLICATIONS, "n", "a", {}, subresource="status"), "PATCH /kubernetes/namespaces/n/applications/a/status"),
        (wire.delete(APPLICATIONS, "n", "a"), "DELETE /kubernetes/namespaces/n/applications/a"),
        (wire.delete(APPLICATIONS, "n", "a", force=True), "DELETE /kubernetes/namespaces/n/applications/a?force=True"),
        (wire.act(APPLICATIONS, "n", "a", "retry"), "PUT /kubernetes/namespaces/n/applications/a/retry"),
    ],
)
def test_a_request_goes_where_the_api_serves_it(request_: wire.Request, expected: str) -> None:
    assert f"{request_.method} {request_.target}" == expected


def test_kinds_of_the_registry_are_routes() -> None:
    for kind in KINDS.values():
        assert wire.list_(kind.definition).path == kind.definition.path


@given(name=st.text(min_size=1, max_size=20).filter(lambda text: text not in (".", "..") and text.isprintable()))
def test_any_name_stays_one_segment_of_the_path(name: str) -> None:
    head, tail = wire.get(ROLES, None, name).path.rsplit("/", 1)
    assert (head, unquote(tail)) == ("/core/roles", name)
    assert tail.isascii()
    assert not set(tail) & set("?#")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_reach_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        wire.delete(ROLES, None, name)


def test_a_namespace_is_asked_for_where_there_is_one_and_only_there() -> None:
    with pytest.raises(ValueError, match="The applications are in namespaces; name one"):
        wire.get(APPLICATIONS, None, "a")
    with pytest.raises(ValueError, match="The applications are in namespaces; name one"):
        wire.create(APPLICATIONS, None, {})
    with pytest.raises(ValueError, match="The roles are not in namespaces; name none"):
        wire.get(ROLES, "n", "r")


def test_bodies_are_json_and_say_so() -> None:
    request = wire.create(ROLES, None, {"a": "ü"})
    assert (request.headers["Content-Type"], json.loads(request.body or b"")) == ("application/json", {"a": "ü"})
    assert wire.patch(ROLES, None, "r", {}).headers["Content-Type"] == "application/merge-patch+json"
    assert wire.act(APPLICATIONS, "n", "a", "retry").body is None


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/"])
def test_the_path_of_the_base_url_is_kept(base: str) -> None:
    assert wire.get(ROLES, None, "r").url(base) == "http://h:1/core/roles/r"
    assert wire.get(ROLES, None, "r").url("https://h/krake") == "https://h/krake/core/roles/r"


@pytest.mark.parametrize(
    ("status", "title", "expected"),
    [
        (400, None, Invalid),
        (415, None, Invalid),
        (422, None, Invalid),
        (401, None, Unauthorized),
        (403, None, Forbidden),
        (404, "NOT_FOUND_ERROR", NotFound),
        (409, "TRANSACTION_ERROR", Conflict),
        (409, "RESOURCE_ALREADY_EXISTS", AlreadyExists),
        (410, None, Gone),
        (429, None, Unavailable),
        (503, None, Unavailable),
        (500, None, ApiError),
        (302, None, ApiError),
    ],
)
def test_each_status_is_an_error_of_its_own(status: int, title: str | None, expected: type[ApiError]) -> None:
    body = json.dumps({"status": status, "title": title, "detail": "So it is."}).encode()
    with pytest.raises(ApiError) as caught:
        wire.parse(status, body, "GET /core/roles/r")
    assert type(caught.value) is expected
    assert str(caught.value) == "So it is. (GET /core/roles/r)"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The API answered with status 502."),
        (b"<html>\n<b>Bad Gateway</b>", "The API answered with status 502: <html> <b>Bad Gateway</b>"),
        (b"[1]", "The API answered with status 502: [1]"),
        (b"\xff", "The API answered with status 502: \ufffd"),
        (b"{" * 100_000, "The API answered with status 502: " + "{" * 200),
        (b'{"detail": "a\\nb"}', "a b"),
    ],
)
def test_an_error_of_any_form_becomes_one_line(body: bytes, text: str) -> None:
    assert str(wire.error_of(502, body)) == text


def test_wrong_fields_are_told_once() -> None:
    problem = {"detail": "The body is wrong.", "errors": [{"field": "spec.a", "message": "Bad."}, "odd"]}
    error = wire.error_of(422, json.dumps(problem).encode(), "POST /x")
    assert error.errors == (("spec.a", "Bad."),)
    assert str(error) == "The body is wrong: spec.a: Bad. (POST /x)"
    assert str(wire.error_of_problem(422, {**problem, "detail": "spec.a: Bad."})) == "spec.a: Bad."


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_a_success_that_is_not_json_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError, match="This is not the API of Krake"):
        wire.parse(200, body)


def test_an_empty_success_is_nothing() -> None:
    assert wire.parse(204, b"") is None


lines = st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=8)


@given(lines=lines, rest=st.binary(max_size=5).filter(lambda line: b"\n" not in line), data=st.data())
def test_lines_are_the_same_however_the_stream_is_chopped_up(lines: list[bytes], rest: bytes, data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = wire.LineDecoder()
    edges = [0, *cuts, len(stream)]
    got = [line for begin, end in pairwise(edges) for line in decoder.feed(stream[begin:end])]
    assert got == lines


def test_a_line_of_many_chunks_costs_time_in_proportion() -> None:
    decoder, chunk = wire.LineDecoder(), b"x" * 1000
    for _ in range(20_000):
        assert decoder.feed(chunk) == []
    assert [len(line) for line in decoder.feed(b"\n")] == [20_000_000]


def _line(type_: str, **content: object) -> bytes:
    return json.dumps({"type": type_, "object": content}).encode() + b"\n"


def test_a_watch_yields_events_and_passes_over_heartbeats() -> None:
    decoder = wire.WatchDecoder()
    stream = b"\n" + _line("ADDED", a=1) + b"\r\n\n" + _line("DELETED", a=2)
    assert list(decoder.feed(stream)) == [wire.Event("ADDED", {"a": 1}), wire.Event("DELETED", {"a": 2})]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (_line("ERROR", status=410, detail="Forgotten."), Gone),
        (_line("ERROR", status=503), Unavailable),
        (_line("ERROR", status="odd"), ApiError),
        (b"{\n", Unavailable),
        (b"[]\n", Unavailable),
        (b'{"type": "ADDED"}\n', Unavailable),
        (b'{"type": "ADDED", "object": []}\n', Unavailable),
        (b"[" * 100_000 + b"\n", Unavailable),
    ],
)
def test_what_came_before_the_end_of_a_watch_is_not_lost(line: bytes, expected: type[ApiError]) -> None:
    seen: list[wire.Event] = []
    with pytest.raises(ApiError) as caught:
        seen.extend(wire.WatchDecoder("GET /x").feed(_line("ADDED", a=1) + line + _line("ADDED", a=2)))
    assert type(caught.value) is expected
    assert seen == [wire.Event("ADDED", {"a": 1})]


def test_the_wire_loads_nothing_that_is_slow() -> None:
    code = "import sys, krake.client.wire; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "krake.client.wire" in loaded
    assert not {"aiohttp", "marshmallow", "asyncio", "ssl", "krake.data"} & set(loaded)
