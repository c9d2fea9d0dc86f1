"""``/openapi.json`` and ``/docs``: what is served, to whom, and that all routes are in it."""

import gzip
import re
from collections import defaultdict

import pytest
from fixtures.api import Http, Serve, api_config
from fixtures.samples import path_of
from jsonschema import Draft202012Validator

from krake.adapters.etcd import EtcdStore
from krake.api.app import make_app
from krake.api.openapi.samples import sample_of
from krake.data import KINDS, Resource
from krake.data.core import Role

NOT_DESCRIBED = {"/docs/page.js", "/docs/page.css"}
"""Parts of a page that is described."""


async def test_anybody_may_read_it(serve_api: Serve) -> None:
    async with serve_api(authentication={}, authorization="always-deny") as http:
        document = (await http.get("/openapi.json")).json
        assert document["openapi"].startswith("3.1")
        assert (await http.get("/docs")).status == 200
        assert (await http.get(path_of(Role))).status == 401


async def test_it_is_sent_once(http: Http) -> None:
    first = await http.get("/openapi.json")
    assert first.headers["Content-Type"] == "application/json; charset=utf-8"
    again = await http("GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.text) == (304, "")
    other = await http("GET", "/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.json == first.json


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", *sorted(NOT_DESCRIBED)])
async def test_it_is_compressed_for_who_wants_it(http: Http, path: str) -> None:
    plain = await http("GET", path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    async with http.session.get(http.url + path, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await response.read()).decode() == plain.text


async def test_all_routes_are_described(http: Http, etcd_store: EtcdStore) -> None:
    served: dict[str, set[str]] = defaultdict(set)
    for route in make_app(api_config(), etcd_store).router.routes():
        if route.resource is not None and route.resource.canonical not in NOT_DESCRIBED and route.method != "HEAD":
            served[route.resource.canonical].add(route.method.lower())
    paths = (await http.get("/openapi.json")).json["paths"]
    assert {path: {*operations} for path, operations in paths.items()} == served


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
async def test_samples_can_be_created(http: Http, kind: type[Resource]) -> None:
    document = (await http.get("/openapi.json")).json
    created = await http.post(path_of(kind), sample_of(kind))
    assert created.status == 201, created.text
    schema = {"$ref": f"#/components/schemas/{kind.__name__}", "components": document["components"]}
    Draft202012Validator(schema).validate(created.json)
    listed = {**schema, "$ref": f"#/components/schemas/{kind.definition.list_kind}"}
    Draft202012Validator(listed).validate((await http.get(path_of(kind))).json)


async def test_lines_of_watches_are_as_described(http: Http) -> None:
    document = (await http.get("/openapi.json")).json
    schema = {"$ref": "#/components/schemas/RoleWatchEvent", "components": document["components"]}
    async with http.watch(path_of(Role), bookmarks="true") as lines:
        await http.post(path_of(Role), sample_of(Role))
        for expected in ("BOOKMARK", "ADDED"):
            kind, shown = await lines.next()
            assert kind == expected
            Draft202012Validator(schema).validate({"type": kind, "object": shown})


async def test_the_page_loads_nothing_from_elsewhere(http: Http) -> None:
    page = await http.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in ("/docs", *NOT_DESCRIBED):
        text = (await http.get(path)).text
        assert not re.search(r"""(src|href|url|import|fetch)\W+https?://""", text)
        assert "style=" not in text
