"""What users are told when something goes wrong."""

import json
import sys

import pytest
from krake.client import wire
from krake.client.errors import ApiError, Unavailable

from rok.errors import Failure, describe, warn


def refused(status: int, **problem: object) -> ApiError:
    return wire.error_of(status, json.dumps({"status": status, **problem}).encode())


def test_a_problem_is_one_line() -> None:
    error = refused(404, title="NOT_FOUND_ERROR", detail="'Application' 'x' does not exist in namespace 'y'")
    assert list(describe(error, "table")) == [
        "rok: error: 'Application' 'x' does not exist in namespace 'y' (404 NOT_FOUND_ERROR)"
    ]


def test_wrong_fields_get_a_line_each() -> None:
    errors = [{"field": "spec.backoff", "message": "Not a valid integer."}, {"field": "metadata.name", "message": "Too long."}]
    error = refused(422, detail="spec.backoff: Not a valid integer.; metadata.name: Too long.", errors=errors)
    assert list(describe(error, "table")) == [
        "rok: error: 2 fields are wrong (422)",
        "  spec.backoff: Not a valid integer.",
        "  metadata.name: Too long.",
    ]


def test_one_wrong_field_is_not_told_twice() -> None:
    errors = [{"field": "spec.backoff", "message": "Not a valid integer."}]
    error = refused(422, detail="spec.backoff: Not a valid integer.", errors=errors)
    assert list(describe(error, "yaml")) == ["rok: error: spec.backoff: Not a valid integer (422)"]


def test_fields_that_the_detail_leaves_out_follow_it() -> None:
    error = refused(422, detail="The body is wrong.", errors={"spec.manifest": ["Missing data."]})
    assert list(describe(error, "table")) == ["rok: error: The body is wrong (422)", "  spec.manifest: Missing data."]


def test_json_shows_the_whole_problem() -> None:
    error = refused(409, title="RESOURCE_ALREADY_EXISTS", detail="It exists", type="about:blank")
    (text,) = describe(error, "json")
    assert text == json.dumps(dict(error.problem), indent=2, sort_keys=True)


@pytest.mark.parametrize(("status", "hint"), [(401, "check tls or the token"), (403, "ask who runs this Krake")])
def test_who_may_not_learns_what_to_do(status: int, hint: str) -> None:
    assert hint in next(describe(refused(status, detail="No."), "table"))


def test_another_server_is_told_apart() -> None:
    (line,) = describe(wire.error_of(502, b"<html>\n<h1>Bad Gateway</h1></html>"), "table")
    assert "502" in line
    assert "Bad Gateway" in line


@pytest.mark.parametrize("form", ["table", "json"])
def test_what_happened_on_this_side_is_one_line_in_any_format(form: str) -> None:
    assert list(describe(Failure("no: do this"), form)) == ["rok: error: no: do this"]
    assert list(describe(Unavailable(0, {"detail": "can not reach it"}), form)) == ["rok: error: can not reach it"]


def test_warnings_can_be_silenced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "warnoptions", [])
    warn("look")
    monkeypatch.setattr(sys, "warnoptions", ["ignore"])
    warn("not this")
    assert capsys.readouterr().err == "rok: warning: look\n"
