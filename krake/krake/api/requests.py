"""What is known of a request while it is served."""

import re
import secrets

from aiohttp import web

USER = web.RequestKey("user", str)
"""The name of the user; an empty text on paths that need none."""
REQUEST_ID = web.RequestKey("request_id", str)
"""Names the request in answers and logs; taken over from the client if it gives one."""

REQUEST_ID_HEADER = "X-Request-Id"
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id_of(request: web.Request) -> str:
    """Return the id that the client has given the request, or a new one."""
    given = request.headers.get(REQUEST_ID_HEADER)
    if given is not None and _VALID_ID.fullmatch(given):
        return given
    return secrets.token_hex(8)


def route_of(request: web.Request) -> str:
    """Return the pattern of the path, or an empty text if there is none."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
