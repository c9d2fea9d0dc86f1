"""The routes are those of the original and what we say that we add; each needs its permission; all are in the tables."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from component.conformance.suite import TABLES, load_specials, load_tables, requests_of
from fixtures.api import Http, Serve, api_config

from krake.adapters.etcd import EtcdStore
from krake.api.app import make_app
from krake.data import KINDS

DATA: dict[str, Any] = yaml.safe_load((TABLES / "routes.yaml").read_text())
NAMES = {"namespace": "red", "name": "nothing"}
Request = tuple[str, str]


class Route(NamedTuple):
    """A route of the original that is about a kind, and what a role must grant for it."""

    method: str
    path: str
    verb: str
    resource: str

    @property
    def rule(self) -> dict[str, Any]:
        """The rule that grants this route, and nothing more than it must."""
        _, api, *_ = self.path.split("/")
        return {"api": api, "resources": [self.resource], "namespaces": [self.namespace], "verbs": [self.verb]}

    @property
    def namespace(self) -> str:
        return NAMES["namespace"] if "{namespace}" in self.path else ""


def make_routes() -> Iterator[Route]:
    for api, scopes in DATA["kinds"].items():
        for scope, plurals in scopes.items():
            for plural in plurals:
                for method, path, verb, resource in DATA["scopes"][scope]:
                    yield Route(method, path.format(api=api, plural=plural), verb, resource.format(plural=plural))
    yield from (Route(*each) for each in DATA["below"])


ROUTES = list(make_routes())
SPECIALS = {(method, path) for method, path in DATA["specials"]}


def test_the_original_has_ninety_routes_about_kinds() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES) == 90


async def test_the_routes_are_those_of_the_original_and_what_we_say(etcd_store: EtcdStore) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in make_app(api_config(), etcd_store).router.routes()
        if route.resource is not None
    }
    original = SPECIALS | {(route.method, route.path) for route in ROUTES}
    patches = {
        ("PATCH", route.path) for route in ROUTES if route.method == "PUT" and re.search(r"(name}|/status)$", route.path)
    }
    heads = {("HEAD", path) for method, path in served if method == "GET"}
    added = {(method, path) for method, path in DATA["added"]}
    of_new_kinds = {each for each in served if _kind_of(each[1]) in _new_kinds()}
    assert served - heads - of_new_kinds == original | patches | added


def _kind_of(path: str) -> tuple[str, ...]:
    """API and plural of a path, if it has them."""
    return tuple(part for part in path.split("/")[1:] if part not in ("namespaces", "{namespace}"))[:2]


def _new_kinds() -> set[tuple[str, ...]]:
    plurals = {(api, plural) for api, scopes in DATA["kinds"].items() for each in scopes.values() for plural in each}
    return {(kind.definition.api, kind.definition.plural) for kind in KINDS.values()} - plurals


def test_all_routes_are_in_the_tables() -> None:
    seen = {request for scenario in load_specials() for request in requests_of(scenario.rows)}
    for table in load_tables().values():
        for scenario in table.scenarios:
            places = table.places
            seen |= {
                (method, re.sub(r"\{(\w+)\}", lambda found, places=places: places[found[1]], path))  # type: ignore[misc]
                for method, path in requests_of(scenario.rows)
            }
    expected = SPECIALS | {(route.method, route.path) for route in ROUTES}
    assert {each for each in expected if not any(_is_of(request, each) for request in seen)} == set()


def _is_of(request: Request, route: Request) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route[1]))
    return request[0] == route[0] and re.fullmatch(pattern, request[1]) is not None


async def grant(admin: Http, ann: Http, rules: list[dict[str, Any]]) -> None:
    """Let ann do what the rules say, and nothing else."""
    assert (await admin.patch("/core/roles/some", {"rules": rules})).status == 200
    async with asyncio.timeout(30):
        while (await ann.get("/authorize")).json["rules"] != rules:  # noqa: ASYNC110 - this is the public way to know
            await asyncio.sleep(0.001)


async def test_each_route_needs_its_own_permission(serve_api: Serve) -> None:
    static = {"strategy": {"static": {"enabled": True, "name": "ann"}}}
    async with serve_api() as admin, serve_api(authorization="RBAC", authentication=static) as ann:
        await admin.post("/core/roles", {"metadata": {"name": "some"}, "rules": []})
        await admin.post("/core/rolebindings", {"metadata": {"name": "some"}, "users": ["ann"], "roles": ["some"]})
        for route in ROUTES:
            path = route.path.format(**NAMES)
            await grant(admin, ann, [route.rule])
            # Nothing is there, and nothing is sent: whoever is let in hears of that.
            assert (await ann(route.method, path)).status in (200, 404, 415), route
            others = [each.rule for each in ROUTES if (each.verb, each.resource) != (route.verb, route.resource)]
            await grant(admin, ann, [*others, route.rule | {"namespaces": ["blue"]}] if _is_placed(route) else others)
            assert (await ann(route.method, path)).status == 403, route


def _is_placed(route: Route) -> bool:
    """Whether a namespace decides: of the request, or that it is about all of them."""
    plural = route.resource.partition("/")[0]
    return any(kind.definition.plural == plural and kind.definition.namespaced for kind in KINDS.values())
