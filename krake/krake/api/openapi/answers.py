"""Describes the answers to requests: contents, headers and problems."""

from typing import Any

from krake.api.openapi.schemas import Schema, reference
from krake.api.problem import CONTENT_TYPE as PROBLEM
from krake.api.problem import Title
from krake.api.requests import REQUEST_ID_HEADER

JSON = "application/json"

_PROBLEMS = {
    400: "The request is not valid HTTP, or asks what the object does not allow, such as another value of an immutable field.",
    401: "It is not known who is asking, or the token of a hook is wrong.",
    403: "The user may not do this.",
    404: "There is no such object.",
    408: "The body of the request did not arrive in time.",
    409: "The object exists already, is at another version than the one named, or is being deleted.",
    410: "The history since the version asked for is not known (any more): list anew.",
    413: "The body of the request, or the object, is too large.",
    415: "The body of the request is not of a type that is understood, or not a JSON text in UTF-8.",
    422: "A field, a parameter or a part of the path is wrong; `errors` says which.",
    429: "The user sends too many requests.",
    503: "The store, or what knows the users, cannot be reached now; try again.",
}
_ALWAYS = (400, 401, 403, 422, 429, 503)
_RETRY_LATER = (429, 503)

PROBLEM_SCHEMA: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "Where problems with this title are explained; `about:blank` without a title.",
        },
        "title": {
            "type": "string",
            "description": f"Names the problem, if the status alone does not: {', '.join(title.name for title in Title)}.",
        },
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "For people: what is wrong, and what to do."},
        "errors": {
            "type": "array",
            "description": "Each wrong field, parameter (`query.…`) or part of the path (`path.…`).",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "examples": ["spec.manifest[0].kind"]},
                    "message": {"type": "string", "examples": ["Missing data for required field."]},
                },
                "required": ["field", "message"],
            },
        },
    },
    "required": ["type", "status", "detail"],
}
_TEXT: Schema = {"type": "string"}
HEADERS: dict[str, Any] = {
    "RequestId": {"description": "Names the request, as in the logs.", "required": True, "schema": _TEXT},
    "Location": {"description": "The path of the new object.", "required": True, "schema": _TEXT},
    "RetryAfter": {"description": "After how many seconds it is worth another try.", "schema": _TEXT},
    "Authenticate": {"description": "How to say who is asking.", "schema": _TEXT},
    "ETag": {"description": "Names the contents; sent back as `If-None-Match`, it spares their transfer.", "schema": _TEXT},
}


def content(schema: Schema, media_type: str = JSON, **more: Any) -> dict[str, Any]:
    """Return what is in a body."""
    return {media_type: {"schema": schema, **more}}


def answer_of(description: str, content: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """Return an answer; *headers* are names of described headers, with `_` for `-`."""
    named = {name.replace("_", "-"): {"$ref": f"#/components/headers/{header}"} for name, header in headers.items()}
    named[REQUEST_ID_HEADER] = {"$ref": "#/components/headers/RequestId"}
    return {"description": description, "headers": named, **({"content": content} if content else {})}


def problems(*statuses: int) -> dict[str, Any]:
    """Return references to the problems that any request may have, and those with *statuses*."""
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in sorted({*_ALWAYS, *statuses})}


def problem_components() -> dict[str, Any]:
    """Return the answers that `problems` refers to."""
    return {f"Problem{status}": _problem(status, words) for status, words in _PROBLEMS.items()}


def _problem(status: int, words: str) -> dict[str, Any]:
    headers = {"Retry_After": "RetryAfter"} if status in _RETRY_LATER else {}
    headers |= {"WWW_Authenticate": "Authenticate"} if status == 401 else {}
    return answer_of(words, content(reference("Problem"), PROBLEM), **headers)
