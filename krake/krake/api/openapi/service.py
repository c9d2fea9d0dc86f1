"""Describes the routes that belong to no kind."""

from typing import Any

from krake.api.openapi.answers import answer_of, content, problems
from krake.api.openapi.schemas import Schema, Schemas, Use, reference
from krake.api.problem import CONTENT_TYPE as PROBLEM
from krake.data.access import AccessRequest, AccessReview, AccessVerdict
from krake.data.core import RoleRule

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean", "default": False}
_ANYONE: dict[str, Any] = {"security": []}


def service_paths(schemas: Schemas) -> dict[str, Any]:
    """Return the operations by path and method."""
    roles = {"type": "array", "items": _TEXT, "description": "That are bound to the user."}
    return {
        "/": _get("read_version", "Which version of Krake this is", _ok("The version.", version=_TEXT), problems()),
        "/me": _get("read_me", "Who is asking", _ok("The user.", user=_TEXT, roles=roles), problems()),
        "/release": _get("release", "Release the Krake", {"202": answer_of("Said and done.", content(_TEXT))}, problems()),
        "/authorize": _authorize(schemas),
        "/livez": _get("check_live", "Whether the process is alive", _ok("It is.", status={"const": "live"}), **_ANYONE),
        "/readyz": _readiness(),
        "/metrics": _get("read_metrics", "Figures for Prometheus", _text("All figures.", "text/plain"), **_ANYONE),
        "/openapi.json": _get("read_openapi", "This description", _unless_known("An OpenAPI document."), **_ANYONE),
        "/docs": _get("read_docs", "This description, to be browsed", _unless_known("A page.", "text/html"), **_ANYONE),
    }


def _operation(name: str, summary: str, *responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    merged = {status: answer for each in responses for status, answer in each.items()}
    return {"operationId": name, "tags": ["service"], "summary": summary, **more, "responses": merged}


def _get(name: str, summary: str, *responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"get": _operation(name, summary, *responses, **more)}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}


def _ok(words: str, **properties: Schema) -> dict[str, Any]:
    return {"200": answer_of(words, content(_object(**properties)))}


def _text(words: str, media_type: str, **headers: str) -> dict[str, Any]:
    return {"200": answer_of(words, content(_TEXT, media_type), **headers)}


def _unless_known(words: str, media_type: str = "") -> dict[str, Any]:
    known = {"304": answer_of("The client has it already.", ETag="ETag")}
    if media_type:
        return _text(words, media_type, ETag="ETag") | known
    return {"200": answer_of(words, content({"type": "object"}), ETag="ETag")} | known


def _readiness() -> dict[str, Any]:
    revision = {**_TEXT, "description": "Of the store, as far as it is known here."}
    checks = {
        "type": "array",
        "items": {"type": "object"},
        "description": "What was found, if `verbose` and JSON are asked for.",
    }
    ready = {"type": "object", "properties": {"status": {"const": "ready"}, "revision": revision, "checks": checks}}
    lines = content(_TEXT, "text/plain")
    responses = {
        "200": answer_of("They can.", content(ready) | lines),
        "503": answer_of("They cannot.", content(reference("Problem"), PROBLEM) | lines, Retry_After="RetryAfter"),
    }
    verbose = {"name": "verbose", "in": "query", "description": "Say what was looked at, one line each.", "schema": _FLAG}
    return _get("check_ready", "Whether requests can be served", responses, parameters=[verbose], **_ANYONE)


def _authorize(schemas: Schemas) -> dict[str, Any]:
    one, many = (schemas.of(each, Use.WRITE) for each in (AccessRequest, AccessReview))
    verdict = schemas.of(AccessVerdict, Use.READ)
    verdicts = _object(user=_TEXT, results={"type": "array", "items": verdict})
    rules = {"type": "array", "items": schemas.of(RoleRule, Use.READ)}
    asked = {"name": "user", "in": "query", "description": "Somebody else than who is asking.", "schema": _TEXT}
    return _get(
        "list_own_rules", "What one may do", _ok("The rules.", user=_TEXT, rules=rules), problems(), parameters=[asked]
    ) | {
        "post": _operation(
            "review_access",
            "Whether one may do something",
            {"200": answer_of("The verdict on the request, or on each.", content({"anyOf": [verdict, verdicts]}))},
            problems(408, 413, 415),
            requestBody={"required": True, "content": content({"anyOf": [many, one]})},
        )
    }
