"""Reads the bodies of requests: JSON objects, within limits."""

import asyncio
import json
import re
from typing import Any, NoReturn

from aiohttp import web

from krake.api.problem import Problem, of_fields

_UPLOAD_LIMIT = 30.0
"""Seconds that a body may take to arrive."""
_MAX_DEPTH = 100
"""Far below what any JSON parser takes, ours and those of the controllers alike, however deep in their own calls they are."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MERGE_PATCH_TYPES = {"application/merge-patch+json", "application/json", "application/octet-stream", "text/plain"}


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises Problem 415 (no JSON; as the original Krake answers), 422 (not an object), 408 or 413.
    """
    try:
        if request.content.is_eof():
            body = await request.read()
        else:
            async with asyncio.timeout(_UPLOAD_LIMIT):
                body = await request.read()
    except web.RequestPayloadError as error:
        raise Problem(400, f"The body cannot be read: {error.__cause__ or error}") from None
    except TimeoutError:
        raise Problem(408, f"The body did not arrive within {_UPLOAD_LIMIT:.0f} s.") from None
    data = parse_json(body)
    if not isinstance(data, dict):
        raise of_fields([("", "The body must be a JSON object.")])
    return data


def check_patch_type(request: web.Request) -> None:
    """Refuse patches of another kind than merge patches."""
    if request.content_type not in _MERGE_PATCH_TYPES:
        raise Problem(
            415,
            f"A patch of type {request.content_type} is not understood; send application/merge-patch+json.",
            headers={"Accept-Patch": "application/merge-patch+json"},
        )


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8. Raises Problem 415."""
    if not body.strip():
        raise _malformed("it is empty")
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
        if _SURROGATE.search(body):
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise _malformed(f"it is not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise _malformed("an escaped surrogate has no partner") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise _malformed(str(error).partition(";")[0]) from None
    if body.count(b"{") + body.count(b"[") > _MAX_DEPTH:
        _check_depth(data)
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(_MAX_DEPTH):
        containers = [each for each in level if isinstance(each, (dict, list))]
        if not containers:
            return
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    raise _too_deep()


def _too_deep() -> Problem:
    return _malformed(f"it is nested more than {_MAX_DEPTH} levels deep")


def _malformed(reason: str) -> Problem:
    return Problem(415, f"The body must be a JSON text: {reason}.")


def merge_patch(target: Any, patch: Any) -> Any:
    """Return *target* changed by a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
