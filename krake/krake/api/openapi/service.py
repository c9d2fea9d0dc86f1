"""Describes the routes that belong to no kind."""

from typing import Any

from krake.api.openapi.answers import answer_of, content, problems
from krake.api.openapi.schemas import Schema

_TEXT: Schema = {"type": "string"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}


def _get(
    name: str, summary: str, answer: dict[str, Any], *errors: int, public: bool = False, status: int = 200
) -> dict[str, Any]:
    operation = {"operationId": name, "tags": ["service"], "summary": summary}
    if not public:
        return {"get": {**operation, "responses": {str(status): answer, **problems(*errors)}}}
    mistakes = {code: each for code, each in problems(*errors).items() if code in ("400", *map(str, errors))}
    return {"get": {**operation, "security": [], "responses": {str(status): answer, **mistakes}}}


def service_paths() -> dict[str, Any]:
    """Return the operations by path and method."""
    ready = _object(status={"const": "ready"}, revision={**_TEXT, "description": "Of the store, as far as it is known here."})
    page = answer_of("A page for browsers.", content(_TEXT, "text/html"))
    return {
        "/": _get("read_version", "Which version of Krake this is", answer_of("The version.", content(_object(version=_TEXT)))),
        "/me": _get(
            "read_me",
            "Who is asking",
            answer_of("The user and its roles.", content(_object(user=_TEXT, roles={"type": "array", "items": _TEXT}))),
        ),
        "/release": _get("release", "Release the Krake", answer_of("Said and done.", content(_TEXT)), status=202),
        "/livez": _get(
            "check_live",
            "Whether the process is alive",
            answer_of("It is.", content(_object(status={"const": "live"}))),
            public=True,
        ),
        "/readyz": _get(
            "check_ready", "Whether requests can be served", answer_of("They can.", content(ready)), 503, public=True
        ),
        "/metrics": _get(
            "read_metrics", "Figures for Prometheus", answer_of("All figures.", content(_TEXT, "text/plain")), public=True
        ),
        "/openapi.json": _get(
            "read_openapi",
            "This description",
            answer_of("An OpenAPI document.", content({"type": "object"}), ETag="ETag"),
            public=True,
        ),
        "/docs": _get("read_docs", "This description, to be browsed", page, public=True),
    }
