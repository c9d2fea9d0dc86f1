"""The routes of all kinds, made from their declarations."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from krake.api.actions import ACTIONS
from krake.api.authorization import Authorizer, Permission
from krake.api.handlers import Handlers, Services
from krake.api.operations import PERMISSION
from krake.api.problem import Problem, of_fields
from krake.api.requests import USER, route_of
from krake.data.kinds import KINDS, Kind, Resource
from krake.data.metadata import Key, Verb
from krake.data.names import is_name
from krake.data.record import Record

ServeCollection = Callable[[web.Request, str | None], Awaitable[web.StreamResponse]]
ServeObject = Callable[[web.Request, Key], Awaitable[web.StreamResponse]]

_HOOK_PATHS = frozenset(
    f"/{definition.api}/namespaces/{{namespace}}/{definition.plural}/{{name}}/{action}"
    for definition in (kind.definition for kind in KINDS.values())
    for action in definition.actions
    if action in ("complete", "shutdown")
)


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, what a user needs to call them, and who serves them.

    :param operation: what it does: the name of the handler, or of the action.
    :param body: of an action, if it has one.
    """

    method: str
    path: str
    permission: Permission
    serve: ServeCollection | ServeObject
    operation: str
    body: type[Record] | None = None


def routes_of(kind: type[Resource], services: Services) -> Iterator[Route]:
    """Yield all routes of a kind."""
    definition = kind.definition
    handlers = Handlers(kind, services)
    scope = "/namespaces/{namespace}" if definition.namespaced else ""
    collection = f"/{definition.api}{scope}/{definition.plural}"
    single = f"{collection}/{{name}}"

    def route(method: str, path: str, verb: Verb, serve: ServeCollection | ServeObject, *resources: str) -> Route:
        everywhere = definition.namespaced and "{namespace}" not in path
        resources = resources or (definition.plural,)
        permission = Permission(definition.api, resources, verb, everywhere=everywhere)
        return Route(method, path, permission, serve, serve.__name__)

    for path in dict.fromkeys([collection, definition.path]):
        yield route("GET", path, Verb.list, handlers.list_or_watch)
    yield route("POST", collection, Verb.create, handlers.create)
    yield route("GET", single, Verb.get, handlers.read)
    yield route("PUT", single, Verb.update, handlers.update)
    yield route("PATCH", single, Verb.update, handlers.patch)
    yield route("DELETE", single, Verb.delete, handlers.delete)
    if definition.has_status:
        resource = f"{definition.plural}/status"
        yield route("PUT", f"{single}/status", Verb.update, handlers.update_status, resource)
        yield route("PATCH", f"{single}/status", Verb.update, handlers.patch_status, resource)
    for name, body in definition.actions.items():
        action = ACTIONS[kind, name]
        permission = Permission(definition.api, action.permissions, Verb.update)
        yield Route("PUT", f"{single}/{name}", permission, partial(handlers.act, action=action, body_class=body), name, body)


def check_hook_route(request: web.Request) -> None:
    """Refuse the request of somebody who is known on the routes of hooks only. Raises Problem 403."""
    if route_of(request) not in _HOOK_PATHS:
        raise Problem(403, f"The certificate of '{request[USER]}' is that of a hook, which may do nothing but tell of its end.")


def add_routes(router: web.UrlDispatcher, services: Services, authorizer: Authorizer) -> None:
    """Add the routes of all kinds."""
    for kind in KINDS.values():
        for route in routes_of(kind, services):
            serve = _guarded(kind.definition, route, authorizer)
            router.add_route(route.method, route.path, serve)
            if route.method == "GET":
                router.add_route("HEAD", route.path, serve)


def _guarded(kind: Kind, route: Route, authorizer: Authorizer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the handler of a route: authorizes the request, checks the names in the path, and serves it."""
    single = "{name}" in route.path

    async def handle(request: web.Request) -> web.StreamResponse:
        names = request.match_info
        namespace = names.get("namespace")
        request[PERMISSION] = route.permission
        authorizer.check(request[USER], route.permission._replace(namespace=namespace))
        _check_names(names)
        if single:
            return await route.serve(request, Key(namespace, names["name"]))  # type: ignore[arg-type]
        return await route.serve(request, namespace)  # type: ignore[arg-type]

    handle.__name__ = f"{route.method.lower()}_{kind.singular}"
    return handle


def _check_names(names: Mapping[str, str]) -> None:
    wrong = [part for part, text in names.items() if not is_name(text)]
    if wrong:
        raise of_fields((f"path.{part}", "Must be 1 to 255 letters, digits or _-.: and end alphanumeric.") for part in wrong)
