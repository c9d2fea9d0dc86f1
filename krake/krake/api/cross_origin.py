"""Which web pages may call the API from a browser (CORS)."""

from aiohttp import hdrs, web

from krake.api.problem import Problem
from krake.api.requests import Identity

_MAX_AGE = "600"
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossOrigin:
    """The allowed origins.

    Pages of a listed origin may use the credentials of their visitors; if ``*`` allows all origins, none may.
    """

    def __init__(self, origins: str) -> None:
        self._origins = frozenset(origins.replace(",", " ").split())

    def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the browser that the page may read the response, if so."""
        if not self._origins:
            return
        origin = request.headers.get(hdrs.ORIGIN)
        if "*" in self._origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
            return
        response.headers.add(hdrs.VARY, "Origin")
        if origin in self._origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"

    def check(self, request: web.Request, identity: Identity) -> None:
        """Refuse a change that a page of another origin has the browser of its visitor send.

        Browsers send simple requests without asking first, and show the certificate of the visitor: a form is enough for that.

        :raises Problem: 403.
        """
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or request.method in _HARMLESS or self._is_own(origin, request):
            return
        if origin in self._origins or ("*" in self._origins and identity.way != "certificate"):
            return
        raise Problem(403, f"Pages of {origin!r} may not change anything here; an administrator can allow it by cors_origin.")

    def _is_own(self, origin: str, request: web.Request) -> bool:
        # Behind a proxy, the host may be another one than the page knows.
        return request.headers.get("Sec-Fetch-Site") == "same-origin" or origin.partition("://")[2] == request.host

    def answer_options(self, request: web.Request) -> web.Response:
        """Answer ``OPTIONS``: which methods the path has and, for a preflight of an allowed origin, that it may use them.

        :raises HTTPNotFound: there is no such path.
        """
        error = request.match_info.http_exception
        if not isinstance(error, web.HTTPMethodNotAllowed):
            raise error or web.HTTPNotFound()
        methods = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
        headers = {hdrs.ALLOW: methods}
        if self._origins and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _MAX_AGE
        return web.Response(headers=headers)
