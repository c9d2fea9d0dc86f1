"""Input that must not hurt: each is answered by a problem that names what is wrong, and never by a 500."""

import asyncio
import gzip
import json
from typing import Any

import pytest
from fixtures.api import Http, Serve
from fixtures.samples import CONTENTS, KUBECONFIG, path_of, sample
from yarl import URL

from krake.data import KINDS, Resource
from krake.data.core import GlobalMetric, Role
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster
from krake.data.plans import Plan
from krake.data.quotas import Quota

APPS = path_of(Application)
DEEP = 50_000

NOT_JSON = {
    "empty": b"",
    "blank": b" \n",
    "cut": b'{"metadata": {',
    "text": b"metadata",
    "single quotes": b"{'a': 1}",
    "trailing comma": b'{"a": 1,}',
    "two values": b"{} {}",
    "latin-1": '{"metadata": {"name": "\u00e4"}}'.encode("latin-1"),
    "utf-16": "{}".encode("utf-16"),
    "nul": b"\0",
    "nul inside": b'{"metadata": {"name": "a\0b"}}',
    "nan": b'{"spec": {"min": NaN}}',
    "infinity": b'{"spec": {"min": -Infinity}}',
    "lone surrogate": b'{"metadata": {"name": "\\ud800"}}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep but parseable": b'{"spec":' * 200 + b"1" + b"}" * 200,
    "endless number": b'{"a": ' + b"9" * 10_000 + b"}",
    "byte order mark of utf-16": b"\xff\xfe{}",
}


@pytest.mark.parametrize("path", [APPS, f"{APPS}/sample", f"{APPS}/sample/status", f"{APPS}/sample/binding"])
@pytest.mark.parametrize("name", NOT_JSON)
async def test_what_is_no_json(http: Http, name: str, path: str) -> None:
    answer = await http("POST" if path == APPS else "PUT", path, data=NOT_JSON[name])
    assert answer.status == 415
    assert answer.detail.startswith("The body must be a JSON text: ")


@pytest.mark.parametrize("body", [[], "text", 1, None, True, [{}]])
async def test_what_is_no_object(http: Http, body: Any) -> None:
    for method, path in (("POST", APPS), ("PUT", f"{APPS}/sample"), ("PATCH", f"{APPS}/sample")):
        answer = await http(method, path, json=body)
        assert (answer.status, answer.detail) == (422, "The body must be a JSON object.")


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("wrong", [None, [], "text", 7, True, {}, {"": None}, [[]], {"type": []}, {"type": {}, "name": 3}])
async def test_wrong_types_name_the_field(http: Http, kind: type[Resource], wrong: Any) -> None:
    for field in ("metadata", *CONTENTS[kind]):
        answer = await http.post(path_of(kind), {**sample(kind), field: wrong})
        if answer.status == 201:
            text = wrong == "text" and field in ("message", "component")
            assert text or wrong == [] or kind in (MagnumCluster, Plan, Quota), (
                "An empty list may be meant so, or where nothing is required."
            )
            await http.delete(path_of(kind, "sample"), force="True")
            continue
        assert answer.status == 422
        assert answer.fields
        assert all(name.startswith(field) for name in answer.fields)
        assert all(name in answer.detail for name in answer.fields)


def changed(kind: type[Resource], **spec: Any) -> dict[str, Any]:
    body = sample(kind)
    body["spec"] |= spec
    return body


def with_metadata(**metadata: Any) -> dict[str, Any]:
    return {**sample(Role), "metadata": {"name": "sample", **metadata}}


WRONG = {
    "name missing": ({**sample(Role), "metadata": {}}, "metadata.name"),
    "name with slash": (with_metadata(name="a/b"), "metadata.name"),
    "name with nul": (with_metadata(name="a\0b"), "metadata.name"),
    "name with newline": (with_metadata(name="a\n"), "metadata.name"),
    "name too long": (with_metadata(name="a" * 256), "metadata.name"),
    "name empty": (with_metadata(name=""), "metadata.name"),
    "name with umlaut": (with_metadata(name="\u00e4"), "metadata.name"),
    "name with emoji": (with_metadata(name="\U0001f600"), "metadata.name"),
    "label key": (with_metadata(labels={"a b": "x"}), "metadata.labels.a b"),
    "label value": (with_metadata(labels={"a": "x" * 64}), "metadata.labels." + "x" * 64),
    "label number": (with_metadata(labels={"a": 1}), "metadata.labels.a.value"),
    "finalizers": (with_metadata(finalizers=[{}]), "metadata.finalizers[0]"),
    "owners": (with_metadata(owners=[{"kind": "Role"}]), "metadata.owners[0].api"),
    "kind": ({**sample(Role), "kind": "Metric"}, "kind"),
    "verb": (
        {**sample(Role), "rules": [{"api": "", "resources": [], "namespaces": [], "verbs": ["fly"]}]},
        "rules[0].verbs[0]",
    ),
    "huge number": ({**sample(GlobalMetric), "spec": {**CONTENTS[GlobalMetric]["spec"], "max": 10**4000}}, "spec.max"),
    "range": ({**sample(GlobalMetric), "spec": {**CONTENTS[GlobalMetric]["spec"], "max": -1}}, "spec"),
    "constraint": (changed(Application, constraints={"cluster": {"labels": ["a b c"]}}), "spec.constraints.cluster.labels[0]"),
    "long constraint": (
        changed(Application, constraints={"cluster": {"labels": ["a in (" + "b," * 20_000]}}),
        "spec.constraints.cluster.labels[0]",
    ),
    "constraint of null": (changed(Application, constraints={"cluster": None}), "spec.constraints.cluster"),
    "manifest": (changed(Application, manifest=[{"metadata": None}]), "spec.manifest"),
    "manifest of texts": (changed(Application, manifest=["text"]), "spec.manifest[0]"),
    "no manifest": (changed(Application, manifest=[]), "spec"),
    "observer schema": (changed(Application, observer_schema=[{"kind": "x"}]), "spec"),
    "backoff": (changed(Application, backoff=-1), "spec.backoff"),
    "kubeconfig": (changed(Cluster, kubeconfig={"contexts": "x"}), "spec.kubeconfig"),
    "kubeconfig without context": (changed(Cluster, kubeconfig={**KUBECONFIG, "current-context": "other"}), "spec.kubeconfig"),
    "kubeconfig of lists": (changed(Cluster, kubeconfig={**KUBECONFIG, "users": [[]]}), "spec.kubeconfig"),
    "kubeconfig that runs a program": (
        changed(Cluster, kubeconfig={**KUBECONFIG, "users": [{"name": "demo", "user": {"exec": {"command": "id"}}}]}),
        "spec.kubeconfig",
    ),
    "tosca": (changed(Application, manifest=[], tosca={"a": 1}), "spec.tosca"),
    "cluster tosca": (changed(Cluster, kubeconfig={}, tosca={"topology_template": []}), "spec.tosca"),
}


async def test_very_many_mistakes(http: Http) -> None:
    body = changed(Application) | {"metadata": {"name": "a", "labels": {f"-{number}": "a" for number in range(20_000)}}}
    answer = await http.post(path_of(Application), body)
    assert (answer.status, len(answer.fields)) == (422, 200)
    assert len(answer.text) < 100_000


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_values_name_the_field(http: Http, name: str) -> None:
    body, field = WRONG[name]
    kind = next(kind for kind in KINDS.values() if kind.__name__ == ("Role" if name == "kind" else body["kind"]))
    async with asyncio.timeout(30):
        answer = await http.post(path_of(kind), body)
    assert answer.status == 422
    assert field in answer.fields, answer.text
    assert len(answer.text) < 5000
    assert (await http.get(path_of(kind))).json["items"] == []


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
async def test_numbers_that_json_cannot_hold(http: Http, number: str) -> None:
    text = json.dumps(changed(Application, manifest=[{**CONTENTS[Application]["spec"]["manifest"][0], "data": "NUMBER"}]))
    answer = await http("POST", APPS, data=text.replace('"NUMBER"', number))
    assert (answer.status, answer.detail) == (422, "The object holds a number that is too large for JSON.")


@pytest.mark.parametrize("text", ["\u00e4\U0001f600", "\0", "\x7f", "\u2028", '"resource_version": null}', "\\", "\ufeff"])
async def test_any_text_in_a_manifest_is_kept(http: Http, text: str) -> None:
    manifest = [{**CONTENTS[Application]["spec"]["manifest"][0], "data": {text: text}}]
    created = await http.post(APPS, changed(Application, manifest=manifest))
    assert created.status == 201
    assert created.json["spec"]["manifest"] == manifest
    assert (await http.get(f"{APPS}/sample")).json == created.json


async def test_a_manifest_may_look_like_metadata(http: Http) -> None:
    manifest = [{**CONTENTS[Application]["spec"]["manifest"][0], "data": {"generation": 1, "resource_version": None}}]
    created = (await http.post(APPS, changed(Application, manifest=manifest))).json
    assert created["spec"]["manifest"] == manifest
    assert (await http.get(f"{APPS}/sample")).json == created


@pytest.mark.parametrize("part", ["a%20b", "a%2Fb", "%00", "%FF", "..%2f", "a%0A", "-a", "a" * 256, "%F0%9F%98%80", "*"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_wrong_names_in_the_path(http: Http, method: str, part: str) -> None:
    for path, field in ((f"/core/namespaces/{part}/metrics/x", "path.namespace"), (f"/core/roles/{part}", "path.name")):
        async with http.session.request(method, URL(http.url + path, encoded=True), json=sample(Role)) as response:
            assert response.status == 422
            assert [error["field"] for error in (await response.json(content_type=None))["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/core",
        "/core/",
        "/core/roles/",
        "/core/unknown",
        "/core/namespaces/a/roles",
        "/core/metrics/name",
        "//core/roles",
        "/core/namespaces//metrics",
        "/kubernetes/namespaces/a/applications/b/unknown",
        "/core/roles/a/status",
        "/core/namespaces/{namespace}/metrics",
    ],
)
async def test_unknown_paths(http: Http, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status, answer.detail) == (404, "404: Not Found")


@pytest.mark.parametrize("size", [2**20 + 1, 3 * 2**20])
async def test_bodies_that_are_too_large(http: Http, size: int) -> None:
    answer = await http("POST", APPS, data=b" " * size)
    assert answer.status == 413
    assert "1048576" in answer.detail
    assert (await http.get(APPS)).status == 200


async def test_the_limit_of_bodies_can_be_set(serve_api: Serve) -> None:
    async with serve_api(max_body_size=100) as http:
        assert (await http("POST", "/core/roles", data=b" " * 101)).status == 413
        assert (await http("POST", "/core/roles", data=b" " * 100)).status == 415


async def test_an_object_that_the_store_cannot_hold(serve_api: Serve) -> None:
    async with serve_api(max_body_size=2**23) as http:
        manifest = [{**CONTENTS[Application]["spec"]["manifest"][0], "data": "x" * 2**22}]
        answer = await http.post(APPS, changed(Application, manifest=manifest))
        assert (answer.status, answer.detail) == (413, "The object is larger than the store takes.")


async def test_compressed_bodies_count_by_their_contents(http: Http) -> None:
    bomb = gzip.compress(b" " * 2**26)
    answer = await http("POST", APPS, data=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status == 413
    broken = await http("POST", APPS, data=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert 400 <= broken.status < 500


@pytest.mark.parametrize(
    "patch", [{"status": None}, {"status": {"state": "HAPPY"}}, {"status": {"state": None}}, {"status": []}]
)
async def test_wrong_status(http: Http, patch: dict[str, Any]) -> None:
    created = (await http.post(APPS, sample(Application))).json
    answer = await http.patch(f"{APPS}/sample/status", patch)
    expected = "status.state" if isinstance(patch["status"], dict) and patch["status"]["state"] else "status"
    if patch == {"status": {"state": None}}:
        # Taking a value away leaves its default.
        assert (answer.status, answer.json) == (200, created)
        return
    assert answer.status == 422
    assert answer.fields[0].startswith(expected)
    assert (await http.get(f"{APPS}/sample")).json == created


async def test_a_client_that_leaves_in_the_middle(http: Http) -> None:
    host, port = http.url.removeprefix("http://").split(":")
    for request in (
        b"POST /core/roles HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"GET /core/ro",
        b"\x16\x03\x01\x02",
    ):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        await writer.drain()
        writer.close()
    assert (await http.get("/core/roles")).status == 200
