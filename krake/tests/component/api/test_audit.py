"""Who did what can be read up, whatever happens to the disk; secrets never."""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures.api import Http, Serve
from fixtures.polling import until
from fixtures.samples import path_of, sample

from krake.api.operations import sink
from krake.api.operations.sink import Sink
from krake.data.core import Role
from krake.data.kubernetes import Application

ROLES = path_of(Role)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def grown(path: Path, count: int) -> list[dict[str, Any]]:
    """The lines of a file as soon as there are so many."""

    async def look() -> list[dict[str, Any]]:
        return lines if len(lines := lines_of(path)) >= count else []

    return await until(look)


async def exposed(http: Http, line: str) -> str:
    """The figures as soon as they hold a line."""

    async def look() -> str:
        return text if line in (text := (await http.get("/metrics")).text) else ""

    return await until(look)


async def test_writes_are_written_down_and_reads_are_not(serve_api: Serve, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    async with serve_api(audit={"file": str(file)}) as http:
        headers = {"X-Request-Id": "id-1", "User-Agent": 'test "1"'}
        await http("POST", ROLES, json=sample(Role), headers=headers)
        await http.get(ROLES)
        await http.delete(path_of(Application, "missing"))
        await http.get("/livez")
    created, missing = lines_of(file)
    assert {
        name: created[name] for name in ("request_id", "user", "way", "address", "verb", "api", "resource", "namespace")
    } == {
        "request_id": "id-1",
        "user": "system:admin",
        "way": "static",
        "address": "127.0.0.1",
        "verb": "create",
        "api": "core",
        "resource": "roles",
        "namespace": "",
    }
    assert (created["name"], created["decision"], created["status"], created["user_agent"]) == (
        "sample", "allow", 201, "test \"1\"",
    )  # fmt: skip
    assert created["seconds"] > 0
    assert created["time"].endswith("+00:00")
    assert (missing["verb"], missing["resource"], missing["name"], missing["status"]) == (
        "delete", "applications", "missing", 404,
    )  # fmt: skip
    assert missing["namespace"]
    assert file.stat().st_mode & 0o777 == 0o600


async def test_whoever_is_refused_is_written_down_even_when_reading(serve_api: Serve, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    user = {"strategy": {"static": {"enabled": True, "name": "ann"}}}
    for authentication in (user, {}):
        async with serve_api(audit={"file": str(file)}, authentication=authentication, authorization="RBAC") as http:
            await http.get(f"{ROLES}?token=s3cret&watch")
    denied, unknown = lines_of(file)
    assert (denied["user"], denied["decision"], denied["status"]) == ("ann", "deny", 403)
    assert (unknown["user"], unknown["decision"], unknown["status"]) == ("", "unauthenticated", 401)
    assert denied["path"] == f"{ROLES}?token=…&watch"
    assert "s3cret" not in file.read_text()


async def test_reads_on_request_and_watches_from_their_begin(serve_api: Serve, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    async with serve_api(audit={"file": str(file), "reads": True}) as http:
        async with http.watch(ROLES):
            (opened,) = await grown(file, 1)
            assert (opened["stage"], opened["verb"], opened["status"]) == ("open", "list", 200)
        _, ended = await grown(file, 2)
        assert (ended["stage"], ended["request_id"]) == ("end", opened["request_id"])


async def test_no_body_or_credential_is_written_down(serve_api: Serve, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    async with serve_api(audit={"file": str(file), "reads": True}) as http:
        headers = {"Authorization": "Bearer s3cret-token"}
        body = sample(Application)
        body["spec"]["manifest"][0]["data"] = {"password": "s3cret-value"}
        assert (await http("POST", path_of(Application), json=body, headers=headers)).status == 201
        await http("GET", f"{path_of(Application)}?access_token=s3cret-query", headers=headers)
    assert len(lines_of(file)) >= 2
    assert "s3cret" not in file.read_text()


async def test_a_log_that_is_rotated(serve_api: Serve, tmp_path: Path) -> None:
    file, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    async with serve_api(audit={"file": str(file)}) as http:
        await http.post(ROLES, sample(Role, "one"))
        await grown(file, 1)
        file.rename(old)
        await http.post(ROLES, sample(Role, "two"))
        await grown(file, 1)
        file.unlink()
        await http.post(ROLES, sample(Role, "three"))
    assert [line["name"] for line in lines_of(old)] == ["one"]
    assert [line["name"] for line in lines_of(file)] == ["three"]


async def test_a_disk_that_fails_is_told_loudly_and_loses_nothing(
    serve_api: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_RETRY", 0.01)
    place = tmp_path / "logs"
    place.mkdir()
    file = place / "audit.log"
    async with serve_api(audit={"file": str(file)}) as http:
        await http.post(ROLES, sample(Role, "one"))
        await grown(file, 1)
        place.rename(tmp_path / "elsewhere")
        for name in ("two", "three"):
            assert (await http.post(ROLES, sample(Role, name))).status == 201
        await exposed(http, "krake_api_audit_failing 1.0")
        place.mkdir()
        assert [line["name"] for line in await grown(file, 2)] == ["two", "three"]
        text = await exposed(http, "krake_api_audit_failing 0.0")
    assert "krake_api_audit_lost_lines_total 0.0" in text
    assert len([each for each in caplog.records if "cannot be written" in each.getMessage()]) == 1


def test_what_a_full_disk_has_taken_of_a_line_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "_RETRY", 0.01)
    really_write, calls = os.write, 0

    def write(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls % 2:
            return really_write(descriptor, data[:7])
        raise OSError(28, "No space left on device")

    file = tmp_path / "audit.log"
    log = Sink(str(file))
    monkeypatch.setattr(sink.os, "write", write)
    for number in range(20):
        log.write({"number": number})
    deadline = time.monotonic() + 20
    while file.read_text().count("\n") < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.undo()
    log.close()
    assert [line["number"] for line in lines_of(file)] == list(range(20))
    assert log.lost == 0


def test_what_no_disk_takes_is_lost_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sink, "MOST_WAITING", 10)
    file = tmp_path / "a" / "audit.log"
    file.parent.mkdir()
    log = Sink(str(file))
    file.unlink()
    file.parent.rmdir()
    with caplog.at_level(logging.ERROR):
        for number in range(1000):
            log.write({"number": number})
        log.close()
    assert log.lost == 1000
    assert "lost" in caplog.text


async def test_a_file_that_cannot_be_written_is_told_at_the_start(serve_api: Serve, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"audit.file: .* cannot be written"):
        async with serve_api(audit={"file": str(tmp_path / "missing" / "audit.log")}):
            pass
