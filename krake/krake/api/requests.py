"""What is known of a request while it is served."""

import re
import secrets
from collections.abc import Awaitable, Callable
from itertools import count
from typing import NamedTuple

from aiohttp import web


class Identity(NamedTuple):
    """Who is asking.

    :param way: that the user is known by, for example ``certificate``.
    :param hooks_only: whether nothing but the routes of hooks is open to it.
    """

    name: str
    way: str
    hooks_only: bool = False


IDENTITY = web.RequestKey("identity", Identity)
IDENTIFY: web.RequestKey[Callable[[], Awaitable[Identity]]] = web.RequestKey("identify")
"""Finds out once more who is asking, for requests that take long. Raises Problem 401 if nobody knows any more."""
USER = web.RequestKey("user", str)
"""The name of the user; an empty text on paths that need none."""
REQUEST_ID = web.RequestKey("request_id", str)
"""Names the request in answers and logs; taken over from the client if it gives one."""

REQUEST_ID_HEADER = "X-Request-Id"
_PROCESS = secrets.token_hex(4)
_COUNTER = count(1)
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id_of(request: web.Request) -> str:
    """Return the id that the client has given the request, or a new one."""
    given = request.headers.get(REQUEST_ID_HEADER)
    if given is not None and _VALID_ID.fullmatch(given):
        return given
    return new_request_id()


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"{_PROCESS}-{next(_COUNTER):x}"


def route_of(request: web.Request) -> str:
    """Return the pattern of the path, or an empty text if there is none."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
