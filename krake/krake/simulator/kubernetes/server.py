"""The HTTP face of one simulated cluster: who may ask, what is asked for, how the answer looks."""

import asyncio
import json
import logging
from hmac import compare_digest

from aiohttp import web

from krake.simulator.failures import SIMULATED
from krake.simulator.kubernetes import calls, discovery
from krake.simulator.kubernetes import status as statuses
from krake.simulator.kubernetes.calls import Call
from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.paths import parse
from krake.simulator.kubernetes.pods import bind_pod, evict_pod, pod_log
from krake.simulator.kubernetes.resources import Resources
from krake.simulator.kubernetes.settings import Settings
from krake.simulator.kubernetes.status import ApiStatus
from krake.simulator.kubernetes.watch import Watch

logger = logging.getLogger(__name__)

BODY_LIMIT = 3 * 1024 * 1024
ADMINISTRATORS = "system:masters"


class Server:
    """Answers requests for the objects of one cluster; `token` is the only bearer token that it accepts."""

    def __init__(self, resources: Resources, settings: Settings, token: str) -> None:
        self._resources = resources
        self._settings = settings
        self._token = token

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request, a broken one with a `Status` object."""
        try:
            self.authenticate(request)
            return await self._route(request)
        except ApiStatus as error:
            return json_response(error.document(), error.code)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            logger.exception("the simulator failed on %s %s", request.method, request.path_qs)
            return json_response(statuses.internal("the simulator has a bug").document(), 500)

    def authenticate(self, request: web.BaseRequest) -> None:
        """Raises `ApiStatus` (401) unless the request bears the token, or comes with the certificate of an administrator."""
        if _is_of_administrator(request):
            return
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not given and request.headers.get("User-Agent", "").startswith("kubectl"):
            return  # kubectl keeps its credentials to itself where there is no TLS
        if not compare_digest(given, f"Bearer {self._token}".encode()):
            raise statuses.unauthorized()

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        target = parse(request.rel_url.raw_path)
        if target is None:
            return self._describe(request)
        kind = self._resources.registry.find(target.group, target.version, target.plural)
        if kind is None or (target.namespace is not None and not kind.namespaced):
            return not_found_page()
        if target.subresource is not None and target.subresource not in kind.subresources:
            return not_found_page()
        call = Call(
            kind=kind,
            target=target,
            query=request.query,
            body=await read_body(request),
            content_type=request.content_type,
            agent=request.headers.get("User-Agent", ""),
        )
        return await self._dispatch(request, call)

    def _describe(self, request: web.BaseRequest) -> web.StreamResponse:
        """The documents about the server itself."""
        path = request.path.rstrip("/")
        if path in ("/healthz", "/livez", "/readyz"):
            return text_response("ok")
        if path.startswith("/openapi/v2"):
            # Clients that ask for protobuf read this as a schema without content.
            return web.Response(body=b"", content_type="application/octet-stream", headers=SIMULATED)
        document = self._document(path, request.host)
        return json_response(document) if document is not None else not_found_page()

    def _document(self, path: str, host: str) -> Object | None:
        registry = self._resources.registry
        parts = path.strip("/").split("/")
        match parts:
            case ["version"]:
                return discovery.version()
            case ["api"]:
                return discovery.core_versions(host)
            case ["apis"]:
                return discovery.groups(registry)
            case ["api", version]:
                return discovery.resources(registry, "", version)
            case ["apis", group]:
                return discovery.group(registry, group)
            case ["apis", group, version]:
                return discovery.resources(registry, group, version)
        return None

    async def _dispatch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        target, method = call.target, request.method
        if target.name is None:
            return await self._serve_collection(request, call)
        if call.kind.namespaced and target.namespace is None:
            return not_found_page()
        if call.subresource in ("binding", "eviction", "log"):
            return self._serve_pod(method, call)
        if method == "GET" and call.flag("watch"):
            return await self._watch(request, call)
        return self._serve_object(method, call)

    async def _serve_collection(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        match request.method:
            case "GET" if call.flag("watch"):
                return await self._watch(request, call)
            case "GET":
                return json_response(calls.list_objects(call, self._resources))
            case "POST" if call.target.namespace is not None or not call.kind.namespaced:
                return json_response(calls.create_object(call, self._resources), 201)
            case "DELETE" if call.target.namespace is not None or not call.kind.namespaced:
                return json_response(calls.delete_collection(call, self._resources))
        raise statuses.method_not_allowed()

    def _serve_object(self, method: str, call: Call) -> web.StreamResponse:
        match method:
            case "GET":
                return json_response(calls.get_object(call, self._resources))
            case "PUT":
                return json_response(calls.update_object(call, self._resources))
            case "PATCH":
                obj, created = calls.patch_object(call, self._resources)
                return json_response(obj, 201 if created else 200)
            case "DELETE" if not call.subresource:
                return json_response(calls.delete_object(call, self._resources))
        raise statuses.method_not_allowed()

    def _serve_pod(self, method: str, call: Call) -> web.StreamResponse:
        match method, call.subresource:
            case "POST", "binding":
                return json_response(bind_pod(call, self._resources), 201)
            case "POST", "eviction":
                return json_response(evict_pod(call, self._resources), 201)
            case "GET", "log":
                return text_response(pod_log(call, self._resources))
        raise statuses.method_not_allowed()

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        watch = Watch(self._resources.storage, calls.watch_request(call), self._settings.bookmark_interval)
        response = web.StreamResponse(headers={**SIMULATED, "Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            async for chunk in watch.lines(asyncio.get_running_loop().time):
                await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            logger.debug("a watch of %s was cut", call.kind.resource)
        finally:
            watch.close()
        return response


def _is_of_administrator(request: web.BaseRequest) -> bool:
    """Whether TLS has verified a certificate, which is for somebody who may do everything."""
    certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
    names = [name for group in (certificate or {}).get("subject", ()) for name in group]
    return ("organizationName", ADMINISTRATORS) in names


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body; raises `ApiStatus` (413) when it is larger than Kubernetes allows."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise statuses.too_large(BODY_LIMIT)
    return bytes(body)


def json_response(document: Object, code: int = 200) -> web.Response:
    body = json.dumps(document, separators=(",", ":")).encode()
    return web.Response(body=body, status=code, content_type="application/json", headers=SIMULATED)


def text_response(text: str, code: int = 200) -> web.Response:
    return web.Response(text=text, status=code, headers=SIMULATED)


def not_found_page() -> web.Response:
    """What the real server says about a path that it doesn't know at all."""
    return text_response("404 page not found\n", 404)
