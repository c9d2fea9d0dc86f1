"""The routes of all kinds, made from their declarations."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from krake.api.actions import ACTIONS
from krake.api.authorization import Authorizer, Permission
from krake.api.handlers import Handlers, Services
from krake.api.problem import of_fields
from krake.api.requests import USER
from krake.data.kinds import KINDS, Kind, Resource
from krake.data.metadata import Key, Verb
from krake.data.names import is_name

ServeCollection = Callable[[web.Request, str | None], Awaitable[web.StreamResponse]]
ServeObject = Callable[[web.Request, Key], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, what a user needs to call them, and who serves them."""

    method: str
    path: str
    permission: Permission
    serve: ServeCollection | ServeObject


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
        return Route(method, path, Permission(definition.api, resources, verb, everywhere=everywhere), serve)

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
        serve = partial(handlers.act, action=action, body_class=body)
        yield route("PUT", f"{single}/{name}", Verb.update, serve, *action.permissions)


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
