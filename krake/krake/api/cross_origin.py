"""Which web pages may call the API from a browser (CORS)."""

from aiohttp import hdrs, web

_MAX_AGE = "600"


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
